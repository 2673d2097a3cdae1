"""The synchronised panes: one gr.HTML component, and the messages that it draws.

A message is a dict with a ``kind``: "progress", "result", "error" or "cancelled". The viewer keeps the last result, so
that everything else passes without disturbing the pictures. A result carries pictures as sprites (data URLs) and
numbers as arrays; every pane is composed from them in the browser, without a round trip.
"""

from __future__ import annotations

import base64
import io
import json
import math
import weakref
from functools import cache
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from focusmae.media.limits import LIMITS
from focusmae.render import error_scale, outlines, to_bytes
from focusmae.strategies import STRATEGIES
from focusmae.ui.text import WORDS

HERE = Path(__file__).parent
SCRIPTS = ("paint.js", "build.js", "viewer.js")  # one closure: drawing, markup, behaviour
CLIP_TILE = 224  # pixels; what the models see of a clip
CLIP_QUALITY = 95
LINES_SIDE = 320  # pixels; outlines are drawn at this size and scaled
ALIKE = 0.01  # a difference of less than one per cent is called none
LOWER_IS_BETTER = {"heldout_mse": True, "picture_mse": True, "p_class": False, "agreement": False}

_sent: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # View -> its sprites, so that a new draw skips them


@cache
def script(names: tuple[str, ...] = SCRIPTS) -> str:
    """The component's JavaScript with the words of both languages in front."""
    words = json.dumps(WORDS, ensure_ascii=False)
    return f"const WORDS = {words};\n" + "\n".join((HERE / name).read_text("utf-8") for name in names)


def make_viewer() -> gr.HTML:
    """The empty viewer."""
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

    frames = comparison.pixels.shape[0]
    still = _static_sprites(comparison)
    times = comparison.view.times
    return {
        "kind": "result",
        "run": run,
        "media": comparison.input["kind"],
        "frames": frames,
        "columns": _columns(frames),
        "delay": 1000 * (times[-1] - times[0]) / (frames - 1) if frames > 1 and times[-1] > times[0] else 160,
        "grid": list(comparison.grid),
        **still,
        "segment_count": comparison.segments.count,
        "token_segment": np.asarray(comparison.token_segment).tolist(),
        "scores": _numbers(comparison.scores),
        "chance": _numbers(comparison.chance),
        "gates": _numbers(np.asarray(comparison.gates).ravel(), 3),
        "experts": list(comparison.experts),
        "full": comparison.full,
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
    return {
        "name": name,
        "title": STRATEGIES[name].title,
        "summary": STRATEGIES[name].summary,
        "visible": arm.visible.tolist(),
        "picture": sprite(to_bytes(arm.picture), lossless=frames == 1),
        "error": _numbers(np.sqrt(np.maximum(arm.token_error, 0))),
        "prediction": arm.prediction,
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


def _static_sprites(comparison) -> dict:
    """Input and outlines, encoded once per view and segmentation."""
    kept = _sent.get(comparison.view)
    if kept and kept[0] is comparison.segments:
        return kept[1]
    frames = comparison.view.frames
    if len(frames) > 1:
        frames = to_bytes(comparison.pixels)
    sprites = {
        "input": sprite(frames, lossless=len(frames) == 1),
        "outlines": sprite(overlay(comparison.segments.labels, min(frames.shape[1], LINES_SIDE)), lossless=True),
    }
    _sent[comparison.view] = (comparison.segments, sprites)
    return sprites


def overlay(labels: np.ndarray, side: int) -> np.ndarray:
    """White lines with a dark rim on a transparent ground: labels (T, S, S) -> uint8 (T, side, side, 4)."""
    if labels.shape[1] != side:
        places = np.arange(side) * labels.shape[1] // side
        labels = labels[:, places][:, :, places]
    edges, rim = outlines(labels)
    picture = np.zeros((*labels.shape, 4), dtype=np.uint8)
    picture[rim] = (20, 20, 22, 120)
    picture[edges] = (255, 255, 255, 235)
    return picture


def sprite(frames: np.ndarray, lossless: bool) -> str:
    """uint8 frames (T, S, S, C) -> one WebP data URL, tiles in raster order, ``_columns(T)`` a row."""
    count, side, _, channels = frames.shape
    columns = _columns(count)
    rows = math.ceil(count / columns)
    sheet = np.zeros((rows * columns, side, side, channels), dtype=np.uint8)
    sheet[:count] = frames
    sheet = sheet.reshape(rows, columns, side, side, channels).swapaxes(1, 2)
    picture = Image.fromarray(np.ascontiguousarray(sheet.reshape(rows * side, columns * side, channels)))
    buffer = io.BytesIO()
    if lossless:
        picture.save(buffer, "WEBP", lossless=True, quality=0, method=0, exact=False)
    else:
        picture.save(buffer, "WEBP", quality=CLIP_QUALITY, method=0)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _columns(count: int) -> int:
    return math.ceil(math.sqrt(count))


def _numbers(values, digits: int = 4) -> list[float]:
    """Short decimals: a clip has 1568 of everything."""
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()
