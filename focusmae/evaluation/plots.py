"""Two figures of the report, drawn with Pillow: curves over the keep ratio, and differences from random.

Minus signs are hyphens here: the font that Pillow brings has no other.
"""

import math
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from focusmae.evaluation.protocol import CURVE_ARMS, LOWER_IS_BETTER
from focusmae.evaluation.report import ALL
from focusmae.evaluation.tables import KINDS, NAMES, PERCENT, number

INK, SOFT, LINE, PAPER = "#1d1f23", "#62666e", "#e6e3dc", "#ffffff"
ORANGE, BLUE = "#d9700a", "#4a6fa5"
COLOURS = {"select": ORANGE, "random": BLUE, "lattice": "#7a7f87", "centre": "#40916c", "spread": "#9c2b2b"}
SCALE = 2  # drawn at twice the size, so that text and slopes are smooth on any screen
CURVES = ("top1", "p_true", "judge_top1", "agreement", "heldout_mse", "picture_mse", "foreground_share")
DIFFERENCES = ("top1", "agreement", "heldout_mse")
WIDTH, HEIGHT, MARGIN = 420, 300, 52


def write_plots(report: dict, folder: Path) -> list[Path]:
    """Write curves.png and differences.png for what the report holds; returns their paths."""
    written = []
    panels = [
        (kind, metric)
        for kind in KINDS
        for metric in CURVES
        if len({line["keep"] for line in _lines(report, kind, metric) if line["strategy"] == "random"}) > 1
    ]
    if panels:
        columns = min(3, len(panels))
        image = _blank(columns * WIDTH, math.ceil(len(panels) / columns) * HEIGHT)
        for place, (kind, metric) in enumerate(panels):
            row, column = divmod(place, columns)
            _curve(_Pen(image, column * WIDTH, row * HEIGHT), report, kind, metric)
        written.append(folder / "curves.png")
        image.save(written[-1], optimize=True)
    forests = [found for kind in KINDS if (found := _forest_lines(report, kind))]
    if forests:
        image = _blank(760, sum(70 + 24 * len(lines) for lines in forests))
        top = 0
        for lines in forests:
            _forest(_Pen(image, 0, top), report, lines)
            top += 70 + 24 * len(lines)
        written.append(folder / "differences.png")
        image.save(written[-1], optimize=True)
    return written


class _Pen:
    """Draws on a part of a picture, in points of which each is SCALE pixels."""

    def __init__(self, image: Image.Image, left: int, top: int):
        self._draw, self._left, self._top = ImageDraw.Draw(image), left, top

    def _at(self, points) -> list[tuple[float, float]]:
        return [(SCALE * (self._left + x), SCALE * (self._top + y)) for x, y in points]

    def line(self, points, colour: str, width: float = 1) -> None:
        self._draw.line(self._at(points), fill=colour, width=round(SCALE * width), joint="curve")

    def dot(self, x: float, y: float, colour: str, radius: float = 3) -> None:
        self._draw.ellipse(self._at([(x - radius, y - radius), (x + radius, y + radius)]), fill=colour)

    def text(self, x: float, y: float, words: str, colour: str = SOFT, size: int = 11, anchor: str = "lm") -> None:
        font = ImageFont.load_default(size * SCALE)
        self._draw.text(self._at([(x, y)])[0], words, fill=colour, font=font, anchor=anchor)


def _blank(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (SCALE * width, SCALE * height), PAPER)


def _lines(report: dict, kind: str, metric: str) -> list[dict]:
    return [line for line in report["results"] if line["kind"] == kind and line["metric"] == metric]


def _curve(pen: _Pen, report: dict, kind: str, metric: str) -> None:
    """One metric over the keep ratio (logarithmic), its arms with intervals, all tokens as a dashed line."""
    lines = _lines(report, kind, metric)
    arms = [arm for arm in CURVE_ARMS if sum(line["strategy"] == arm for line in lines) > 1]
    shown = [line for line in lines if line["strategy"] in (*arms, ALL)]
    keeps = sorted({line["keep"] for line in shown if line["strategy"] != ALL})
    ends = [v for line in shown for v in (line["low"], line["high"], line["mean"]) if v is not None]
    across = _scale(math.log(keeps[0]), math.log(keeps[-1]), MARGIN, WIDTH - 96)
    ticks = _ticks(min(ends), max(ends))
    up = _scale(min(ticks[0], min(ends)), max(ticks[-1], max(ends)), HEIGHT - 40, 34)
    better = "lower is better" if metric in LOWER_IS_BETTER else "higher is better"
    unit = " x 1000" if metric.endswith("_mse") else ""
    pen.text(MARGIN, 14, f"{KINDS[kind]}: {NAMES[metric]}{unit}", INK, 12)
    pen.text(WIDTH - 96, 14, better, SOFT, 10, "rm")
    for tick in ticks:
        pen.line([(MARGIN - 4, up(tick)), (WIDTH - 92, up(tick))], LINE)
        pen.text(MARGIN - 6, up(tick), _tick(tick, metric), anchor="rm")
    for keep in keeps:
        pen.text(across(math.log(keep)), HEIGHT - 26, f"{keep:.0%}", anchor="mm")
    pen.text((MARGIN + WIDTH - 96) / 2, HEIGHT - 10, "tokens kept", anchor="mm")
    labels = []
    for line in (line for line in shown if line["strategy"] == ALL):
        for x in range(MARGIN, WIDTH - 96, 10):
            pen.line([(x, up(line["mean"])), (x + 5, up(line["mean"]))], SOFT)
        labels.append((up(line["mean"]), "all tokens", SOFT))
    for place, arm in enumerate(sorted(arms, key=lambda name: name == "select")):
        own = sorted((line for line in shown if line["strategy"] == arm), key=lambda line: line["keep"])
        aside = 3 * (place - (len(arms) - 1) / 2)  # so that no interval hides another
        points = [(across(math.log(line["keep"])) + aside, up(line["mean"])) for line in own]
        pen.line(points, COLOURS[arm], 2)
        for (x, y), line in zip(points, own, strict=True):
            if line["low"] is not None:
                pen.line([(x, up(line["low"])), (x, up(line["high"]))], COLOURS[arm])
            pen.dot(x, y, COLOURS[arm])
        labels.append((points[-1][1], report["arms"][arm]["title"], COLOURS[arm]))
    # Names at the ends of their lines, pushed down where they collide, and up again from the bottom.
    places, labels = [], sorted(labels)
    for y, *_ in labels:
        places.append(max([y, *(last + 14 for last in places[-1:])]))
    floor = HEIGHT - 40
    for place in reversed(range(len(places))):
        places[place] = floor = min(places[place], floor)
        floor -= 14
    for y, (_, words, colour) in zip(places, labels, strict=True):
        pen.text(WIDTH - 86, y, words, colour)


def _forest_lines(report: dict, kind: str) -> list[dict]:
    """The differences from random at the keep ratio nearest to a tenth, of the first metric that there is."""
    for metric in DIFFERENCES:
        found = [
            line
            for line in report["paired"]
            if (line["kind"], line["against"], line["metric"]) == (kind, "random", metric) and line["low"] is not None
        ]
        if found:
            keep = min({line["keep"] for line in found}, key=lambda each: abs(each - 0.1))
            shown = [line for line in found if line["keep"] == keep and line["strategy"] != "wrong"]
            return sorted(shown, key=lambda line: -line["mean_difference"])
    return []


def _forest(pen: _Pen, report: dict, lines: list[dict]) -> None:
    first = lines[0]
    metric, ends = first["metric"], [0.0, *(line[end] for line in lines for end in ("low", "high"))]
    ticks = _ticks(min(ends), max(ends))
    across = _scale(min(ticks[0], min(ends)), max(ticks[-1], max(ends)), 210, 640)
    bottom = 40 + 24 * len(lines)
    pen.text(16, 18, f"{KINDS[first['kind']]}, {first['keep']:.0%} kept: {NAMES[metric]} minus random", INK, 13)
    for tick in ticks:
        pen.line([(across(tick), 34), (across(tick), bottom)], SOFT if tick == 0 else LINE)
        pen.text(across(tick), bottom + 12, _tick(tick, metric, True), anchor="mm")
    for place, line in enumerate(lines):
        y, arm = 48 + 24 * place, line["strategy"]
        colour = ORANGE if arm == "select" else INK
        pen.text(200, y, report["arms"][arm]["title"], colour, 11, "rm")
        pen.line([(across(line["low"]), y), (across(line["high"]), y)], colour, 2)
        pen.dot(across(line["mean_difference"]), y, colour, 3.5)
        pen.text(652, y, number(line["mean_difference"], metric, True).replace("−", "-"), colour)


def _scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    """Values from ``low`` to ``high`` -> places from ``first`` to ``last``."""
    return lambda value: first + (last - first) * (value - low) / ((high - low) or 1.0)


def _ticks(low: float, high: float) -> list[float]:
    """About four round numbers that lie between the two, or one where they are equal."""
    if high <= low:
        return [low]
    rough = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = unit * next(times for times in (1, 2, 2.5, 5, 10) if times * unit >= 0.99 * rough)
    return [step * place for place in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _tick(value: float, metric: str, signed: bool = False) -> str:
    if metric in PERCENT:
        return f"{100 * value:{'+' if signed and value else ''}.3g} %"
    scale = 1000 if metric.endswith("_mse") else 1
    return f"{scale * value:{'+' if signed and value else ''}.3g}"
