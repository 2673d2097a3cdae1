"""How well segments follow what people drew, beside plain SLIC and Felzenszwalb with as many regions.

``python -m focusmae segments DATA``: every source and both peers see the same square view of the same picture. The
peers are set, picture by picture, to come as near as they can to our number of regions. Means over pictures with 95 %
bootstrap intervals; several people's maps of one picture are averaged first.
"""

import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from skimage.segmentation import felzenszwalb, slic

from focusmae import device
from focusmae.errors import FocusMAEError, MediaError
from focusmae.labelled import Labelled, find_labelled, is_object_mask, maps_of
from focusmae.media import open_media
from focusmae.metrics import bootstrap_interval
from focusmae.segments.base import Segmenter, load_segmenter
from focusmae.segments.quality import achievable_accuracy, achievable_overlap, boundary_recall, tolerance_of
from focusmae.segments.superpixels import CRUMB

MEASURES = {
    "boundary_recall": "boundary recall",
    "boundary_precision": "boundary precision",
    "accuracy": "achievable accuracy",
    "overlap": "achievable overlap",
    "regions": "regions",
    "seconds": "seconds",
}
_JUDGED = ("boundary_recall", "boundary_precision", "accuracy", "overlap")
NOTE = (
    "A boundary counts as found within 0.0075 diagonals of the view, at least 2 pixels. Achievable accuracy: share of "
    "pixels that are right if every region takes its best label. Achievable overlap (maps of one object only): largest "
    "intersection over union of any set of regions with the object; on clips regions keep their id through all frames, "
    "except those of Felzenszwalb, who sees each frame alone and so counts a region anew in every frame."
)


def run(
    folder: Path,
    segmenters: Iterable[str] = ("superpixels",),
    checkpoint: str | None = None,
    part: str | None = None,
    limit: int | None = None,
    json_path: Path | None = None,
    note: Callable[[str], None] | None = None,
) -> dict:
    """Measure, print a Markdown table, return (and write) the report.

    Args:
        folder: see labelled.py.   part: which of its lists.   limit: evenly spread pictures, at most so many.
        note: told the name of every picture.
    Raises:
        MediaError: no picture that can be measured.   SettingsError, WeightsError: a segmenter that cannot be had.
    """
    device.setup()
    items = find_labelled(Path(folder), part)
    if limit and limit < len(items):
        items = [items[number * len(items) // limit] for number in range(limit)]
    sources = {name: load_segmenter(name, checkpoint) for name in segmenters}
    rows: dict[str, list[dict]] = {}
    skipped = []
    for item in items:
        if note:
            note(item.name)
        try:
            measured = measure(item, sources)
        except FocusMAEError as error:
            skipped.append({"name": item.name, "why": str(error)})
            continue
        for name, values in measured.items():
            rows.setdefault(name, []).append({"name": item.name, **values})
    if not rows:
        raise MediaError(f"None of the {len(items)} pictures could be measured: {skipped[0]['why']}")
    report = summarise(rows) | {"data": Path(folder).name, "part": part, "skipped": skipped}
    if json_path:
        Path(json_path).write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))
    return report


def measure(item: Labelled, sources: dict[str, Segmenter]) -> dict[str, dict[str, float]]:
    """The measures of every source and both peers on one picture or clip; the first source sets the peers' number."""
    media = open_media(item.media)
    view = media.view()
    maps = maps_of(item.maps, media, view)
    found, target = {}, 0
    for name, segmenter in sources.items():
        began = time.perf_counter()
        labels = segmenter(view).labels
        found[name] = judge(labels, maps, time.perf_counter() - began)
        target = target or int(found[name]["regions"])
    for name, peer in PEERS.items():
        labels, seconds = peer(view.frames, target)
        found[name] = judge(labels, maps, seconds)
    return found


def judge(labels: np.ndarray, maps: list[np.ndarray], seconds: float = 0.0) -> dict[str, float]:
    """MEASURES of labels (T, S, S), averaged over the maps; NaN for what no map allows to measure."""
    tolerance = tolerance_of(*labels.shape[1:])
    each = []
    for truth in maps:
        thing = truth != 0 if is_object_mask(truth) else np.zeros(truth.shape, dtype=bool)
        each.append(
            (
                boundary_recall(labels, truth, tolerance),
                boundary_recall(truth, labels, tolerance),
                achievable_accuracy(labels, truth),
                achievable_overlap(labels, thing),
            )
        )
    columns = (np.array(column) for column in zip(*each, strict=True))
    means = [float(c[np.isfinite(c)].mean()) if np.isfinite(c).any() else math.nan for c in columns]
    return dict(zip(_JUDGED, means, strict=True)) | {"regions": float(len(np.unique(labels))), "seconds": seconds}


def slic_like(frames: np.ndarray, target: int) -> tuple[np.ndarray, float]:
    """SLIC (Achanta et al., TPAMI 2012) with about ``target`` regions, in 3-D on clips, and its seconds."""
    picture = frames[0] if len(frames) == 1 else frames

    def attempt(wanted: float) -> np.ndarray:
        labels = slic(picture, n_segments=max(1, round(wanted)), compactness=10, start_label=1, channel_axis=-1)
        return labels.reshape(frames.shape[:3])

    return _nearest(attempt, target, target, steps=2)[:2]


def felzenszwalb_like(frames: np.ndarray, target: int) -> tuple[np.ndarray, float]:
    """Felzenszwalb and Huttenlocher (IJCV 2004) with about ``target`` regions in a frame, each frame alone.

    No region is smaller than the smallest of our superpixels: with scikit-image's least size of 20 pixels most of
    so few regions would be crumbs.
    """
    least = round(CRUMB * frames[0, ..., 0].size)

    def attempt(wanted: float, frame: np.ndarray = frames[0]) -> np.ndarray:
        return felzenszwalb(frame, scale=20_000 / wanted, sigma=0.8, min_size=least, channel_axis=-1)[None]

    wanted = _nearest(attempt, target, target, steps=7)[2]
    began = time.perf_counter()
    labels = np.empty(frames.shape[:3], dtype=np.int64)
    for number, frame in enumerate(frames):
        labels[number] = attempt(wanted, frame)[0] + (labels[number - 1].max() + 1 if number else 0)
    return labels, time.perf_counter() - began


PEERS: dict[str, Callable[[np.ndarray, int], tuple[np.ndarray, float]]] = {
    "slic": slic_like,
    "felzenszwalb": felzenszwalb_like,
}


def _nearest(
    attempt: Callable[[float], np.ndarray], target: int, first: float, steps: int
) -> tuple[np.ndarray, float, float]:
    """The attempt whose number of regions is nearest to ``target``, the seconds that it alone took, its argument."""
    results, wanted = [], first
    for _ in range(steps):
        began = time.perf_counter()
        labels = attempt(wanted)
        seconds = time.perf_counter() - began
        got = len(np.unique(labels))
        results.append((abs(got - target), labels, seconds, wanted))
        if got == target:
            break
        wanted *= target / got
    return min(results, key=lambda result: result[0])[1:]


def summarise(rows: dict[str, list[dict]]) -> dict:
    """Means with intervals for every source, and the first source's paired differences to every other."""
    first = next(iter(rows))
    sources = {name: {key: _mean([row[key] for row in each]) for key in MEASURES} for name, each in rows.items()}
    paired = {
        name: {
            key: _mean([ours[key] - theirs[key] for ours, theirs in zip(rows[first], each, strict=True)])
            for key in _JUDGED
        }
        for name, each in rows.items()
        if name != first
    }
    return {"pictures": len(rows[first]), "sources": sources, "paired": paired, "first": first, "note": NOTE}


def _mean(values: list[float]) -> dict | None:
    """Mean, interval and number of the finite values; None where there are none. One value has no interval."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    mean, low, high = bootstrap_interval(finite) if len(finite) > 1 else (finite[0], None, None)
    return {"mean": mean, "low": low, "high": high, "pictures": len(finite)}


def table(report: dict) -> str:
    """The report as Markdown."""
    shown = [key for key in MEASURES if any(values[key] for values in report["sources"].values())]
    of = f"{report['data']}, part {report['part']}" if report["part"] else report["data"]
    lines = [f"{of}: {report['pictures']} measured, {len(report['skipped'])} skipped", ""]
    lines += ["| | " + " | ".join(MEASURES[key] for key in shown) + " |", "|---|" + "---|" * len(shown)]
    for name, values in report["sources"].items():
        lines.append(f"| {name} | " + " | ".join(_cell(values[key], key) for key in shown) + " |")
    for name, values in report["paired"].items():
        cells = [_cell(values[key], key, sign="+") if key in values else "" for key in shown]
        lines.append(f"| {report['first']} minus {name} | " + " | ".join(cells) + " |")
    lines += ["", report["note"]]
    lines += [f"skipped {row['name']}: {row['why']}" for row in report["skipped"]]
    return "\n".join(lines)


def _cell(value: dict | None, key: str, sign: str = "") -> str:
    if value is None:
        return ""
    if key == "regions":
        return f"{value['mean']:.1f}"
    between = "" if value["low"] is None else f" [{value['low']:{sign}.3f}, {value['high']:{sign}.3f}]"
    return f"{value['mean']:{sign}.3f}{between}"
