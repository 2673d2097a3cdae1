"""The page at work in Chromium: what a visitor gives it, changes, stops, and gets."""

import time

import numpy as np
import pytest
import skimage.data
from playwright.sync_api import expect

from focusmae.comparison import compare
from focusmae.evidence import SEEDS, evidence_steps
from focusmae.media import write_png
from focusmae.render import to_bytes
from focusmae.settings import Settings
from tests.browser.driving import SLOW, centres, far, pixels, runs, seen, wait_draws, wait_run

pytestmark = pytest.mark.timeout(300)


def test_the_page_opens_with_a_finished_example(visit):
    page = visit()
    assert len(seen(page, 1)) == len(seen(page, 2)) == 49
    expect(page.locator(".fm-evidence")).to_have_attribute("data-draws", str(SEEDS))
    expect(page.locator(".fm-evidence .fm-line-of")).to_have_count(2)
    assert runs(page) == 1 and not page.locator(".fm-busy").count()
    page.click("#compare")  # the same, computed here
    before = [pixels(page, pane) for pane in ("sees:0", "sees:1", "sees:2")]
    wait_run(page, 1)
    for pane, picture in zip(("sees:0", "sees:1", "sees:2"), before, strict=True):
        assert np.array_equal(pixels(page, pane), picture)


def test_an_uploaded_photo_fills_both_arms_and_then_its_evidence(visit, cat_file):
    page = visit()
    page.set_input_files("#picker input[type=file]", cat_file)
    wait_run(page, 1)
    wanted = compare(cat_file, keep=0.25, seed=0)
    assert far(page, "imagines:0", to_bytes(wanted.pixels)[0]) > 5  # a spotlight is not the picture itself
    for number, arm in enumerate(wanted.arms.values(), start=1):
        assert seen(page, number).tolist() == arm.visible.tolist()
        assert far(page, f"imagines:{number}", to_bytes(arm.pasted)[0]) < 4
        said = page.locator(f"[data-part=bars-{number}] li span").all_inner_texts()
        assert said == [row["label"] for row in arm.prediction]
    expect(page.locator(".fm-foot")).to_contain_text("Apache-2.0")
    wait_draws(page, SEEDS)
    *_, table = evidence_steps(cat_file, Settings(), SEEDS)
    row = table.paired["p_class"]
    shown = page.locator(".fm-evidence li").first.inner_text()
    assert f"{abs(row['mean_difference']):.3f}" in shown or f"{abs(row['mean_difference']):.4f}" in shown
    expect(page.locator(".fm-evidence li").first.locator("circle")).to_have_count(SEEDS)
    page.wait_for_function("() => document.querySelector('.fm-evidence').dataset.points === '8'", timeout=SLOW)
    page.click("[data-curve=heldout_mse]")
    expect(page.locator("[data-curve=heldout_mse]")).to_have_attribute("aria-pressed", "true")
    assert page.locator(".fm-evidence table tr").count() == 9


def test_an_uploaded_clip_fills_both_arms(visit, clip_file):
    page = visit(reduced_motion="reduce")
    page.set_input_files("#picker input[type=file]", clip_file)
    wait_run(page, 1)
    wanted = compare(clip_file, keep=0.25, seed=0)
    first = wanted.grid.h * wanted.grid.w
    for number, arm in enumerate(wanted.arms.values(), start=1):
        assert seen(page, number).tolist() == [token for token in arm.visible.tolist() if token < first]
        assert far(page, f"imagines:{number}", to_bytes(arm.pasted)[0]) < 6
    expect(page.locator("#keep .fm-note")).to_have_text("392 of 1568 patches")


def test_draw_and_keep_run_again(visit):
    page = visit()
    before = seen(page, 1)
    page.click("#next")
    wait_run(page, 1)
    after = seen(page, 1)
    assert len(after) == len(before) and not np.array_equal(before, after)
    page.focus("#keep-range")
    page.keyboard.press("End")
    wait_run(page, 2)
    assert len(seen(page, 2)) == 176
    expect(page.locator("#keep .fm-note")).to_have_text("176 of 196 patches")
    assert page.locator("#left option:disabled").all_inner_texts() == ["FocusMAE"]  # no arm against itself


def test_a_raised_segment_is_seen_more(visit):
    page = visit()
    page.locator(".fm-segment").first.click()
    wait_run(page, 1)
    page.wait_for_function("() => new URL(location.href).searchParams.has('focus')")
    number, change = page.evaluate("new URL(location.href).searchParams.get('focus')").split(":")
    wanted = compare("assets/examples/parachute.jpg", focus=((int(number), float(change)),))
    plain = compare("assets/examples/parachute.jpg")
    assert seen(page, 2).tolist() == wanted.arms["select"].visible.tolist()
    inside = [np.mean(run.token_segment[run.arms["select"].visible] == int(number)) for run in (plain, wanted)]
    assert inside[1] > inside[0]
    page.click("[data-example=coffee]")  # what was raised there means nothing here
    wait_run(page, 2)
    assert "focus" not in page.url


CANCEL_AT_ONCE = """(example) => new Promise((done) => {
  document.querySelector(example).click();
  const look = () => {
    const cancel = document.querySelector("#cancel");
    if (cancel.hidden) return requestAnimationFrame(look);
    cancel.click();
    done();
  };
  look();
})"""


def test_cancel_stops_and_the_page_goes_on(visit):
    page = visit()
    page.evaluate(CANCEL_AT_ONCE, "[data-example='golf_ball.mp4']")  # quicker than a clip
    status = page.locator("[data-part=status-text]")
    expect(status).to_have_text("Stopped. The last result stays.")
    page.wait_for_timeout(2500)
    expect(status).to_have_text("Stopped. The last result stays.")
    assert runs(page) == 1 and page.get_attribute(".fm", "data-media") == "image"
    expect(page.locator("#compare")).to_be_visible()
    page.click("[data-example=coffee]")
    wait_run(page, 1)
    assert pixels(page, "imagines:2").std() > 10


def test_a_bad_file_gets_one_sentence(visit, tmp_path):
    bad, empty = tmp_path / "notes.jpg", tmp_path / "nothing.png"
    bad.write_text("this is no picture")
    empty.write_bytes(b"")
    page = visit()
    before = pixels(page, "sees:1")
    status = page.locator("[data-part=status][data-mood=error] [data-part=status-text]")
    for file in (bad, empty):
        page.set_input_files("#picker input[type=file]", file)
        expect(status).to_be_visible()
        text = status.inner_text()
        assert text.endswith(".") and len(text) > 20 and str(tmp_path) not in text
    assert np.array_equal(before, pixels(page, "sees:1"))
    page.click("[data-example=rocket]")
    wait_run(page, 1)
    expect(page.locator("[data-part=status][data-mood=error]")).to_have_count(0)


def test_two_visitors_do_not_see_each_others_pictures(visit, tmp_path):
    crops = [skimage.data.astronaut()[:256, 128:384], skimage.data.coffee()[80:336, 150:406]]
    pages, said = [visit(), visit()], []
    for number, (page, crop) in enumerate(zip(pages, crops, strict=True)):
        path = tmp_path / f"visitor-{number}.png"
        write_png(path, crop)
        page.set_input_files("#picker input[type=file]", path)  # the second while the first is at work
    for page in pages:
        wait_run(page, 1)
        page.click("[data-action=outlines]")
        said.append(page.locator("[data-part=bars-0]").inner_text())
    for number, page in enumerate(pages):
        assert far(page, "sees:0", crops[number]) < 4 < 20 < far(page, "sees:0", crops[1 - number])
        places = centres(pixels(page, "sees:1").shape[0])
        assert pixels(page, "sees:1")[places][:, places].std() > 5
    assert said[0] != said[1]


def test_a_new_wish_ends_the_background_work(visit):
    page = visit()
    page.click("#next")
    wait_run(page, 1)
    page.click("#next")
    wait_run(page, 2)
    wait_draws(page, SEEDS)
    began = time.monotonic()
    while page.get_attribute(".fm-evidence", "data-points") != "8":  # only the newest goes on, to its end
        assert time.monotonic() - began < SLOW / 1000
        assert page.get_attribute(".fm-evidence", "data-draws") == str(SEEDS)
        page.wait_for_timeout(200)
