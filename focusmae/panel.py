"""One page that says it all, fit for a slide: 1920 x 1080, drawn with Pillow and its own typeface. Pure."""

import math
import unicodedata

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from focusmae.render import (
    error_pane,
    error_scale,
    experts_pane,
    mask_pane,
    segments_pane,
    spotlight_pane,
    to_bytes,
)
from focusmae.strategies import STRATEGIES

SIZE = (1920, 1080)
GROUND, CARD, INK, SOFT, LINE = (251, 250, 247), (255, 255, 255), (29, 31, 35), (98, 102, 110), (222, 218, 209)
ARMS = ((63, 102, 159), (184, 92, 0))  # blue and orange, as on the page
MARGIN, ROWS, PANE, GAP = 64, 168, 224, 14
TOP, SIDE = 206, MARGIN + ROWS + 3 * PANE + 2 * GAP + 84
MEASURES = (  # key, words for one draw, words for many, how one is shown, whether less is better
    ("p_class", "p({label})", "p({label})", lambda v: f"{v:.3f}", False),
    ("agreement", "same class as all patches", "agreement", lambda v: "yes" if v > 0.5 else "no", False),
    ("heldout_mse", "error on held-out patches", "squared error, held out", lambda v: f"{math.sqrt(v):.4f}", True),
    ("picture_mse", "error of the whole picture", "squared error, picture", lambda v: f"{math.sqrt(v):.4f}", True),
)
ALIKE = 0.01


def draw_panel(comparison) -> np.ndarray:
    """uint8 (1080, 1920, 3): the first two strategies of a comparison side by side; of a clip its middle frame."""
    page = Image.new("RGB", SIZE, GROUND)
    pen = _Pen(page)
    arms = list(comparison.arms.items())[:2]
    kind = "photo" if comparison.input["kind"] == "image" else "clip"
    pen.text((MARGIN, 84), f"Same {kind}, same budget of {len(arms[0][1].visible)} patches, same noise.", 46)
    titles = [STRATEGIES[name].title for name, _ in arms]
    both = f"{' on the left, '.join(titles)} on the right" if len(arms) > 1 else titles[0]
    settings = f"keep ratio {100 * comparison.settings.keep:g} %, seed {comparison.settings.seed}"
    pen.text((MARGIN, 126), f"{both}, through the same networks; {settings}", 24, SOFT)
    _panes(page, pen, comparison, arms)
    y = _verdict(pen, comparison, arms, titles)
    _evidence(pen, comparison, titles, y + 60)
    _foot(pen, comparison)
    return np.asarray(page)


class _Pen:
    """Writes with Pillow's own typeface, which knows plain letters only."""

    def __init__(self, page: Image.Image):
        self.draw = ImageDraw.Draw(page)

    def text(self, place, words: str, size: int, colour=INK, anchor: str = "ls", bold: bool = False) -> None:
        plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
        self.draw.text(
            place, plain, fill=colour, font=ImageFont.load_default(size), anchor=anchor,
            stroke_width=0.4 if bold else 0, stroke_fill=colour,
        )  # fmt: skip

    def fitted(self, place, words: str, size: int, width: int, colour=INK, bold: bool = False) -> None:
        """The words, cut where they would leave ``width``."""
        font = ImageFont.load_default(size)
        while words and font.getlength(words) > width:
            words = words[:-4].rstrip() + "..." if len(words) > 6 else ""
        self.text(place, words, size, colour, bold=bold)


def _panes(page: Image.Image, pen: _Pen, comparison, arms) -> None:
    frame = comparison.pixels.shape[0] // 2
    frames, grid = comparison.pixels, tuple(comparison.grid)
    shape = frames.shape[:3]
    scale = error_scale([arm.token_error for _, arm in arms])
    columns = [
        [
            segments_pane(comparison.view.frames, comparison.segments.labels),
            spotlight_pane(frames, comparison.scores, grid),
            experts_pane(frames, comparison.gates, grid),
        ]
    ]
    for _, arm in arms:
        pictures = [mask_pane(frames, arm.visible, grid), to_bytes(arm.pasted)]
        columns.append([*pictures, error_pane(arm.token_error, grid, shape, scale)])
    heads = [("Everything", SOFT, f"{comparison.grid.tokens}")]
    heads += [
        (STRATEGIES[name].title, colour, f"{len(arm.visible)} seen")
        for (name, arm), colour in zip(arms, ARMS, strict=False)
    ]
    for number, ((title, colour, note), pictures) in enumerate(zip(heads, columns, strict=True)):
        x = MARGIN + ROWS + number * (PANE + GAP)
        pen.draw.rounded_rectangle((x, TOP - 37, x + 15, TOP - 22), 4, fill=colour)
        pen.fitted((x + 26, TOP - 22), title, 22, PANE - 100, bold=True)
        pen.text((x + PANE, TOP - 22), note, 17, SOFT, anchor="rs")
        for row, picture in enumerate(pictures):
            _place(page, picture[frame], (x, TOP + row * (PANE + GAP)))
        said = comparison.full if number == 0 else arms[number - 1][1].prediction
        _bars(pen, said, x, TOP + 3 * (PANE + GAP), colour)
    words = (("It sees", "visible patches"), ("It imagines", "the rest"), ("It errs", "one scale"), ("It says", ""))
    for row, (title, note) in enumerate(words):
        y = TOP + row * (PANE + GAP) + 24
        pen.text((MARGIN, y), title, 22, bold=True)
        pen.text((MARGIN, y + 26), note, 17, SOFT)
    for row, note in enumerate((f"{comparison.segments.count} segments", "importance", "experts")):
        _tag(page, note, (MARGIN + ROWS + 8, TOP + row * (PANE + GAP) + PANE - 32))


def _tag(page: Image.Image, words: str, corner: tuple[int, int]) -> None:
    """Words on a dark, see-through ground, over a picture."""
    width = round(ImageFont.load_default(14).getlength(words)) + 18
    tag = Image.new("RGBA", (width, 24))
    ImageDraw.Draw(tag).rounded_rectangle((0, 0, width - 1, 23), 11, fill=(20, 20, 22, 170))
    ImageDraw.Draw(tag).text((9, 17), words, fill=(255, 255, 255), font=ImageFont.load_default(14), anchor="ls")
    page.paste(tag, corner, tag)


def _place(page: Image.Image, picture: np.ndarray, corner: tuple[int, int]) -> None:
    """Paste a square picture with round corners."""
    square = Image.fromarray(picture).resize((PANE, PANE), Image.Resampling.LANCZOS)
    mask = Image.new("L", (4 * PANE, 4 * PANE))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * PANE - 1, 4 * PANE - 1), 56, fill=255)
    page.paste(square, corner, mask.resize((PANE, PANE), Image.Resampling.LANCZOS))


def _bars(pen: _Pen, prediction: list[dict], x: int, y: int, colour) -> None:
    for row, said in enumerate(prediction[:3]):
        base = y + 20 + 28 * row
        pen.fitted((x + 2, base), said["label"], 17, PANE - 60)
        pen.text((x + PANE - 2, base), f"{said['probability']:.2f}", 17, SOFT, anchor="rs")
        pen.draw.rounded_rectangle((x, base + 5, x + PANE, base + 8), 2, fill=LINE)
        end = x + max(2, round(PANE * min(1.0, said["probability"])))
        pen.draw.rounded_rectangle((x, base + 5, end, base + 8), 2, fill=colour)


def _verdict(pen: _Pen, comparison, arms, titles) -> int:
    """The measures of this draw; returns where the next thing may begin."""
    right, y = SIZE[0] - MARGIN, TOP - 18
    pen.text((SIDE, y), "With this draw", 28, bold=True)
    label = comparison.full[0]["label"] if comparison.full else "class"
    for key, words, _, shown, less in MEASURES:
        values = [arm.metrics[key] for _, arm in arms if key in arm.metrics]
        if len(values) < len(arms):
            continue
        y += 66
        pen.fitted((SIDE, y), words.format(label=label), 22, right - SIDE - 240)
        for value, colour, place in zip(values, ARMS, (right - 130, right), strict=False):
            pen.text((place, y), shown(value), 22, colour, anchor="rs", bold=True)
        signed = [-value if less else value for value in values]
        alike = math.isclose(min(signed), max(signed), rel_tol=ALIKE, abs_tol=1e-9)
        best = int(np.argmax(signed))
        judged = "no difference" if alike else f"{titles[best]} is better here"
        pen.text((SIDE, y + 24), judged, 17, SOFT if alike else ARMS[best])
    return y + 40


def _evidence(pen: _Pen, comparison, titles, y: int) -> None:
    """Mean and interval of the paired differences, to the right of zero where the second arm is better."""
    rows = [(key, words, less) for key, _, words, _, less in MEASURES if key in comparison.paired]
    if not rows:
        return
    seeds = comparison.paired[rows[0][0]]["seeds"]
    right = SIZE[0] - MARGIN
    pen.text((SIDE, y), f"Over {seeds} draws of this input", 28, bold=True)
    pen.text((SIDE, y + 28), "paired differences, mean and 95 % interval; the same noise for both arms", 17, SOFT)
    middle, reach = (SIDE + right) // 2 + 130, (right - SIDE) // 2 - 140
    for number, (key, words, less) in enumerate(rows):
        found, base = comparison.paired[key], y + 84 + 66 * number
        sign = -1 if less else 1
        mean, ends = sign * found["mean_difference"], sorted((sign * found["low"], sign * found["high"]))
        widest = max(abs(mean), *map(abs, ends), 1e-12)
        place = lambda v, widest=widest: middle + v / widest * reach  # noqa: E731
        colour = ARMS[1] if ends[0] > 0 else ARMS[0] if ends[1] < 0 else SOFT
        pen.fitted((SIDE, base), words.format(label=comparison.full[0]["label"]), 20, 250)
        figures = f"{found['mean_difference']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"
        pen.text((SIDE, base + 22), figures, 15, SOFT)
        pen.draw.line((middle, base - 20, middle, base + 24), fill=LINE, width=2)
        pen.draw.line((place(ends[0]), base, place(ends[1]), base), fill=colour, width=4)
        pen.draw.ellipse((place(mean) - 8, base - 8, place(mean) + 8, base + 8), fill=colour)
    base = y + 84 + 66 * len(rows)
    pen.text((middle - 14, base), f"{titles[0]} ahead", 17, ARMS[0], anchor="rs")
    pen.text((middle + 14, base), f"{titles[-1]} ahead", 17, ARMS[1])


def _foot(pen: _Pen, comparison) -> None:
    weights = "; ".join(f"{row['role']} {row['name']} ({row['licence']})" for row in comparison.weights)
    y = SIZE[1] - 28
    pen.draw.line((MARGIN, y - 26, SIZE[0] - MARGIN, y - 26), fill=LINE, width=1)
    words = f"FocusMAE. Segments: {comparison.segments.source}. Weights: {weights}."
    pen.fitted((MARGIN, y), words, 16, SIZE[0] - 2 * MARGIN, SOFT)
