"""How the browser tests look at the page: its runs, its pixels, its evidence."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page

OUT = Path(__file__).parent / "out"
PAPER = {"light": (239, 237, 231), "dark": (36, 40, 47)}
SLOW = 120_000  # milliseconds; for machines with other work


def runs(page: Page) -> int:
    """How many results the page has shown; the finished example is the first."""
    return int(page.get_attribute(".fm", "data-run"))


def wait_run(page: Page, after: int) -> None:
    """Wait for a later result than the ``after``-th, and for the work to end."""
    page.wait_for_function(
        "n => Number(document.querySelector('.fm').dataset.run) > n && !document.querySelector('.fm-busy')",
        arg=after,
        timeout=SLOW,
    )


def wait_draws(page: Page, draws: int) -> None:
    """Wait until the panel of evidence shows so many draws."""
    page.wait_for_function(
        "n => Number(document.querySelector('.fm-evidence').dataset.draws) === n", arg=draws, timeout=SLOW
    )


def picture(page: Page, selector: str) -> np.ndarray:
    """uint8 (H, W, 3) of a canvas, as it is once all that was wished for is drawn."""
    url = page.evaluate(
        "s => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>"
        " done(document.querySelector(s).toDataURL()))))",
        selector,
    )
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


def pixels(page: Page, pane: str) -> np.ndarray:
    """uint8 (H, W, 3) of one pane's canvas."""
    return picture(page, f"[data-pane='{pane}'] canvas")


def centres(side: int) -> np.ndarray:
    """The middle pixel of each of 14 patches along a canvas."""
    return ((np.arange(14) + 0.5) * side / 14).astype(int)


def seen(page: Page, arm: int, scheme: str = "light") -> np.ndarray:
    """The visible patches of one arm's first frame, as the canvas shows them: indices, ascending."""
    picture = pixels(page, f"sees:{arm}")
    places = centres(picture.shape[0])
    return np.flatnonzero((picture[places][:, places] != PAPER[scheme]).any(-1).ravel())


def far(page: Page, pane: str, wanted: np.ndarray) -> float:
    """Mean absolute difference of a pane and the picture (H, W, 3) that it should show, in levels of 255."""
    shown = pixels(page, pane)
    size = shown.shape[1], shown.shape[0]
    scaled = np.asarray(Image.fromarray(wanted).resize(size, Image.Resampling.BILINEAR))
    return float(np.abs(shown.astype(float) - scaled).mean())
