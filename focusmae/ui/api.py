"""The endpoints for programs: /compare, /segments and /models, with the same queue and limits as the page.

The docstrings below are what the API page and, where ``gradio[mcp]`` is installed, a language model's tools say.
"""

from __future__ import annotations

import dataclasses
import logging
import uuid
from importlib.util import find_spec
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder

from focusmae.errors import FocusMAEError, MediaError, SettingsError
from focusmae.media.limits import LIMITS
from focusmae.segments.base import SEGMENTERS
from focusmae.settings import MODELS, read_focus
from focusmae.strategies import STRATEGIES
from focusmae.ui import weights
from focusmae.ui.gpu import on_gpu, run_seconds
from focusmae.ui.picker import EXAMPLES_FOLDER, FIRST
from focusmae.ui.text import ENGLISH

log = logging.getLogger(__name__)


def has_mcp() -> bool:
    """Whether the extra ``gradio[mcp]`` is installed: then the endpoints are tools as well."""
    return find_spec("mcp") is not None


def add(queue: str) -> None:
    """Hang the three endpoints into the Blocks that are being built; they have no place on the page."""
    with gr.Group(visible=False):
        file, same = _media_file("Photo or clip"), _media_file("Photo or clip")
        keep = _number(0.25, "Share of the tokens that stay visible, above 0 and up to 1", precision=None)
        seed, seeds = _number(0, "Seed"), _number(1, "Number of seeds")
        strategies = _text("random,select", "Strategies, separated by commas")
        names = _text("auto", "Models: auto, embedded or official"), _text("auto", "Segmenter")
        text = _text("", "What to focus on, for segmenters that read")
        clips, crops = _number(1, "Clips"), _number(1, "Crops")
        chosen = [_text("", f"Name of the {role}; empty: what models says") for role in weights.ROLES[:2]]
        focus = _text("", "Segments raised or lowered, as 3:2,5:-1.5")
        summary, pictures, picture = gr.JSON(label="Result"), gr.Files(label="Pictures"), gr.File(label="Overlay")
        button = gr.Button()
    work = {"concurrency_id": queue, "concurrency_limit": 1}
    everything = [file, keep, seed, seeds, strategies, *names, text, clips, crops, *chosen, focus]
    button.click(compare, everything, [summary, pictures], api_name="compare", **work)
    button.click(segments, [same, names[1], text], [summary, picture], api_name="segments", **work)
    button.click(models, None, summary, api_name="models", queue=False)


def compare(
    file: str,
    keep: float = 0.25,
    seed: int = 0,
    seeds: int = 1,
    strategies: str = "random,select",
    models: str = "auto",
    segmenter: str = "auto",
    text: str = "",
    clips: int = 1,
    crops: int = 1,
    autoencoder: str = "",
    classifier: str = "",
    focus: str = "",
) -> tuple[dict, list[str]]:
    """
    Compare masking strategies on one photo or clip: which patches stay visible, what the network reconstructs and
    predicts from them, and how far that is from the truth.

    Args:
        file: a photo (JPEG, PNG, WebP) or a clip (MP4, WebM, MOV, GIF).
        keep: share of the patches that stay visible, above 0 and at most 1.
        seed: the noise of the draw, shared by all strategies.
        seeds: more than 1 adds paired differences over that many draws.
        strategies: names from /models, separated by commas; "random,select" compares chance with importance.
        models: "auto", "embedded" (small, shipped) or "official" (MAE, VideoMAE).
        segmenter: name from /models that divides the picture into things.
        text: what to focus on, for segmenters that read, as groupvit.
        clips: windows of 16 frames cut from a clip, 1 to 10.
        crops: squares per window, 1 or 3.
        autoencoder: name from /models in place of what models says.
        classifier: name from /models in place of what models says.
        focus: segments to raise or lower, as "3:2,5:-1.5".

    Returns:
        The summary (predictions, measures, weights, timings) and the pictures as files.
    """
    with _Sentences():
        settings = {
            "keep": keep,
            "seed": seed,
            "seeds": seeds,
            "strategies": tuple(name.strip() for name in strategies.split(",") if name.strip()),
            "models": models,
            "autoencoder": weights.known("autoencoder", autoencoder),
            "classifier": weights.known("classifier", classifier),
            "segmenter": segmenter,
            "text": text or None,
            "clips": clips,
            "crops": crops,
            "focus": read_focus(focus),
        }
        path = _given(file)
        summary, written = _compare({"source": path, **settings}, str(_folder()))
        return summary, written


@on_gpu(lambda job, folder: run_seconds(job) + 2 * int(job["seeds"] or 1))
def _compare(job: dict, folder: str) -> tuple[dict, list[str]]:
    from focusmae.comparison import compare as run

    comparison = run(job.pop("source"), **job)
    written = comparison.save(folder)
    return comparison.summary(), [str(path) for path in written if path.suffix != ".json"]


def segments(file: str, segmenter: str = "auto", text: str = "") -> tuple[dict, str]:
    """
    Divide one photo or clip into segments.

    Args:
        file: a photo (JPEG, PNG, WebP) or a clip (MP4, WebM, MOV, GIF).
        segmenter: name from /models.
        text: what to look for, for segmenters that read, as groupvit.

    Returns:
        Number, quality and share of the picture of the segments, and a picture with their outlines.
    """
    with _Sentences():
        if segmenter not in SEGMENTERS:
            raise SettingsError(f"There is no segmenter {segmenter!r}; choose from {', '.join(SEGMENTERS)}.")
        return _segments({"source": _given(file), "segmenter": segmenter, "text": text}, str(_folder()))


@on_gpu(lambda job, folder: run_seconds(job))
def _segments(job: dict, folder: str) -> tuple[dict, str]:
    from focusmae.comparison import first_view
    from focusmae.media import open_media, write_mp4, write_png
    from focusmae.render import segments_pane
    from focusmae.settings import Settings

    media = open_media(job["source"])
    first, _ = first_view(media, Settings(segmenter=job["segmenter"], text=job["text"] or None))
    view, found = first.view, first.segments
    area = np.bincount(found.labels.ravel(), minlength=found.count + 1) / found.labels.size
    frames = segments_pane(view.frames, found.labels)
    Path(folder).mkdir(parents=True)
    overlay = Path(folder) / ("segments.png" if len(frames) == 1 else "segments.mp4")
    if len(frames) == 1:
        write_png(overlay, frames[0])
    else:
        write_mp4(overlay, frames, fps=8.0)
    rows = [
        {"id": i + 1, "quality": round(float(found.quality[i]), 4), "area": round(float(area[i + 1]), 5)}
        for i in range(found.count)
    ]
    return {"kind": media.kind, "source": found.source, "count": found.count, "segments": rows}, str(overlay)


def models() -> dict:
    """
    What can be asked for: models, segmenters, strategies, weights with licence and size, and the limits of what may
    be sent.
    """
    return {
        "models": list(MODELS),
        "segmenters": list(SEGMENTERS),
        "strategies": {
            name: {"title": s.title, "summary": s.summary, "needs": s.needs} for name, s in STRATEGIES.items()
        },
        "weights": {role: [row for row in rows if row["name"]] for role, rows in weights.rows().items()},
        "limits": {**dataclasses.asdict(LIMITS), "sentence": LIMITS.sentence()},
    }


class _Sentences:
    """Errors leave as one sentence: ours as they are, all others as the neutral one, with the trace in the log."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, FocusMAEError):
            raise gr.Error(str(error), print_exception=False) from None
        if isinstance(error, Exception):
            log.error("a call failed", exc_info=error)
            raise gr.Error(ENGLISH["failed"], print_exception=False) from None


def _shown(component, example):
    """The component with ``example`` in the API page's snippets, so that they run as they stand."""
    component.example_payload = component.example_value = lambda: example
    return component


def _media_file(label: str) -> gr.File:
    """The example is one of ours, relative to the project's folder; "url" makes the page write handle_file(...)."""
    path = f"{EXAMPLES_FOLDER}/{FIRST}"
    return _shown(gr.File(label=label), {"path": path, "url": path, "meta": {"_type": "gradio.FileData"}})


def _number(value: float, label: str, precision: int | None = 0) -> gr.Number:
    return _shown(gr.Number(value, label=label, precision=precision), value)


def _text(value: str, label: str) -> gr.Textbox:
    return _shown(gr.Textbox(value, label=label), value)


def _given(file: str | None) -> str:
    if not file:
        raise MediaError(f"No file was sent: send {LIMITS.formats()}.")
    return file


def _folder() -> Path:
    """A new folder among Gradio's temporary files, which it deletes by age."""
    return Path(get_upload_folder()) / f"api-{uuid.uuid4().hex}"
