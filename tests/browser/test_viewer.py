"""The viewer alone in Chromium, fed with real results: what it marks, switches, enlarges, divides and emits."""

import dataclasses
import json
import queue
import re
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from focusmae.comparison import compare
from focusmae.segments.base import SegmentMap
from focusmae.segments.matching import TextMatch, with_text
from focusmae.ui import viewer
from tests.browser.driving import OUT, SLOW, picture, pixels

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
STYLES = ("page.css", "viewer.css")
PANES = [f"{row}:{column}" for row in ("sees", "imagines", "errs") for column in (0, 1, 2)]
PAPER, BLUE, ORANGE = (np.array(c, float) for c in ((239, 237, 231), (74, 111, 165), (217, 112, 10)))

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def photo():
    return compare(EXAMPLES / "parachute.jpg", models="embedded")


@pytest.fixture(scope="module")
def messages(photo):
    """Messages by name: results of real runs, and two with what other models and segmenters would add."""
    clip = compare(EXAMPLES / "golf_ball.mp4", models="embedded", clips=2)
    labels = photo.segments.labels.copy()
    labels[:, :, : labels.shape[2] // 4] = 0
    holes = dataclasses.replace(photo, segments=SegmentMap(labels, photo.segments.quality, "with holes"))
    other = dataclasses.replace(photo, settings=dataclasses.replace(photo.settings, focus=((2, 4.0), (5, -4.0))))
    other.clickable = True
    other.arms = {name: dataclasses.replace(arm) for name, arm in photo.arms.items()}
    for arm in other.arms.values():
        arm.normalised, arm.picture_true = True, 0.5 * arm.picture
    made = {"photo": photo, "clip": clip, "holes": holes, "other": other, "worded": worded(photo)}
    return {name: json.loads(json.dumps(viewer.result(name, run, 0.5))) for name, run in made.items()}


def worded(photo):
    """The photo's result, as if a text had been looked up: only two segments fit it, one of them half as well."""
    fits = np.zeros((photo.segments.count, 2), np.float32)
    fits[3], fits[6] = (0, 0.9), (0, 0.45)
    match = TextMatch(("a dog", "a sail"), fits, np.full((2, 1, 2, 2), 0.5, np.float32))
    return dataclasses.replace(photo, segments=with_text(photo.segments, match))


@pytest.fixture(scope="module")
def heard():
    """What the viewer emitted, in order."""
    return queue.Queue()


@pytest.fixture(scope="module")
def address(messages, heard):
    """A page with nothing but the viewer: ?m= names the message that it shows, a button sends another one."""

    def chosen(request: gr.Request):
        return messages[request.query_params.get("m", "photo")]

    def listen(event: gr.EventData):
        heard.put(event._data)

    style = "\n".join((viewer.HERE / name).read_text("utf-8") for name in STYLES)
    with gr.Blocks(analytics_enabled=False, fill_width=True) as page:
        panes = viewer.make_viewer()
        more = gr.Button("more", elem_id="more")
        page.load(chosen, None, panes, show_progress="hidden")
        more.click(lambda: messages["other"], None, panes, show_progress="hidden")
        panes.focus(listen, show_progress="hidden", trigger_mode="multiple")
        panes.click(listen, show_progress="hidden", trigger_mode="multiple")
    _, url, _ = page.launch(
        prevent_thread_lock=True, quiet=True, ssr_mode=False, head=f"<style>\n{style}\n</style>", footer_links=[]
    )
    yield url
    page.close()


@pytest.fixture
def visit(address, browser, heard):
    """visit(message, width, height, **context) -> the page that shows it. No script may fail."""
    contexts, broken = [], []
    while not heard.empty():
        heard.get()

    def open_page(message="photo", width=1440, height=1000, **options) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, **{"reduced_motion": "reduce", **options}
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: broken.append(error.stack or str(error)))
        page.goto(f"{address}?m={message}")
        page.wait_for_selector(".fm[data-run='1']", timeout=SLOW)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not broken


def changed(page: Page, act) -> set[str]:
    """The panes whose pixels ``act`` changes."""
    before = {pane: pixels(page, pane) for pane in PANES}
    act()
    return {pane for pane in PANES if not np.array_equal(before[pane], pixels(page, pane))}


def place(page: Page, pane: str, x: float, y: float) -> tuple[float, float]:
    """Where the shares x and y of a pane's sides are in the window."""
    box = page.locator(f"[data-pane='{pane}']").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def segment_at(comparison, x: float, y: float) -> int:
    labels = comparison.segments.labels[0]
    return int(labels[int(y * len(labels)), int(x * len(labels))])


def card_of(page: Page) -> dict[str, str]:
    """The lines of the card: name -> value; "" -> its title."""
    rows = page.eval_on_selector_all(
        "[data-part=card] div:not(.fm-stack)", "rows => rows.map((r) => [...r.children].map((c) => c.textContent))"
    )
    return {"": page.inner_text("[data-part=card] strong"), **dict(rows)}


def share(value: float) -> str:
    """A share as per cent, as the page writes it; halves go up there."""
    return f"{100 * value:.1f}" if 0 < value < 0.0095 else str(int(100 * value + 0.5))


def number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def test_the_cards_numbers_are_the_messages(visit, messages):
    page, m = visit(), messages["photo"]
    token = 4 * 14 + 6
    page.mouse.move(*place(page, "errs:2", 6.5 / 14, 4.5 / 14))
    expect(page.locator(".fm-cursor:visible")).to_have_count(9)
    styles = {cursor.get_attribute("style") for cursor in page.locator(".fm-pane .fm-cursor").all()}
    left, top = (float(value) for value in re.findall(r"(?:left|top): ([\d.]+)%", styles.pop()))
    assert not styles and (left, top) == pytest.approx((100 * 6 / 14, 100 * 4 / 14), abs=0.01)
    card, row = card_of(page), m["segments"][m["token_segment"][token] - 1]
    assert card[""] == f"segment {row['id']}"
    assert card["its mean score"] == number(row["score"]) and card["its mean chance"] == share(row["chance"]) + " %"
    assert card["score"] == number(m["scores"][token])
    assert card["chance to be visible"] == share(m["chance"][token]) + " %"
    shares = sorted(m["gates"][4 * token : 4 * token + 4], reverse=True)
    pair = next(value for name, value in card.items() if "·" in name)
    assert pair == f"{share(shares[0])} · {share(shares[1])} %"
    for arm in m["arms"]:
        error = "visible" if token in arm["visible"] else f"{arm['error'][token]:.3f}"
        assert card[f"error {arm['title']}"] == error
    outlines = {path.get_attribute("d") for path in page.locator(".fm-pane path.fm-line.fm-hovered").all()}
    assert len(outlines) == 1 and outlines.pop().startswith("M")  # the segment, in every pane
    expect(page.locator("[data-part=live]")).to_contain_text(f"error {m['arms'][0]['title']}")
    page.mouse.move(3, 3)
    expect(page.locator("[data-part=card]")).to_be_hidden()


def test_keys_move_the_mark_and_raise(visit, messages, heard):
    page, m = visit(), messages["photo"]
    page.focus("[data-pane='sees:0']")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    token = 5 * 14 + 7
    assert card_of(page)["score"] == number(m["scores"][token])
    expect(page.locator("[data-part=live]")).to_contain_text(f"score {number(m['scores'][token])}")
    page.keyboard.press("+")
    expect(page.locator("[data-part=level]")).to_have_text("1.5 ×")
    page.keyboard.press("0")
    expect(page.locator("[data-part=level]")).to_have_text("1 ×")
    page.keyboard.press("Shift+Enter")
    assert heard.get(timeout=20) == {"focus": [[m["token_segment"][token], -3]]}
    page.keyboard.press("Escape")
    expect(page.locator("[data-part=card]")).to_be_hidden()
    assert all(page.locator(f"[data-pane='{pane}']").get_attribute("aria-label") for pane in PANES)


def test_switches_change_their_own_panes(visit):
    page = visit("other")

    def click(action):
        return lambda: page.click(f"[data-action='{action}']")

    for action, panes in {
        "outlines": {"sees:0"},
        "colours": {"sees:0"},
        "alone": {"imagines:1", "imagines:2"},
        "truth": {"imagines:1", "imagines:2"},
        "chance": {"errs:0"},
        "scale:own": {"errs:1", "errs:2"},
        "scale:difference": {"errs:0", "errs:1", "errs:2"},
    }.items():
        assert changed(page, click(action)) == panes, action
        assert page.get_attribute(f"[data-action='{action}']", "aria-pressed") == str(action != "outlines").lower()
    page.click("[data-action='scale:common']")
    assert changed(page, click("scale:common")) == set()


def test_true_statistics_are_offered_where_they_exist(visit, messages):
    page = visit("photo")
    expect(page.locator("[data-part=statistics]")).to_be_hidden()
    page.click("[data-action=alone]")
    own = pixels(page, "imagines:1").astype(float)
    page.click("#more")
    expect(page.locator("[data-part=statistics]")).to_be_visible()
    page.click("[data-action=truth]")
    assert np.abs(pixels(page, "imagines:1") - own / 2).mean() < 2  # the fixture's second picture is half as bright


def test_difference_is_blue_or_orange(visit, messages):
    page, m = visit(), messages["photo"]
    page.click("[data-action='scale:difference']")
    gap = np.subtract(*(arm["error"] for arm in m["arms"])).reshape(14, 14)
    sizes = np.sort(np.abs(gap[gap != 0]))
    scale = sizes[int(np.ceil(0.99 * (len(sizes) - 1)))]
    assert page.inner_text("[data-part=scale] small").split() == [f"{scale:.2f}"] * 2
    lead = np.clip(np.abs(gap) / scale, 0, 1)[..., None]
    whole = PAPER + lead * (np.where(gap[..., None] > 0, ORANGE, BLUE) - PAPER)
    wanted = {
        "errs:0": whole,
        "errs:1": np.where(gap[..., None] < 0, whole, PAPER),
        "errs:2": np.where(gap[..., None] > 0, whole, PAPER),
    }
    for pane, colours in wanted.items():
        shown = pixels(page, pane)
        centres = ((np.arange(14) + 0.5) * len(shown) / 14).astype(int)
        assert np.abs(shown[centres][:, centres] - colours).max() < 1.5, pane


def test_the_divider_works_by_keyboard(visit):
    page = visit("clip")
    page.focus("[data-action=swipe]")
    page.keyboard.press("Enter")
    divider = page.locator("[data-part=divider]")
    expect(divider).to_be_focused()
    stage = "[data-part=stage] canvas"
    pictures = {}
    for key, now in (("End", 100), ("Home", 0)):
        page.keyboard.press(key)
        expect(divider).to_have_attribute("aria-valuenow", str(now))
        pictures[now] = picture(page, stage)
    left, right = pictures[100], pictures[0]
    assert not np.array_equal(left, right)
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "20")
    both, edge = picture(page, stage), round(0.2 * left.shape[1])
    assert np.array_equal(both[:, :edge], left[:, :edge]) and np.array_equal(both[:, edge:], right[:, edge:])
    page.keyboard.press(".")
    assert page.get_attribute(".fm", "data-frame") == "1" and not np.array_equal(picture(page, stage), both)
    page.select_option("[data-part=swipe-left]", "0:photo")
    divider.focus()
    page.keyboard.press("End")
    shown = picture(page, stage)
    box = page.locator("[data-part=stage]").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 80, steps=3)
    page.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "25")
    assert not np.array_equal(picture(page, stage), shown)
    OUT.mkdir(exist_ok=True)
    page.screenshot(path=OUT / "viewer-divider.png")
    page.keyboard.press("Escape")
    expect(page.locator("[data-part=swipe]")).to_be_hidden()
    expect(page.locator("[data-action=swipe]")).to_be_focused()


def test_a_click_raises_the_segment_there(visit, photo, heard):
    page = visit()
    first, second = segment_at(photo, 0.32, 0.2), segment_at(photo, 0.8, 0.5)
    assert first != second
    page.mouse.click(*place(page, "sees:0", 0.32, 0.2))
    assert heard.get(timeout=20) == {"focus": [[first, 3]]}
    expect(page.locator(".fm-badges span")).to_have_count(3)
    expect(page.locator(f"[data-segment='{first}']")).to_have_class("fm-up fm-hot")
    page.keyboard.down("Shift")
    page.mouse.click(*place(page, "imagines:0", 0.8, 0.5))
    page.keyboard.up("Shift")
    assert heard.get(timeout=20) == {"focus": sorted([[first, 3], [second, -3]])}
    page.locator("[data-part=strength]").fill("5")
    assert heard.get(timeout=20) == {"focus": sorted([[first, 5], [second, -5]])}
    page.mouse.click(*place(page, "sees:0", 0.32, 0.2))  # the same touch takes it back
    assert heard.get(timeout=20) == {"focus": [[second, -5]]}
    page.click("[data-action='mode:lower']")
    page.mouse.click(*place(page, "errs:0", 0.32, 0.2))
    assert heard.get(timeout=20) == {"focus": sorted([[first, -5], [second, -5]])}
    page.click("[data-action=reset_focus]")
    assert heard.get(timeout=20) == {"focus": []}
    expect(page.locator(".fm-badges span")).to_have_count(0)
    page.click("[data-action='mode:off']")
    page.mouse.click(*place(page, "sees:0", 0.32, 0.2))
    page.mouse.click(*place(page, "sees:1", 0.32, 0.2))
    page.wait_for_timeout(600)
    assert heard.empty()


def test_clicks_beside_segments_break_nothing(visit, heard):
    page = visit("holes")
    page.mouse.click(*place(page, "sees:0", 0.1, 0.5))
    assert card_of(page)[""] == "no segment"
    page.click("[data-action=colours]")
    page.wait_for_timeout(600)
    assert heard.empty()


def test_the_list_marks_and_raises(visit, messages, heard):
    page, m = visit(), messages["photo"]
    order = sorted(m["segments"], key=lambda row: -row["chance"] * row["area"])
    rows = page.locator("[data-segment]")
    assert [int(row.get_attribute("data-segment")) for row in rows.all()] == [row["id"] for row in order[:6]]
    rows.nth(2).hover()
    outlines = page.eval_on_selector_all(".fm-line.fm-hovered", "paths => paths.map((p) => p.getAttribute('d'))")
    assert len(outlines) == 9 and len(set(outlines)) == 1 and outlines[0]
    rows.nth(2).locator(".fm-less").click()
    assert heard.get(timeout=20) == {"focus": [[order[2]["id"], -3]]}
    rows.nth(2).locator(".fm-segment").click()
    assert heard.get(timeout=20) == {"focus": [[order[2]["id"], 3]]}
    expect(page.locator("[data-part=segment-about]")).to_contain_text(f"superpixels, {m['segment_count']} segments")


def test_what_the_run_was_asked_for_is_shown(visit, heard):
    page = visit()
    expect(page.locator("[data-action='mode:draw']")).to_have_count(0)
    page.click("#more")  # a run with segment 2 raised and 5 lowered, by a segmenter that takes clicks
    expect(page.locator("[data-segment='2']")).to_have_class("fm-up")
    expect(page.locator("[data-segment='5']")).to_have_class("fm-down")
    expect(page.locator("[data-part=strength]")).to_have_value("4")
    page.click("[data-action='mode:draw']")
    page.mouse.click(*place(page, "sees:0", 0.25, 0.75), button="left")
    found = heard.get(timeout=20)
    assert (found["label"], found["frame"]) == (1, 0)
    assert found["x"] == pytest.approx(0.25, abs=0.01) and found["y"] == pytest.approx(0.75, abs=0.01)
    page.keyboard.down("Shift")
    page.mouse.click(*place(page, "sees:0", 0.25, 0.75))
    page.keyboard.up("Shift")
    assert heard.get(timeout=20)["label"] == 0


def test_a_text_has_a_layer_of_its_own(visit, photo):
    page = visit()
    expect(page.locator("[data-action=fit]")).to_be_hidden()
    page = visit("worded")
    expect(page.locator("[data-action=fit]")).to_have_attribute("aria-pressed", "true")
    layer = pixels(page, "errs:0").astype(int)
    side = len(layer)
    ids = photo.segments.labels[0]
    rows = (np.arange(side) + 0.5) * len(ids) // side
    ids = ids[rows.astype(int)][:, rows.astype(int)]
    red, green, blue = layer.transpose(2, 0, 1)
    for colour, expected in ((red + green - 2 * blue, 4), (green - red, 7)):  # viridis ends in yellow, by way of green
        assert max(range(1, photo.segments.count + 1), key=lambda number: colour[ids == number].mean()) == expected
    assert page.get_attribute("[data-pane='errs:0']", "aria-label") == "How well each segment fits a dog; a sail"
    y, x = (axis.mean() for axis in np.nonzero(ids == 4))
    assert ids[int(y), int(x)] == 4
    page.mouse.move(*place(page, "sees:0", x / side, y / side))
    assert card_of(page)["fits a sail"] == "0.90"
    assert changed(page, lambda: page.click("[data-action=chance]")) == {"errs:0"}


def test_frames_step_with_keys(visit):
    page = visit("clip")
    expect(page.locator("[data-action=play]").first).to_have_attribute("aria-pressed", "false")
    first = {pane: pixels(page, pane) for pane in PANES}
    page.focus("[data-part=scrub]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute(".fm", "data-frame") == "2"
    expect(page.locator("[data-part=count]")).to_have_text("frame 3 of 16")
    assert all(not np.array_equal(first[pane], pixels(page, pane)) for pane in PANES)
    page.focus("[data-pane='sees:1']")
    page.keyboard.press("ArrowRight")  # moves the mark
    assert page.get_attribute(".fm", "data-frame") == "2"
    page.keyboard.press(",")
    page.keyboard.press(",")
    assert page.get_attribute(".fm", "data-frame") == "0"
    page.keyboard.press("Escape")
    assert all(np.array_equal(first[pane], pixels(page, pane)) for pane in PANES)
    page.keyboard.press(" ")
    page.wait_for_function("document.querySelector('.fm').dataset.frame >= 2", timeout=SLOW)
    page.keyboard.press(" ")
    expect(page.locator("[data-action=play]").first).to_have_attribute("aria-pressed", "false")


def test_zoom_and_pointer_are_shared(visit, photo, messages, heard):
    page, m = visit(), messages["photo"]
    before = {pane: pixels(page, pane) for pane in PANES}
    page.mouse.move(*place(page, "imagines:1", 0.3, 0.2))

    def roll():
        for _ in range(4):
            page.mouse.wheel(0, -120)
        expect(page.locator("[data-part=level]")).to_have_text("3.3 ×")

    assert changed(page, roll) == set(PANES)
    page.mouse.move(*place(page, "errs:1", 0.8, 0.6))
    k = np.exp(4 * 120 * 0.0025)
    x, y = 0.3 + (0.8 - 0.3) / k, 0.2 + (0.6 - 0.2) / k
    token = int(14 * y) * 14 + int(14 * x)
    assert card_of(page)["score"] == number(m["scores"][token])
    page.mouse.click(*place(page, "sees:0", 0.8, 0.6))
    assert heard.get(timeout=20) == {"focus": [[segment_at(photo, x, y), 3]]}

    def drag():
        page.mouse.move(*place(page, "sees:0", 0.5, 0.5))
        page.mouse.down()
        page.mouse.move(*place(page, "sees:0", 0.2, 0.3), steps=4)
        page.mouse.up()

    assert changed(page, drag) == set(PANES)
    page.wait_for_timeout(500)
    assert heard.empty()  # a drag is no click
    page.mouse.dblclick(*place(page, "sees:2", 0.5, 0.5))
    expect(page.locator("[data-part=level]")).to_have_text("1 ×")
    assert all(np.array_equal(before[pane], pixels(page, pane)) for pane in PANES)


def test_every_view_has_its_say(visit, messages):
    page, m = visit("clip"), messages["clip"]
    assert len(m["views"]) == 2
    for column, name in enumerate((None, "random", "select")):
        rows = page.locator(f"[data-part=bars-{column}] .fm-views li")
        expect(rows).to_have_count(2)
        for row, view in zip(rows.all(), m["views"], strict=True):
            best = (view["strategies"][name] if name else view["full"])[0]
            expect(row).to_contain_text(f"{view['times'][0]:.1f}–{view['times'][1]:.1f} s")
            expect(row).to_contain_text(best["label"])
    for rule in ("any", "mean"):
        page.click(f"[data-action='combine:{rule}']")
        best = m["combined"][rule]["strategies"]["select"][0]
        top = page.locator("[data-part=bars-2] ol li").first
        expect(top).to_contain_text(best["label"])
        expect(top.locator("em")).to_have_text(f"{best['probability']:.2f}")


def test_a_finger_raises_what_it_taps(visit, photo, heard):
    page = visit("photo", 390, 844, has_touch=True, is_mobile=True, device_scale_factor=2)
    expect(page.locator("[data-part=mode]")).to_be_hidden()
    page.tap("[data-action=fold]")
    page.tap("[data-action=colours]")
    page.locator("[data-pane='sees:0']").scroll_into_view_if_needed()
    page.touchscreen.tap(*place(page, "sees:0", 0.32, 0.2))
    assert heard.get(timeout=20) == {"focus": [[segment_at(photo, 0.32, 0.2), 3]]}
    expect(page.locator("[data-part=card]")).to_be_visible()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    OUT.mkdir(exist_ok=True)
    page.screenshot(path=OUT / "viewer-390-open.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", [(390, 844), (1440, 1000), (2560, 1440)])
def test_looks(visit, width, height, scheme):
    page = visit("clip" if width == 1440 else "photo", width, height, color_scheme=scheme)
    page.mouse.move(*place(page, "sees:2", 0.5, 0.5))
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    side = page.locator("[data-pane='sees:1']").bounding_box()["width"]
    assert side > {390: 140, 1440: 175, 2560: 300}[width]
    if width > 390:  # the words of every column stand on the first screen
        assert page.locator("[data-part=bars-2] li").nth(2).bounding_box()["y"] < height
    smallest = page.evaluate(
        "Math.min(...[...document.querySelectorAll('.fm *')].filter((e) => e.offsetWidth && e.childElementCount === 0"
        " && e.textContent.trim() && !e.matches('.fm-unseen')).map((e) => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= (13 if width == 2560 else 11)
    OUT.mkdir(exist_ok=True)
    page.screenshot(path=OUT / f"viewer-{width}-{scheme}.png", full_page=width == 390)
