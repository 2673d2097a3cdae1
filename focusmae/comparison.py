"""The pipeline: media -> segments -> scores -> visible tokens -> reconstruction and prediction -> Comparison.

All strategies share input, budget and noise, and none may see the held-out tokens on which their error is compared.
"""

import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from focusmae import render
from focusmae.arms import (
    Arm,
    Outcome,
    draw_all,
    evidence,
    held_out,
    make_arm,
    paired_differences,
    predict,
    readable,
    reconstruct,
    to_frames,
    top_labels,
)
from focusmae.errors import SettingsError
from focusmae.masking import Grid, inclusion_probability
from focusmae.media import Media, View, open_media, write_mp4, write_png
from focusmae.prepared import Cache, Models, Prepared, load_models, pixels_of, prepare
from focusmae.segmenting import segment_steps
from focusmae.segments.base import SegmentMap
from focusmae.segments.descriptors import EXPERTS
from focusmae.settings import Settings

STEPS = ("reading", "segments", "scores", "masks", "reconstruction", "prediction")
PANE_FPS = 8.0
FEW_CLASSES = 20
_CACHE = Cache()


class Progress(NamedTuple):
    """A step of STEPS that begins now, and the share of the work that is done."""

    step: str
    fraction: float


@dataclass
class Comparison:
    """Everything that one run produced; arrays on the CPU.

    pixels float32 (T, 224, 224, 3) in [0, 1]; token_segment, scores, chance (N,); gates (N, 4), the experts' shares in
    the order of ``experts``; heldout (M,) tokens that no arm may see; full: prediction from all tokens, and the arms'
    predictions likewise, by the mean over the views. With several views, ``views`` lists each one's predictions and
    ``combined`` both ways of combining them: "mean" and "any" (the highest probability in any view, FocusMAE's rule).
    ``clickable``: whether Settings.clicks change the segments.
    """

    input: dict
    settings: Settings
    view: View
    pixels: np.ndarray
    grid: Grid
    segments: SegmentMap
    token_segment: np.ndarray
    scores: np.ndarray
    chance: np.ndarray
    gates: np.ndarray
    heldout: np.ndarray
    full: list[dict]
    classes: list[str]
    weights: list[dict]
    experts: tuple[str, ...] = tuple(EXPERTS)
    arms: dict[str, Arm] = field(default_factory=dict)
    paired: dict[str, dict] = field(default_factory=dict)
    views: list[dict] = field(default_factory=list)
    combined: dict[str, dict] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    clickable: bool = False

    def summary(self) -> dict:
        """The JSON-able summary, as in result.json."""
        return {
            "input": self.input,
            "settings": dataclasses.asdict(self.settings),
            "convention": "focus-visible: drawn tokens stay visible (hide: drawn tokens are masked)",
            "weights": self.weights,
            "segments": {"source": self.segments.source, "count": self.segments.count},
            "views": self.views,
            "combined": self.combined,
            "full": {"prediction": self.full},
            "heldout": self.heldout.tolist(),
            "strategies": {
                name: {
                    "visible": arm.visible.tolist(),
                    "tokens": self.grid.tokens,
                    "prediction": arm.prediction,
                    "metrics": arm.metrics,
                }
                for name, arm in self.arms.items()
            },
            "paired": self.paired,
            "timings": self.timings,
            "warnings": self.warnings,
        }

    def save(self, folder: str | Path) -> list[Path]:
        """Write result.json and every pane (PNG for a photo, MP4 for a clip) into ``folder``; returns their paths."""
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"The folder {folder.name} cannot be written; choose another one.") from error
        written = [folder / "result.json"]
        written[0].write_text(json.dumps(self.summary(), indent=1) + "\n")
        for name, frames in render.panes(self).items():
            if len(frames) == 1:
                written.append(folder / f"{name}.png")
                write_png(written[-1], frames[0])
            else:
                written.append(folder / f"{name}.mp4")
                write_mp4(written[-1], frames, fps=PANE_FPS)
        return written


def compare(source, *, cache: Cache | None = None, progress=None, **settings) -> Comparison:
    """Compare strategies on one photo or clip.

    Args:
        source: path, bytes, Pillow picture, or uint8 array (H, W, 3) or (T, H, W, 3).
        progress: called with (step, fraction) as the steps begin.
        settings: fields of :class:`Settings`, as keep=0.25, seed=0, strategies=("random", "select").

    Raises:
        MediaError, SettingsError, WeightsError: one sentence each.
    """
    known = {f.name for f in dataclasses.fields(Settings)}
    if unknown := sorted(set(settings) - known):
        raise SettingsError(f"Unknown setting {unknown[0]!r}; there are {', '.join(sorted(known))}.")
    if "strategies" in settings:
        names = settings["strategies"]
        settings["strategies"] = tuple(names.split(",") if isinstance(names, str) else names)
    for step in compare_steps(source, Settings(**settings), cache):
        if isinstance(step, Comparison):
            return step
        if progress:
            progress(step.step, step.fraction)
    raise RuntimeError("the steps ended without a comparison")


def compare_steps(source, settings: Settings, cache: Cache | None = None) -> Iterator[Progress | Comparison]:
    """The same, step by step: yields Progress as each step begins and last the Comparison. Closing it cancels."""
    settings.check()
    cache, timings, began = cache or _CACHE, {}, time.perf_counter()

    def lap(step: str) -> None:
        nonlocal began
        now = time.perf_counter()
        timings[step], began = timings.get(step, 0.0) + now - began, now

    yield Progress("reading", 0.0)
    media = source if isinstance(source, Media) else open_media(source)
    models = load_models(settings.models, media.kind, settings.autoencoder, settings.classifier)
    lap("reading")

    prepared = []
    for step in _prepare_steps(media, settings, models, cache, lap):
        if isinstance(step, Prepared):
            prepared.append(step.focused(settings.focus) if settings.focus and not prepared else step)
        else:
            yield step
    first = prepared[0]

    yield Progress("masks", 0.5)
    visible, read = draw_all(first, models, settings.strategies, settings.keep, settings.seed)
    unseen = held_out(first.grid, settings.keep, settings.seed)
    lap("masks")

    yield Progress("reconstruction", 0.6)
    pictures = reconstruct(first, models, visible)
    true = reconstruct(first, models, visible, true_statistics=True) if models.autoencoder.norm_targets else None
    lap("reconstruction")

    yield Progress("prediction", 0.8)
    said = _predictions(prepared, models, settings, read)
    result = _describe(media, settings, first, models, unseen)
    _combine(result, prepared, said, models.classifier.labels)
    for number, name in enumerate(settings.strategies):
        outcome = Outcome(visible[number], pictures[number], said[:, number].mean(0))
        result.arms[name] = make_arm(first, outcome, unseen, models.classifier.labels)
        if true is not None:
            result.arms[name].normalised, result.arms[name].picture_true = True, to_frames(true[number : number + 1])
    lap("prediction")

    if settings.seeds > 1:
        rows = []
        seeds = range(settings.seed, settings.seed + settings.seeds)
        for row in evidence(first, models, settings.strategies, settings.keep, seeds):
            rows.append(row)
            yield Progress("prediction", 0.85 + 0.15 * len(rows) / settings.seeds)
        result.paired = paired_differences(rows)
        lap("evidence")
    result.timings = {step: round(seconds, 4) for step, seconds in timings.items()}
    yield result


def first_view(source, settings: Settings, cache: Cache | None = None) -> tuple[Prepared, Models]:
    """The view that is shown, ready for more draws, and its networks; at once where it has just been compared."""
    settings.check()
    media = source if isinstance(source, Media) else open_media(source)
    models = load_models(settings.models, media.kind, settings.autoencoder, settings.classifier)
    steps = _prepare_steps(media, settings, models, cache or _CACHE, lambda _: None)
    first = next(step for step in steps if isinstance(step, Prepared))
    return (first.focused(settings.focus) if settings.focus else first), models


def _prepare_steps(
    media: Media, settings: Settings, models: Models, cache: Cache, lap
) -> Iterator[Progress | Prepared]:
    """Views, segments and scores, from the cache where this input was seen before."""
    hashes = tuple(row["sha256"] for row in models.weights())
    window = (media.sha256, settings.clips, settings.crops, settings.start, settings.seconds)
    source = (settings.segmenter, settings.checkpoint, settings.clicks, settings.text)
    keys = [(window, source, hashes, number) for number in range(_view_count(media, settings))]
    known = [cache.prepared.get(key) for key in keys]
    if all(known):
        yield from known
        return
    views = media.views(settings.clips, settings.crops, start=settings.start, seconds=settings.seconds)
    lap("reading")
    for number, view in enumerate(views):
        share = 0.1 + 0.4 * number / len(views)
        yield Progress("segments", share)
        pixels = pixels_of(view)
        segmenting = segment_steps(view, settings, cache.segments, (window, number))
        while True:
            try:
                yield Progress("segments", share + 0.2 * next(segmenting) / len(views))
            except StopIteration as end:
                found = end.value
                break
        lap("segments")
        yield Progress("scores", share + 0.2 / len(views))
        prepared = prepare(view, pixels, found, models)
        lap("scores")
        yield cache.prepared.put(keys[number], prepared)


def _view_count(media: Media, settings: Settings) -> int:
    return settings.crops * (settings.clips if media.kind == "clip" else 1)


def _predictions(prepared: list[Prepared], models: Models, settings: Settings, visible: torch.Tensor) -> torch.Tensor:
    """Probabilities (V, A, C) of every view and strategy, from the visible tokens alone."""
    said = [predict(prepared[0], models, visible)]
    for other in prepared[1:]:
        drawn = draw_all(other, models, settings.strategies, settings.keep, settings.seed)[1]
        said.append(predict(other, models, drawn))
    return torch.stack(said)


def _combine(result: Comparison, prepared: list[Prepared], said: torch.Tensor, labels: list[str]) -> None:
    """Fill in the prediction from all tokens and, where there are several views, what each of them says."""
    full = torch.stack([view.full[0].cpu() for view in prepared])
    result.full = top_labels(full.mean(0), labels)
    if len(prepared) == 1:
        return

    def rows(whole: torch.Tensor, arms: torch.Tensor) -> dict:
        named = zip(result.settings.strategies, arms, strict=True)
        return {"full": top_labels(whole, labels), "strategies": {name: top_labels(arm, labels) for name, arm in named}}

    for number, view in enumerate(prepared):
        clip, crop = divmod(number, result.settings.crops)
        times = [round(view.view.times[0], 3), round(view.view.times[-1], 3)]
        result.views.append({"clip": clip, "crop": crop, "times": times, **rows(full[number], said[number])})
    result.combined = {"mean": rows(full.mean(0), said.mean(0)), "any": rows(full.amax(0), said.amax(0))}


def _describe(media: Media, settings: Settings, first: Prepared, models: Models, unseen: torch.Tensor) -> Comparison:
    withheld = len(unseen) / first.grid.tokens
    chance = inclusion_probability(first.scores.cpu(), settings.keep, withheld)
    return Comparison(
        input={
            "kind": media.kind,
            "width": media.width,
            "height": media.height,
            "frames": media.frames,
            "fps": media.fps,
            "name": media.name,
        },
        settings=settings,
        view=first.view,
        pixels=np.ascontiguousarray(first.pixels[0].permute(1, 2, 3, 0).float().cpu().numpy()),
        grid=first.grid,
        segments=first.segments,
        token_segment=first.token_segment.cpu().numpy(),
        scores=first.scores[0].float().cpu().numpy(),
        chance=chance[0].float().cpu().numpy(),
        gates=first.gates[0].float().cpu().numpy(),
        heldout=unseen.numpy(),
        full=[],
        classes=[readable(label) for label in models.classifier.labels],
        weights=[*models.weights(), *first.found.weights],
        warnings=_warnings(media, settings, first, models, unseen),
        clickable=first.found.clickable,
    )


def _warnings(media: Media, settings: Settings, first: Prepared, models: Models, unseen: torch.Tensor) -> list[str]:
    labels, notes = [readable(label) for label in models.classifier.labels], []
    if len(labels) <= FEW_CLASSES:
        notes.append(
            f"The classifier knows {len(labels)} classes ({', '.join(labels)}); for anything else its answer is the "
            "nearest of these."
        )
    if min(media.width, media.height) < 224:
        notes.append(f"The input is {media.width} x {media.height} px and was enlarged to 224 px.")
    if media.kind == "clip" and media.frames < 16:
        notes.append(f"The clip has {media.frames} frames; some are repeated to make 16.")
    if first.segments.count <= 1:
        notes.append("The segmenter found no separate regions, so segments say nothing about importance here.")
    notes += [*first.found.notes, *models.autoencoder.notes, *models.classifier.notes]
    if models.classifier.encoder.grid(first.pixels) != first.grid:
        notes.append("The classifier's patches differ in size from the autoencoder's: it sees its own draw.")
    if not len(unseen):
        notes.append("Every token is visible to some arm at this keep ratio, so there is no held-out error.")
    return notes


__all__ = ["STEPS", "Arm", "Comparison", "Progress", "Settings", "compare", "compare_steps"]
