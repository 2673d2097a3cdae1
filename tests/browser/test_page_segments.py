"""Clicks that draw segments and texts that raise them, where SAM and GroupViT are at hand."""

import pytest
from playwright.sync_api import expect

from focusmae.media import write_png
from tests.browser.conftest import serving
from tests.browser.driving import SLOW, seen, wait_run
from tests.segments.sam_peers import colour_frame

pytestmark = pytest.mark.timeout(300)
RED, BLUE = (220, 40, 40), (40, 60, 230)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page, as ``visit`` takes it: with SAM and GroupViT."""
    folder = tmp_path_factory.mktemp("weights") / "groupvit"
    with serving("-m", "tests.browser.app_with_segmenters", str(folder)) as url:
        yield url


@pytest.fixture
def discs(tmp_path):
    """A large red and a small blue disc; the blue one lies between the points that SAM is asked at."""
    write_png(tmp_path / "discs.png", colour_frame((80, 96, 50, RED), (192, 192, 7, BLUE)))
    return tmp_path / "discs.png"


def press(page, x, y, shift=False):
    """Click a place of the first picture, given as shares of its sides."""
    box = page.locator("[data-pane='sees:0']").bounding_box()
    if shift:
        page.keyboard.down("Shift")
    page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    if shift:
        page.keyboard.up("Shift")


def outlined(page) -> int:
    return int(page.inner_text("[data-action=outlines]").split()[0])


def test_a_click_draws_a_segment_and_a_text_is_looked_up(visit, discs):
    page = visit("?segmenter=sam-vit-base")
    page.set_input_files("#picker input[type=file]", discs)
    wait_run(page, 1)
    expect(page.locator("[data-part=segment-about]")).to_contain_text("sam-vit-base")
    before, runs = outlined(page), 2
    assert before == 2  # the disc and the ground

    page.click("[data-action='mode:draw']")
    press(page, 192 / 256, 192 / 256)
    wait_run(page, runs)
    assert outlined(page) == before + 1 and "clicks=0.7" in page.url
    press(page, 192 / 256, 192 / 256, shift=True)
    wait_run(page, runs + 1)
    assert outlined(page) == before

    page.click("[data-action='mode:raise']")
    page.evaluate("document.querySelector('[data-part=strength]').value = 8")
    page.locator("[data-part=strength]").dispatch_event("input")
    press(page, 80 / 256, 96 / 256)
    wait_run(page, runs + 2)
    inside = [(token % 14 + 0.5, token // 14 + 0.5) for token in seen(page, 2)]
    inside = sum((x * 256 / 14 - 80) ** 2 + (y * 256 / 14 - 96) ** 2 < 50**2 for x, y in inside)
    assert inside >= 20  # of the disc's 24; a tenth of all may not be seen

    expect(page.locator("#text")).to_be_visible()
    page.fill("#text", "a dog; grass")
    page.keyboard.press("Enter")
    wait_run(page, runs + 3)
    expect(page.locator("[data-action=fit]")).to_have_attribute("aria-pressed", "true")
    assert "a dog; grass" in page.get_attribute("[data-pane='errs:0']", "aria-label")
    expect(page.locator("[data-part=foot]")).to_contain_text("groupvit")
    page.fill("#text", "word " * 500)  # the field takes 80 letters, the server any number
    page.keyboard.press("Enter")
    wait_run(page, runs + 4)
    expect(page.locator("[data-part=status]")).not_to_have_attribute("data-mood", "error", timeout=SLOW)
