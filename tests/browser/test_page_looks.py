"""How the page looks and answers to those who cannot see, point or bear motion; pictures go to tests/browser/out."""

import os
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import ROOT
from tests.browser.driving import OUT, seen, wait_run

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", [(390, 844), (1440, 1000), (2560, 1440)])
def test_looks(visit, width, height, scheme):
    page = visit("", width, height, color_scheme=scheme, device_scale_factor=1)
    page.click("[data-introduced]")
    assert len(seen(page, 2, scheme)) == 49
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    if width >= 1440:  # all four rows on one screen, and the evidence beside them
        assert page.locator("[data-part=bars-2]").bounding_box()["y"] < height - 100
        assert page.locator(".fm-evidence").bounding_box()["y"] < height - 300
    else:
        expect(page.locator("[data-pane='sees:0']")).to_be_hidden()
        page.click("[data-action=fold]")
        expect(page.locator("[data-pane='sees:0']")).to_be_visible()
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        page.click("[data-action=fold]")
    OUT.mkdir(exist_ok=True)
    picture = OUT / f"{width}-{scheme}.png"
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.screenshot(path=picture, full_page=width < 1000)
    assert Image.open(picture).width == width
    if os.environ.get("FOCUSMAE_SCREENSHOT") and (width, scheme) == (1440, "light"):
        shutil.copy(picture, ROOT / "assets" / "screenshot.png")


def test_first_visit_and_chinese_look(visit):
    OUT.mkdir(exist_ok=True)
    page = visit(reduced_motion="reduce")
    expect(page.locator(".fm-intro")).to_contain_text("A masked autoencoder sees a few patches")
    assert page.evaluate("getComputedStyle(document.querySelector('.fm-grow')).animationName") == "none"
    page.screenshot(path=OUT / "1440-first-visit.png")
    page.click("#more")
    page.screenshot(path=OUT / "1440-settings.png")
    page.keyboard.press("Escape")
    page.click("[data-open=help]")
    expect(page.locator(".fm-readme")).to_contain_text("p(true class)")
    page.screenshot(path=OUT / "1440-help.png")
    page = visit(locale="zh-CN")
    page.screenshot(path=OUT / "1440-chinese.png", full_page=True)


def serious(page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in found if v["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_barriers(visit, scheme):
    page = visit(color_scheme=scheme, reduced_motion="reduce")
    assert serious(page) == []
    page.click("#more")
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.click("[data-open=read]")
    assert serious(page) == []


def test_the_keyboard_is_enough(visit):
    page = visit()

    def tab_to(selector: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"no way to {selector} by the keyboard")

    tab_to("[data-introduced]")
    page.keyboard.press("Enter")
    expect(page.locator(".fm-intro")).to_have_count(0)
    tab_to("[data-example=coffee]")
    page.keyboard.press("Enter")
    wait_run(page, 1)
    tab_to("#keep-range")
    page.keyboard.press("Home")
    wait_run(page, 2)
    assert len(seen(page, 1)) == 9
    tab_to("#more")
    page.keyboard.press("Enter")
    expect(page.locator(".fm-sheet")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".fm-sheet")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "more"
    tab_to("[data-curve=heldout_mse]")
    page.keyboard.press("Enter")
    expect(page.locator("[data-curve=heldout_mse]")).to_be_focused()


def test_light_and_dark_can_be_chosen(visit):
    page = visit(color_scheme="dark")
    assert page.evaluate("document.body.classList.contains('dark')")
    page.click("[data-light]")
    assert len(seen(page, 1, "light")) == 49
    page.reload()
    page.wait_for_selector(".fm[data-run='1']")
    assert not page.evaluate("document.body.classList.contains('dark')")
