"""What a visitor takes along, and how the page finds it again: links, downloads, code, languages, settings."""

import io
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from focusmae.comparison import compare
from tests.browser.conftest import ROOT
from tests.browser.driving import SLOW, seen, wait_run

pytestmark = pytest.mark.timeout(300)
LINK = "?example=coffee&keep=40&seed=3&left=tube&right=prior&segmenter=superpixels"


def test_a_link_restores_every_setting(visit):
    page = visit(LINK)
    values = {name: page.input_value(f"#{name}") for name in ("keep-range", "seed", "left", "right")}
    assert values == {"keep-range": "40", "seed": "3", "left": "tube", "right": "prior"}
    assert page.get_attribute("[data-example=coffee]", "aria-pressed") == "true"
    assert len(seen(page, 1)) == len(seen(page, 2)) == 78
    expect(page.locator("[data-part=arm-1]")).to_have_text("Tube")
    page.click("#next")
    wait_run(page, 1)
    assert "seed=4" in page.url and "example=coffee" in page.url  # the address follows
    page.reload()
    page.wait_for_selector(".fm[data-run='1']", timeout=SLOW)
    assert page.input_value("#seed") == "4" and page.input_value("#left") == "tube"


def test_nonsense_in_a_link_changes_nothing(visit):
    page = visit("?example=../../etc/passwd&keep=many&left=luck&seed=-5&focus=1:x,::&clips=99&autoencoder=/etc/passwd")
    expect(page.locator(".fm-told")).to_contain_text("left out: example, keep, left, autoencoder.")
    assert page.input_value("#keep-range") == "25" and page.input_value("#left") == "random"
    assert page.input_value("#seed") == "0" and "autoencoder" not in page.url
    assert len(seen(page, 1)) == len(seen(page, 2)) == 49


def test_an_upload_stays_out_of_the_link_but_outlives_a_reload(visit, cat_file):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    page.set_input_files("#picker input[type=file]", cat_file)
    wait_run(page, 1)
    page.click("#copy-link")
    expect(page.locator(".fm-told")).to_contain_text("your upload stays private")
    link = page.evaluate("navigator.clipboard.readText()")
    assert "keep=25" in link and "example" not in link and "cat" not in link and "tmp" not in link
    mine = seen(page, 2)
    page.reload()
    page.wait_for_selector(".fm[data-run='1']", timeout=SLOW)
    assert np.array_equal(seen(page, 2), mine)
    other = visit("?" + link.partition("?")[2])  # somebody else gets the settings with an example
    assert not np.array_equal(seen(other, 2), mine)


def test_the_download_is_complete(visit):
    page = visit()
    with page.expect_download(timeout=SLOW) as started:
        page.click("#download")
    archive = zipfile.ZipFile(started.value.path())
    names = set(archive.namelist())
    panes = {"input", "segments", "importance", "chance", "experts"}
    kinds = ("mask", "reconstruction", "decoder", "error")
    panes |= {f"{arm}-{kind}" for arm in ("random", "select") for kind in kinds}
    assert {f"{pane}.png" for pane in panes} | {"result.json", "panel.png", "reproduce.py", "reproduce.txt"} <= names
    assert Image.open(io.BytesIO(archive.read("panel.png"))).size == (1920, 1080)
    result = json.loads(archive.read("result.json"))
    assert [arm["visible"] for arm in result["strategies"].values()] == [seen(page, arm).tolist() for arm in (1, 2)]
    assert result["paired"]["p_class"]["seeds"] == 16
    expect(page.locator(".fm-told")).to_contain_text("focusmae.zip")


def test_copied_code_gives_the_same_result(visit, tmp_path):
    page = visit("?example=chelsea&keep=30&seed=2&right=spread", permissions=["clipboard-read", "clipboard-write"])
    shown = [seen(page, arm).tolist() for arm in (1, 2)]
    page.click("#copy-python")
    expect(page.locator(".fm-told")).to_contain_text("Python")
    script = page.evaluate("navigator.clipboard.readText()")
    page.click("#copy-command")
    expect(page.locator(".fm-told")).to_contain_text("Command")
    command = page.evaluate("navigator.clipboard.readText()").replace("python ", f"{sys.executable} ")
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, env=_environment())
    assert _visible(tmp_path) == shown
    (tmp_path / "out" / "result.json").unlink()
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, env=_environment(), capture_output=True)
    assert _visible(tmp_path) == shown


def _environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _visible(folder):
    arms = json.loads((folder / "out" / "result.json").read_text())["strategies"]
    return [arm["visible"] for arm in arms.values()]


def test_the_language_follows_the_browser_and_the_switch(visit):
    page = visit(locale="zh-CN")
    expect(page.locator(".fm-grid")).to_contain_text("它看到")
    expect(page.locator("#compare")).to_have_text("比较")
    page.click("[data-language]")
    expect(page.locator("#compare")).to_have_text("Compare")
    expect(page.locator(".fm-grid")).to_contain_text("It sees")
    assert page.evaluate("document.documentElement.lang") == "en"
    page.click("[data-language]")
    expect(page.locator("#compare")).to_have_text("比较")


def test_weights_that_cannot_be_fetched_leave_the_former_choice(visit):
    page = visit("?example=parachute.jpg&keep=25")
    before = seen(page, 2)
    page.click("#more")
    page.select_option("#autoencoder", "mae-base")
    offer = page.locator("[data-offer=autoencoder]")
    expect(offer).to_contain_text("MB to fetch")
    page.click("[data-fetch]")
    expect(page.locator(".fm-offer.fm-failed")).to_contain_text("mae-base")  # tests have no network
    page.click(".fm-sheet footer [data-close]")
    assert "autoencoder" not in page.url
    page.click("#compare")
    wait_run(page, 1)
    assert np.array_equal(seen(page, 2), before)


def test_the_settings_take_effect_at_once(visit):
    page = visit("?example=golf_ball.mp4&keep=10&left=random", reduced_motion="reduce")
    page.click("#more")
    page.fill("#start", "0.5")
    page.keyboard.press("Tab")
    wait_run(page, 1)
    assert "start=0.5" in page.url
    wanted = compare(ROOT / "assets" / "examples" / "golf_ball.mp4", keep=0.1, start=0.5)
    first = [token for token in wanted.arms["select"].visible.tolist() if token < 196]
    assert seen(page, 2).tolist() == first
