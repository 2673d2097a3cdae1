"""The endpoints for programs: /compare, /segments and /models, with the same queue and limits as the page."""

from __future__ import annotations

import dataclasses
import logging
import uuid
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder

from focusmae.errors import FocusMAEError, MediaError
from focusmae.media.limits import LIMITS
from focusmae.segments.base import SEGMENTERS
from focusmae.strategies import STRATEGIES
from focusmae.ui.text import ENGLISH

log = logging.getLogger(__name__)


def add(queue: str, models: tuple[str, ...]) -> None:
    """Hang the three endpoints into the Blocks that are being built; they have no place on the page."""

    def list_models() -> dict:
        """What can be asked for: models, segmenters, strategies, and the limits of what may be sent."""
        return {
            "models": list(models),
            "segmenters": list(SEGMENTERS),
            "strategies": {
                name: {"title": s.title, "summary": s.summary, "needs": s.needs} for name, s in STRATEGIES.items()
            },
            "limits": {**dataclasses.asdict(LIMITS), "sentence": LIMITS.sentence()},
        }

    with gr.Group(visible=False):
        file = gr.File(label="Photo or clip")
        keep = gr.Number(0.25, label="Share of the tokens that stay visible, above 0 and up to 1")
        seed, seeds = gr.Number(0, precision=0, label="Seed"), gr.Number(1, precision=0, label="Number of seeds")
        strategies = gr.Textbox("random,select", label="Strategies, separated by commas")
        names = gr.Textbox("auto", label="Models"), gr.Textbox("auto", label="Segmenter")
        text = gr.Textbox("", label="What to focus on, for segmenters that read")
        clips, crops = gr.Number(1, precision=0, label="Clips"), gr.Number(1, precision=0, label="Crops")
        summary, pictures, picture = gr.JSON(label="Result"), gr.Files(label="Pictures"), gr.File(label="Overlay")
        button = gr.Button()
    work = {"concurrency_id": queue, "concurrency_limit": 1}
    everything = [file, keep, seed, seeds, strategies, *names, text, clips, crops]
    button.click(compare, everything, [summary, pictures], api_name="compare", **work)
    button.click(segments, [file, names[1]], [summary, picture], api_name="segments", **work)
    button.click(list_models, None, summary, api_name="models", queue=False)


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
) -> tuple[dict, list[str]]:
    """Compare masking strategies on one photo or clip: the summary (as result.json) and the pictures."""
    with _Sentences():
        from focusmae.comparison import compare as run

        comparison = run(
            _given(file),
            keep=keep,
            seed=seed,
            seeds=seeds,
            strategies=tuple(name.strip() for name in strategies.split(",") if name.strip()),
            models=models,
            segmenter=segmenter,
            text=text or None,
            clips=clips,
            crops=crops,
        )
        written = comparison.save(_folder())
        return comparison.summary(), [str(path) for path in written if path.suffix != ".json"]


def segments(file: str, segmenter: str = "auto") -> tuple[dict, str]:
    """The segments of one photo or clip: their number, quality and share of the picture, and an overlay."""
    with _Sentences():
        from focusmae.media import open_media, write_mp4, write_png
        from focusmae.prepared import segment
        from focusmae.render import segments_pane

        media = open_media(_given(file))
        view = media.view()
        found = segment(view, segmenter, None)
        area = np.bincount(found.labels.ravel(), minlength=found.count + 1) / found.labels.size
        frames = segments_pane(view.frames, found.labels)
        folder = _folder()
        folder.mkdir(parents=True)
        if len(frames) == 1:
            overlay = folder / "segments.png"
            write_png(overlay, frames[0])
        else:
            overlay = folder / "segments.mp4"
            write_mp4(overlay, frames, fps=8.0)
        rows = [
            {"id": i + 1, "quality": round(float(found.quality[i]), 4), "area": round(float(area[i + 1]), 5)}
            for i in range(found.count)
        ]
        answer = {"kind": media.kind, "source": found.source, "count": found.count, "segments": rows}
        return answer, str(overlay)


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


def _given(file: str | None) -> Path:
    if not file:
        raise MediaError(f"No file was sent: send {LIMITS.formats()}.")
    return Path(file)


def _folder() -> Path:
    """A new folder among Gradio's temporary files, which it deletes by age."""
    return Path(get_upload_folder()) / f"api-{uuid.uuid4().hex}"
