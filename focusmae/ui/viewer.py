"""The synchronised panes: one gr.HTML component, and the messages that it draws.

A message is a dict with a ``kind``: "progress", "result", "error" or "cancelled". The viewer keeps the last result, so
that everything else passes without disturbing the pictures. A result carries pictures as sprites (data URLs) and
numbers as arrays; every pane is composed from them in the browser, without a round trip.
"""

from __future__ import annotations

import json
import math
import weakref
from functools import cache
from pathlib import Path

import gradio as gr
import numpy as np

from focusmae.media.limits import LIMITS
from focusmae.render import error_scale, to_bytes
from focusmae.strategies import STRATEGIES
from focusmae.ui.sprites import columns_of, pack_labels, sprite
from focusmae.ui.text import WORDS

HERE = Path(__file__).parent
FIRST_SCRIPT = "words.js"  # in front of every component's own
SCRIPTS = (  # one closure, in this order: what is computed, drawn and written, then what answers the visitor
    "colours.js", "edges.js", "prepare.js", "paint.js", "build.js", "write.js", "card.js",
    "state.js", "pointer.js", "zoom.js", "keys.js", "frames.js", "focus.js", "swipe.js", "switches.js", "viewer.js",
)  # fmt: skip
LABELS_SIDE = {"image": 512, "clip": 256}  # pixels; segments are sent at most this fine
ALIKE = 0.01  # a difference of less than one per cent is called none
LOWER_IS_BETTER = {"heldout_mse": True, "picture_mse": True, "p_class": False, "agreement": False}

# View -> (its SegmentMap, sprites, share of each token in each segment): a new draw of the same input skips them
_sent: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


@cache
def script(names: tuple[str, ...] = SCRIPTS) -> str:
    """A component's JavaScript with the words of both languages, and what chooses among them, in front."""
    words = json.dumps(WORDS, ensure_ascii=False)
    return f"const WORDS = {words};\n" + "\n".join((HERE / name).read_text("utf-8") for name in (FIRST_SCRIPT, *names))


def make_viewer() -> gr.HTML:
    """The empty viewer. It emits two events, both with data in ``EventData._data``.

    "focus" {focus: [[segment id, change in logits], ...]}: the visitor raised or lowered segments, or took it all back.
    "click" {x, y, label, frame}: where a result says ``clickable``, a place in the view ([0, 1], from the left and from
    the top) that belongs (label 1) or does not belong (0) to a segment that the visitor wants.
    """
    return gr.HTML(
        None, html_template="", js_on_load=script(), apply_default_css=False, elem_id="viewer", show_label=False
    )


def progress(run: str, step: str, index: int, count: int, fraction: float) -> dict:
    """What the status line shows while ``run`` goes on: step ``index`` of ``count``, all done at ``fraction`` 1."""
    return {
        "kind": "progress", "run": run, "step": step, "index": index, "count": count, "fraction": round(fraction, 3),
    }  # fmt: skip


def error(sentence: str | None) -> dict:
    """One sentence for the visitor; None is the neutral one, in the visitor's language."""
    return {"kind": "error", "text": sentence}


def result(run: str, comparison, seconds: float) -> dict:
    """Everything that the panes need of a Comparison, JSON-able; ``seconds``: what the visitor waited."""
    from focusmae.device import describe  # late: it imports torch, which the page does not wait for

    frames, kind = comparison.pixels.shape[0], comparison.input["kind"]
    still, share = _still(comparison)
    segments = _segments(comparison, share)
    times = comparison.view.times
    return {
        "kind": "result",
        "run": run,
        "media": kind,
        "frames": frames,
        "columns": columns_of(frames),
        "delay": 1000 * (times[-1] - times[0]) / (frames - 1) if frames > 1 and times[-1] > times[0] else 160,
        "grid": list(comparison.grid),
        **still,
        "segments": segments,
        "segment_count": len(segments),
        "phrases": list(_match(comparison).phrases) if _match(comparison) else [],
        "token_segment": np.asarray(comparison.token_segment).tolist(),
        "focus": [list(pair) for pair in comparison.settings.focus],
        "clickable": bool(getattr(comparison, "clickable", False)),
        "scores": _numbers(comparison.scores),
        "chance": _numbers(comparison.chance),
        "gates": _numbers(np.asarray(comparison.gates).ravel(), 3),
        "experts": list(comparison.experts),
        "full": comparison.full,
        "views": comparison.views,
        "combined": comparison.combined,
        "error_scale": error_scale([arm.token_error for arm in comparison.arms.values()]),
        "arms": [_arm(name, arm, frames) for name, arm in comparison.arms.items()],
        "verdict": _verdict(comparison),
        "weights": comparison.weights,
        "timings": {step: round(value, 3) for step, value in comparison.timings.items()},
        "warnings": list(comparison.warnings),
        "classes": list(comparison.classes),
        "device": describe(),
        "limits": LIMITS.sentence(),
        "seconds": round(seconds, 2),
    }


def _arm(name: str, arm, frames: int) -> dict:
    true = getattr(arm, "picture_true", None)  # with each patch's own mean and spread, which the decoder does not know
    return {
        "name": name,
        "title": STRATEGIES[name].title,
        "summary": STRATEGIES[name].summary,
        "visible": arm.visible.tolist(),
        "picture": sprite(to_bytes(arm.picture), lossless=frames == 1),
        "error": _numbers(np.sqrt(np.maximum(arm.token_error, 0))),
        "prediction": arm.prediction,
        "normalised": bool(getattr(arm, "normalised", False)),
        "picture_true": None if true is None else sprite(to_bytes(true), lossless=frames == 1),
    }


def _verdict(comparison) -> list[dict]:
    """The measures in the order of the page: {key, values (one per arm), better: index of the better arm or None}."""
    rows = []
    arms = list(comparison.arms.values())
    for key in ("p_class", "agreement", "heldout_mse", "picture_mse"):
        values = [arm.metrics.get(key) for arm in arms]
        if any(value is None for value in values):
            continue
        signed = [-value if LOWER_IS_BETTER[key] else value for value in values]
        equal = math.isclose(min(signed), max(signed), rel_tol=ALIKE, abs_tol=1e-9)
        rows.append({"key": key, "values": values, "better": None if equal else int(np.argmax(signed))})
    return rows


def _still(comparison) -> tuple[dict, np.ndarray]:
    """What stays over all draws of an input: its picture, its segments, and the tokens' shares (N, n) in them."""
    kept = _sent.get(comparison.view)
    if not kept or kept[0] is not comparison.segments:
        from focusmae.segments.descriptors import membership  # late: it imports torch

        frames = comparison.view.frames if len(comparison.pixels) == 1 else to_bytes(comparison.pixels)
        side = min(comparison.segments.labels.shape[1], LABELS_SIDE[comparison.input["kind"]])
        still = {
            "input": sprite(frames, lossless=len(frames) == 1),
            "labels": pack_labels(comparison.segments.labels, side),
            "segment_source": comparison.segments.source,
            "segment_seconds": comparison.timings.get("segments"),
        }
        kept = (comparison.segments, still, membership(comparison.segments, comparison.grid)[:, 1:])
        _sent[comparison.view] = kept
    return kept[1], kept[2]


def _segments(comparison, share: np.ndarray) -> list[dict]:
    """One row per segment: {id, area in [0, 1], score, chance}, both means over its tokens, weighed by its pixels.

    One that a click took away has no pixels left and no row. With a text also fit in [0, 1] (the affinity of its best
    phrase) and phrase (the one that names it, or None).
    """
    weight = share.sum(0)
    score, chance = (np.asarray(v, dtype=np.float64) @ share / np.maximum(weight, 1e-9)
                     for v in (comparison.scores, comparison.chance))
    area = weight / len(share)
    rows = [
        {"id": i + 1, "area": round(float(area[i]), 5), "score": round(float(score[i]), 4),
         "chance": round(float(chance[i]), 4)}
        for i in range(len(weight))
    ]  # fmt: skip
    if match := _match(comparison):
        for row, fit, phrase in zip(rows, match.affinity.max(1, initial=0), match.labels, strict=True):
            row |= {"fit": round(float(fit), 4), "phrase": phrase}
    return [row for row in rows if row["area"]]


def _match(comparison):
    """What became of the visitor's text (TextMatch); None without one."""
    return getattr(comparison.segments, "match", None)


def _numbers(values, digits: int = 4) -> list[float]:
    """Short decimals: a clip has 1568 of everything."""
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()
