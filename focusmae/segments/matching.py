"""A text beside segments: how well each segment fits each phrase, from a soft map that any text reader can make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from focusmae.segments.base import SegmentMap

LIKE_THE_BEST = 0.5  # a segment is named by a phrase if it fits at least so much as well as the best one
FLAT = 0.05  # a soft map that varies less tells no place from another


@dataclass(frozen=True)
class TextMatch:
    """What became of a text.

    Attributes:
        phrases: the P phrases that were looked for.
        affinity: (n, P) float32 in [0, 1], every segment with every phrase; 0 = no more like it than like anything.
        soft: (P, T, h, w) float32 in [0, 1], the same on the reader's own raster, not cut at segments' borders.
        notes: a sentence for the visitor for each phrase without a match and for what was left out.
    """

    phrases: tuple[str, ...]
    affinity: np.ndarray
    soft: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def found(self) -> np.ndarray:
        """Whether anything resembles each phrase: (P,) bool. One that is not found has affinity 0 everywhere."""
        return self.soft.max((1, 2, 3), initial=0) > 0

    @property
    def labels(self) -> tuple[str | None, ...]:
        """The phrase that names each segment, None where none does: n entries.

        It is the one that fits best, if it fits at least half as well as it fits its best segment.
        """
        if not self.affinity.size:
            return (None,) * len(self.affinity)
        best = self.affinity.argmax(1)
        value = self.affinity.max(1)
        named = (value > 0) & (value >= LIKE_THE_BEST * self.affinity.max(0)[best])
        return tuple(self.phrases[p] if yes else None for p, yes in zip(best, named, strict=True))


@dataclass(frozen=True)
class TextSegments(SegmentMap):
    """A SegmentMap for which a text was looked up; ``affinity`` is that of each segment's best phrase."""

    match: TextMatch | None = None


def with_text(segments: SegmentMap, match: TextMatch) -> TextSegments:
    """The same segments with the affinity (n,) of their best phrase and the whole table beside it."""
    best = match.affinity.max(1, initial=0)
    return TextSegments(segments.labels, segments.quality, segments.source, best, match)


def segment_affinity(labels: np.ndarray, count: int, soft: np.ndarray) -> np.ndarray:
    """Mean of each soft map over each segment: (n, P) float32 in [0, 1], 0 for an id without pixels.

    Args:
        labels: (T, H, W) int ids 0..count.   soft: (P, T, h, w) float32, resized to H x W (bilinear).
    """
    frames, height, width = labels.shape
    flat = labels.ravel()
    area = np.maximum(np.bincount(flat, minlength=count + 1), 1)
    table = np.empty((count, len(soft)), dtype=np.float32)
    for column, one in enumerate(torch.from_numpy(soft)):
        fine = torch.nn.functional.interpolate(one[:, None], (height, width), mode="bilinear", align_corners=False)
        table[:, column] = (np.bincount(flat, fine.numpy().ravel(), count + 1) / area)[1:]
    return np.clip(table, 0, 1)


def match_notes(phrases: tuple[str, ...], soft: np.ndarray) -> tuple[str, ...]:
    """A sentence for every phrase that changes nothing: it is found nowhere, or everywhere alike."""
    notes = []
    for phrase, one in zip(phrases, soft, strict=True):
        if one.max(initial=0) <= 0:
            notes.append(f'Nothing here looks like "{phrase}", so these words change nothing.')
        elif np.ptp(one) < FLAT:
            notes.append(f'Everything here fits "{phrase}" alike, so these words change next to nothing.')
    return tuple(notes)
