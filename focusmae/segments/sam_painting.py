"""Masks that overlap and leave gaps -> one SegmentMap: small things on top of large ones, and no holes.

What is smaller than a third of a token is no segment. Gaps up to a token join their surroundings; larger ones, where
SAM found nothing, become segments of quality 0, unless there is nothing to see in them either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from scipy.ndimage import label as components
from skimage.measure import label as regions

from focusmae.segments.base import SegmentMap
from focusmae.segments.regions import sample, shrink
from focusmae.segments.sam_everything import TOKENS_ASIDE

LIMIT = 64
"""Segments of a photo or clip, at most; of more, those with the highest quality x root of area stay."""
CRUMB = 1 / 3  # of a token: smaller pieces join what surrounds them
FLAT, FLAT_SHARE = 8.0, 0.02  # nothing is to see in a gap where so few pixels differ so much from its mean luma, of 255
CHUNK = 64  # masks laid down at a time


@dataclass(frozen=True)
class Layer:
    """The masks of one frame: ids (n,) int64 from 1 on, shapes (n, r, r) bool, on one device."""

    ids: torch.Tensor
    shapes: torch.Tensor


def paint(layer: Layer) -> np.ndarray:
    """The id of the smallest mask over every pixel, 0 where there is none: (r, r) int64."""
    shapes = layer.shapes
    nearest = torch.full(shapes.shape[1:], torch.inf, device=shapes.device)
    labels = torch.zeros(shapes.shape[1:], dtype=torch.int64, device=shapes.device)
    areas = shapes.flatten(1).sum(1).float()
    for first in range(0, len(shapes), CHUNK):
        part = slice(first, first + CHUNK)
        size, row = torch.where(shapes[part], areas[part, None, None], torch.inf).min(0)
        over = size < nearest
        nearest = torch.where(over, size, nearest)
        labels = torch.where(over, layer.ids[part][row], labels)
    return labels.cpu().numpy()


def segment_map(layers: list[Layer], quality: dict[int, float], frames: np.ndarray, source: str) -> SegmentMap:
    """The segments of a view from the masks on its frames.

    Args:
        layers: one per frame.   quality: of every id, in [0, 1].   frames: (T, S, S, 3) uint8.
    Returns:
        labels (T, S, S): at most LIMIT segments, numbered from 1 by the order of their ids.
    """
    layers = strongest(layers, quality, LIMIT - 1)  # one is left for what lies between
    labels = np.stack([tidy(paint(layer)) for layer in layers])
    labels = name_gaps(labels, frames, LIMIT)
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=1)[1:]) + 1
    numbers = np.zeros(labels.max() + 1, dtype=np.int32)
    numbers[present] = np.arange(1, len(present) + 1)
    values = np.array([quality.get(int(n), 0.0) for n in present], dtype=np.float32)
    side = frames.shape[1]
    return SegmentMap(sample(numbers[labels], side, side), values.clip(0, 1), source)


def strongest(layers: list[Layer], quality: dict[int, float], most: int) -> list[Layer]:
    """The layers with only the ``most`` ids that have the highest quality x root of area."""
    if len(quality) <= most:
        return layers
    area = dict.fromkeys(quality, 0)
    for layer in layers:
        for number, size in zip(layer.ids.tolist(), layer.shapes.flatten(1).sum(1).tolist(), strict=True):
            area[number] += size
    best = sorted(quality, key=lambda number: (-quality[number] * area[number] ** 0.5, number))[:most]
    rows = [torch.isin(layer.ids, torch.tensor(best, device=layer.ids.device)) for layer in layers]
    return [Layer(layer.ids[row], layer.shapes[row]) for layer, row in zip(layers, rows, strict=True)]


def tidy(labels: np.ndarray) -> np.ndarray:
    """Labels (r, r) in which every piece smaller than a crumb, and every gap up to a token, joins its surroundings."""
    token = labels.size / TOKENS_ASIDE**2
    pieces = regions(labels, background=-1, connectivity=1)
    sizes = np.bincount(pieces.ravel())
    of_gap = np.zeros(len(sizes), dtype=bool)
    of_gap[pieces[labels == 0]] = True
    given_up = (sizes < np.where(of_gap, token, CRUMB * token))[pieces]
    # A hole in one object is no reason to keep nothing at all.
    if given_up.all() or not given_up.any():
        return labels
    rows, columns = distance_transform_edt(given_up, return_distances=False, return_indices=True)
    return labels[rows, columns]


def name_gaps(labels: np.ndarray, frames: np.ndarray, most: int) -> np.ndarray:
    """Labels (T, r, r) in which gaps have ids of their own, the same through time while they overlap.

    A gap without anything to see stays 0; so does everything where there is no segment at all. Of gaps beyond
    ``most`` segments the smallest share one id.
    """
    used = np.flatnonzero(np.bincount(labels.ravel(), minlength=1)[1:]) + 1
    if not len(used):
        return labels
    gaps, count = components(labels == 0)
    if not count:
        return labels
    luma = shrink(frames, *labels.shape[1:]) @ np.array([0.299, 0.587, 0.114])
    sizes = np.maximum(np.bincount(gaps.ravel(), minlength=count + 1), 1)
    mean = np.bincount(gaps.ravel(), luma.ravel(), count + 1) / sizes
    differs = np.abs(luma - mean[gaps]) > FLAT
    seen = (np.bincount(gaps.ravel(), differs.ravel(), count + 1) > FLAT_SHARE * sizes).nonzero()[0]
    seen = seen[seen > 0]
    order = seen[np.argsort(-sizes[seen], kind="stable")]
    numbers = np.zeros(count + 1, dtype=labels.dtype)
    numbers[order] = used.max() + 1 + np.minimum(np.arange(len(order)), max(most - len(used), 1) - 1)
    return np.where(gaps > 0, numbers[gaps], labels)

