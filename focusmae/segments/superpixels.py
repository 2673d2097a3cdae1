"""The segmenter without weights: colour and edges, merged to at most 64 regions.

Felzenszwalb and Huttenlocher's graph segmentation (IJCV 2004) gives small regions that follow edges, frame
by frame; edges measured at two scales and mean colour then decide which of them are merged, through all
frames of a clip at once, so that an id stays with its thing (``merging.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d
from skimage.segmentation import felzenszwalb

from focusmae.segments.base import SegmentMap
from focusmae.segments.merging import merge
from focusmae.segments.objectness import objectness
from focusmae.segments.regions import sample, shrink, to_lab

if TYPE_CHECKING:
    from focusmae.media import View

LIMIT = 64  # regions, at most
WORK = 256  # pixels a side at which photos are segmented
WORK_CLIP = 128  # the same for the frames of clips
# Shares of one frame: a third of a token of the 14 x 14 grid, below which nothing is kept.
CRUMB = 1 / 3 / 14**2
# Chosen on the training photos of BSDS500 for boundary recall and segmentation accuracy at about 40 regions.
FINE_SCALE = 20.0
FINE_LEAST, FINE_LEAST_CLIP = 20, 10  # pixels of the working raster
EDGE_SIGMAS = (1.0, 2.5)  # pixels at 256 pixels a side
EDGE_WEIGHT, SIZE_POWER, STOP = 3.0, 0.25, 9.0
SCALES = (STOP, 16.0, 25.0)  # stops of a fine, a middle and a coarse cut: about 40, 20 and 8 regions of a photo


class Superpixels:
    """Segmenter that needs no weights: at most 64 connected regions that cover everything.

    A flat picture is one segment. The same frames always give the same segments. ``stop`` is the cost at which merging
    ends: the higher, the fewer regions (see SCALES).
    """

    name = "superpixels"

    def __init__(self, stop: float = STOP):
        self.stop = stop

    def __call__(self, view: View, text: str | None = None) -> SegmentMap:
        """Segments of ``view.frames``, (T, S, S, 3) uint8; ``text`` is not read."""
        frames = view.frames
        side = frames.shape[1]
        work = min(side, WORK if len(frames) == 1 else WORK_CLIP)
        lab = to_lab(shrink(frames, work, work))
        labels = merge(
            _fine(lab),
            lab,
            _edges(lab),
            limit=LIMIT,
            stop=self.stop,
            crumb=CRUMB,
            edge_weight=EDGE_WEIGHT,
            size_power=SIZE_POWER,
        )
        labels = labels.astype(np.int32) + 1
        return SegmentMap(sample(labels, side, side), objectness(labels, lab), self.name)


def _fine(lab: np.ndarray) -> np.ndarray:
    """Small regions of every frame on its own: (T, H, W) ids 0..n-1, no id in two frames."""
    least = FINE_LEAST if len(lab) == 1 else FINE_LEAST_CLIP
    labels = np.empty(lab.shape[:3], dtype=np.int64)
    first = 0
    for frame, out in zip(lab, labels, strict=True):
        out[:] = felzenszwalb(frame / 100, FINE_SCALE, 0.5, least, channel_axis=-1) + first
        first = int(out.max()) + 1
    return labels


def _edges(lab: np.ndarray) -> np.ndarray:
    """Edge strength at two scales, summed: (T, H, W) float32, Lab units per 1/256 of the picture's side."""
    unit = lab.shape[1] / 256
    total = np.zeros(lab.shape[:3], dtype=np.float32)
    for sigma in EDGE_SIGMAS:
        square = np.zeros_like(total)
        for across, along in ((1, 2), (2, 1)):
            slope = gaussian_filter1d(lab, sigma * unit, axis=across, order=1, truncate=3.0)
            square += (gaussian_filter1d(slope, sigma * unit, axis=along, truncate=3.0) ** 2).sum(-1)
        total += np.sqrt(square)
    return total * np.float32(unit)
