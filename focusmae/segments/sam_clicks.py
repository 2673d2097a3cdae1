"""A visitor's clicks: a segment more where SAM finds one, or one less. The ids of all others stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from focusmae.errors import SettingsError
from focusmae.segments.base import SegmentMap
from focusmae.segments.regions import sample
from focusmae.segments.sam_masks import Masks, measure
from focusmae.segments.sam_model import SamModel
from focusmae.segments.sam_motion import colours, cuts
from focusmae.segments.sam_tracking import Tracks, carry

MOST = 96
"""Segments of a map that clicks may lead to, removed ones counted."""
Embed = Callable[[np.ndarray], Iterator[torch.Tensor]]


def check_click(segments: SegmentMap, frames: np.ndarray, x: float, y: float, frame: int) -> None:
    """Raises SettingsError, in one sentence, unless the click lies on one of the frames that were segmented."""
    if segments.labels.shape != frames.shape[:3]:
        raise SettingsError("These segments belong to another picture; make them anew for this one.")
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise SettingsError("The click lies outside of the picture, across which x and y run from 0 to 1.")
    if not 0 <= frame < len(frames):
        raise SettingsError(f"There is no frame {frame}; they are numbered from 0 to {len(frames) - 1}.")


def remove(segments: SegmentMap, x: float, y: float, frame: int) -> SegmentMap:
    """Without the segment at the point, in all frames; its id remains, without pixels and with quality 0.

    Raises SettingsError where there is none.
    """
    size = segments.labels.shape[1]
    number = int(segments.labels[frame, min(int(y * size), size - 1), min(int(x * size), size - 1)])
    if not number:
        raise SettingsError("There is no segment at this point that could be taken away.")
    quality = segments.quality.copy()
    quality[number - 1] = 0
    return SegmentMap(np.where(segments.labels == number, 0, segments.labels), quality, clicked(segments))


def add(
    model: SamModel,
    embed: Embed,
    frames: np.ndarray,
    segments: SegmentMap,
    x: float,
    y: float,
    frame: int,
    stride: int = 1,
) -> SegmentMap:
    """With one segment more, the last id: what SAM sees at the point, on top of all others.

    Of the three masks that SAM offers (whole, part, smaller part) it is the best that contains the point. On a clip
    it is carried through the frames after and before, until it ends or the shot does. ``stride``: as in ``follow``.

    Raises SettingsError where SAM sees nothing, and when there are MOST segments.
    """
    if segments.count >= MOST:
        raise SettingsError(f"There are {segments.count} segments already, and no more can be added.")
    found = _at(model, model.share(next(embed(frames[frame : frame + 1]))), x, y)
    if found is None:
        raise SettingsError("SAM sees no single thing at this point; click further inside of it.")
    cut = cuts(frames)
    start = max(t for t in range(frame + 1) if cut[t] or t == 0)
    end = next((t for t in range(frame + 1, len(frames)) if cut[t]), len(frames))
    seen = [t for t in range(start, end) if t in (start, frame) or t % stride == 0]
    shapes = {frame: found.shapes.cpu().numpy()}
    for way in ([t for t in seen if t > frame], [t for t in reversed(seen) if t < frame]):
        shapes.update(_through(model, embed, frames, found, frame, way))
    labels, side = segments.labels.copy(), segments.labels.shape[1]
    for t in range(start, end):
        nearest = max(other for other in seen if other <= t)
        if nearest in shapes:  # else it has ended
            labels[t][sample(shapes[nearest], side, side)[0]] = segments.count + 1
    return SegmentMap(labels, np.append(segments.quality, float(found.quality[0])), clicked(segments))


def clicked(segments: SegmentMap) -> str:
    """The source's name with a note that clicks changed what it found."""
    return segments.source if segments.source.endswith(" + clicks") else f"{segments.source} + clicks"


def _at(model: SamModel, shared, x: float, y: float) -> Masks | None:
    """The best mask that contains the point, as n = 1, or None."""
    logits, iou = next(model.ask(shared, torch.tensor([[[x, y]]], dtype=torch.float32)))
    masks = measure(logits[0], iou[0])
    size = model.raster
    there = masks.shapes[:, min(int(y * size), size - 1), min(int(x * size), size - 1)]
    value = torch.where(there, masks.quality, -1.0)
    best = int(value.argmax())
    return masks[best : best + 1] if value[best] > 0 else None


def _through(
    model: SamModel, embed: Embed, frames: np.ndarray, masks: Masks, start: int, way: list[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """The shape (1, r, r) of one segment on the frames of ``way``, as long as it lasts."""
    tracks, seen = Tracks.of(masks, 1), colours(frames[start], model.device)
    for t, embedding in zip(way, embed(frames[way]), strict=True):
        now = colours(frames[t], model.device)
        tracks = carry(model, model.share(embedding), tracks, seen, now)
        if not len(tracks.ids):
            return
        seen = now
        yield t, tracks.masks.shapes.cpu().numpy()
