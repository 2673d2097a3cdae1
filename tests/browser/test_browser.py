"""The page in Chromium: ``python app.py`` as a visitor meets it. Pictures of it go to tests/browser/out."""

import base64
import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
OUT = Path(__file__).parent / "out"
FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync "
    "--no-first-run"
)
PAPER = {"light": (239, 237, 231), "dark": (36, 40, 47)}
SLOW = 60_000  # milliseconds; for machines with other work

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"},
    )
    url = f"http://127.0.0.1:{port}/"
    for _ in range(600):
        assert server.poll() is None, "app.py ended"
        try:
            urllib.request.urlopen(url, timeout=5).close()
            break
        except OSError:
            time.sleep(0.1)
    yield url
    server.terminate()
    server.wait(20)


@pytest.fixture(scope="module")
def browser():
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield chromium
        chromium.close()


@pytest.fixture
def visit(address, browser):
    """visit(width, height, **context) -> the page, its first example finished. No other host may be asked."""
    contexts, foreign, broken = [], [], []

    def open_page(width=1440, height=1000, **options) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda r: r.url.startswith((address, "data:", "blob:")) or foreign.append(r.url))
        page.on("pageerror", lambda error: broken.append(str(error)))
        page.goto(address)
        page.wait_for_selector(".fm[data-run='1']", timeout=SLOW)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not foreign and not broken


@pytest.fixture(scope="module")
def cat(tmp_path_factory):
    path = tmp_path_factory.mktemp("upload") / "cat.jpg"
    Image.fromarray(skimage.data.chelsea()).save(path, quality=95)
    return path


def runs(page: Page) -> int:
    return int(page.get_attribute(".fm", "data-run"))


def wait_run(page: Page, after: int) -> None:
    page.wait_for_function(
        "n => Number(document.querySelector('.fm').dataset.run) > n && !document.querySelector('.fm-busy')",
        arg=after,
        timeout=SLOW,
    )


def pixels(page: Page, pane: str) -> np.ndarray:
    """uint8 (H, W, 4) of one pane's canvas."""
    url = page.evaluate("pane => document.querySelector(`[data-pane='${pane}'] canvas`).toDataURL()", pane)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGBA"))


def hidden_cells(picture: np.ndarray, scheme: str = "light") -> np.ndarray:
    """bool (14, 14): which patches are paper, judged at their centres."""
    centres = ((np.arange(14) + 0.5) * picture.shape[0] / 14).astype(int)
    return (picture[centres][:, centres, :3] == PAPER[scheme]).all(-1)


def test_upload_fills_both_arms(visit, cat):
    page = visit()
    page.set_input_files("#picker input[type=file]", cat)
    wait_run(page, 1)
    masks = [pixels(page, f"sees:{arm}") for arm in (1, 2)]
    for arm, mask in enumerate(masks, start=1):
        assert hidden_cells(mask).sum() == 196 - 49
        imagined, errors = pixels(page, f"imagines:{arm}"), pixels(page, f"errs:{arm}")
        assert imagined[..., :3].std() > 10 and errors[..., :3].std() > 10
        seen = ~hidden_cells(mask)
        centres = ((np.arange(14) + 0.5) * mask.shape[0] / 14).astype(int)
        assert (imagined[centres][:, centres][seen] == mask[centres][:, centres][seen]).all()  # pasted
        assert page.locator(f"[data-part=bars-{arm}] li").count() == 5
    assert not np.array_equal(*map(hidden_cells, masks))
    for pane in ("sees:0", "imagines:0", "errs:0"):
        assert pixels(page, pane)[..., :3].std() > 10
    page.click("[data-action=alone]")
    alone = pixels(page, "imagines:1")
    assert not np.array_equal(alone[centres][:, centres][seen], masks[0][centres][:, centres][seen])
    expect(page.locator(".fm-verdict li")).to_have_count(4)
    expect(page.locator(".fm-foot")).to_contain_text("Apache-2.0")


def test_seed_and_keep_run_again(visit):
    page = visit()
    before = hidden_cells(pixels(page, "sees:1"))
    page.click("#next")
    wait_run(page, 1)
    after = hidden_cells(pixels(page, "sees:1"))
    assert after.sum() == before.sum() and not np.array_equal(before, after)
    page.focus("#keep input[type=range]")
    page.keyboard.press("End")
    wait_run(page, 2)
    assert hidden_cells(pixels(page, "sees:2")).sum() == 196 - 176
    expect(page.locator("#keep .fm-note")).to_have_text("176 of 196 patches")


def test_hover_marks_one_patch_everywhere(visit):
    page = visit()
    box = page.locator("[data-pane='errs:2'] canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 8.5 / 14, box["y"] + box["height"] * 3.5 / 14)
    expect(page.locator(".fm-cursor:visible")).to_have_count(9)
    expect(page.locator("[data-part=card]")).to_contain_text("chance to be visible")
    place = page.locator("[data-pane='sees:1'] .fm-cursor").get_attribute("style")
    assert f"left: {100 * 8 / 14:.3f}"[:10] in place and f"top: {100 * 3 / 14:.3f}"[:9] in place
    page.mouse.move(5, 5)
    expect(page.locator("[data-part=card]")).to_be_hidden()


def test_cancel_stops_and_the_page_goes_on(visit):
    page = visit()
    page.click("[data-example='golf_ball.mp4']")
    page.wait_for_selector(".fm-busy", timeout=SLOW)
    page.click("#cancel")
    status = page.locator("[data-part=status-text]")
    expect(status).to_have_text("Stopped. The last result stays.")
    page.wait_for_timeout(3000)
    expect(status).to_have_text("Stopped. The last result stays.")
    assert runs(page) == 1 and page.get_attribute(".fm", "data-media") == "image"
    page.click("[data-example=coffee]")
    wait_run(page, 1)
    assert pixels(page, "imagines:2")[..., :3].std() > 10


def test_a_bad_file_gets_one_sentence(visit, tmp_path):
    bad = tmp_path / "notes.jpg"
    bad.write_text("this is no picture")
    page = visit()
    before = pixels(page, "sees:1")
    page.set_input_files("#picker input[type=file]", bad)
    status = page.locator("[data-part=status][data-mood=error] [data-part=status-text]")
    expect(status).to_be_visible(timeout=SLOW)
    text = status.inner_text()
    assert text.endswith(".") and len(text) > 20 and str(tmp_path) not in text
    assert np.array_equal(before, pixels(page, "sees:1"))
    page.click("[data-example=rocket]")
    wait_run(page, 1)
    expect(page.locator("[data-part=status][data-mood=error]")).to_have_count(0)


def test_clip_steps_all_panes_together(visit):
    page = visit(reduced_motion="reduce")
    page.click("[data-example='parachute.mp4']")
    wait_run(page, 1)
    play = page.locator("[data-action=play]")
    expect(play).to_have_attribute("aria-pressed", "false")  # no motion for those who asked for none
    panes = ("sees:0", "sees:1", "imagines:2")
    first = {pane: pixels(page, pane) for pane in panes}
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute(".fm", "data-frame") == "2"
    assert all(not np.array_equal(first[pane], pixels(page, pane)) for pane in panes)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert all(np.array_equal(first[pane], pixels(page, pane)) for pane in panes)
    play.click()
    page.wait_for_function("document.querySelector('.fm').dataset.frame >= 3")
    play.click()
    page.locator("[data-part=scrub]").fill("15")
    expect(page.locator("[data-part=count]")).to_have_text("frame 16 of 16")
    OUT.mkdir(exist_ok=True)
    page.screenshot(path=OUT / "clip-1440-light.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", [(1440, 1000), (390, 844)])
def test_looks(visit, width, height, scheme):
    page = visit(width, height, color_scheme=scheme)
    assert hidden_cells(pixels(page, "sees:2"), scheme).sum() == 196 - 49
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    if width == 1440:  # all four rows on one screen
        assert page.locator("[data-part=bars-2]").bounding_box()["y"] < height - 100
    else:
        expect(page.locator("[data-pane='sees:0']")).to_be_hidden()
        page.click("[data-action=fold]")
        expect(page.locator("[data-pane='sees:0']")).to_be_visible()
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        page.click("[data-action=fold]")
    OUT.mkdir(exist_ok=True)
    picture = OUT / f"{width}-{scheme}.png"
    page.screenshot(path=picture, full_page=width < 1000)
    assert Image.open(picture).width == width
    if os.environ.get("FOCUSMAE_SCREENSHOT") and (width, scheme) == (1440, "light"):
        shutil.copy(picture, ROOT / "assets" / "screenshot.png")


def test_chinese_browsers_read_chinese(visit):
    page = visit(locale="zh-CN")
    expect(page.locator(".fm-grid")).to_contain_text("它看到")
    expect(page.locator("#compare")).to_have_text("比较")
    OUT.mkdir(exist_ok=True)
    page.screenshot(path=OUT / "1440-chinese.png")
