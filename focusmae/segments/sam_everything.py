"""Everything on one frame: SAM is asked at a grid of points, and what it answers is sifted.

Kirillov et al., "Segment Anything" (ICCV 2023), section 8 and appendix B, ask at every point of a 32 x 32 grid. Here
every second point along each axis comes first, and the others are asked only where no mask has come to lie yet: what
these would find on top of a mask is smaller than twice their spacing. Where still nothing is found, SAM is asked in the
middle of the gap and may answer with less confidence.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, label

from focusmae.segments.sam_decoder import Shared
from focusmae.segments.sam_masks import RELAXED, Masks, Rules, join, judge, measure, none, suppress
from focusmae.segments.sam_model import SamModel

TOKENS_ASIDE = 14  # of the token grid that segments are made for: gaps are measured in its cells
GAPS, ROUNDS = 8, 3  # gaps that are asked about, the largest first, and how often


class Meter:
    """Share of the work that is done, told to ``report`` after every batch; ``report`` may raise to cancel."""

    def __init__(self, report: Callable[[float], None] | None, total: float):
        self._report, self._total, self._done = report, max(total, 1.0), 0.0

    def add(self, units: float) -> None:
        self._done += units
        if self._report:
            self._report(min(self._done / self._total, 1.0))


def grid(points_per_side: int) -> np.ndarray:
    """Points in the middle of n x n cells, rows first: (n, n, 2) float64 x, y in [0, 1]."""
    middles = (np.arange(points_per_side) + 0.5) / points_per_side
    return np.stack(np.meshgrid(middles, middles), -1)


def everything(model: SamModel, shared: Shared, points_per_side: int, rules: Rules, meter: Meter) -> Masks:
    """The masks on a frame that pass the rules, none twice, at most points_per_side^2 + 24 prompts."""
    points = grid(points_per_side)
    first = np.zeros(points.shape[:2], dtype=bool)
    first[::2, ::2] = True
    masks = suppress(_ask(model, shared, points[first], rules, meter), rules)
    # The nearest pixel of each point on the masks' raster.
    at = np.minimum((points * model.raster).astype(int), model.raster - 1)
    rest = ~first & ~covered(masks)[at[..., 1], at[..., 0]]
    masks = suppress(join([masks, _ask(model, shared, points[rest], rules, meter)]), rules)
    return _fill(model, shared, masks, rules, meter)


def _fill(model: SamModel, shared: Shared, masks: Masks, rules: Rules, meter: Meter) -> Masks:
    """The masks, and what SAM says with less confidence where they leave gaps."""
    empty, reach = ~covered(masks), model.raster // TOKENS_ASIDE // 2
    for _ in range(ROUNDS):
        middles = gap_middles(empty, GAPS)
        if not len(middles):
            break
        masks = suppress(join([masks, _ask(model, shared, middles, RELAXED, meter)]), rules)
        empty &= ~covered(masks)
        for x, y in (middles * model.raster).astype(int):  # not the same question again
            empty[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = False
    return masks


def reference(
    model: SamModel, shared: Shared, points_per_side: int, side: int, rules: Rules, meter: Meter | None = None
) -> Masks:
    """What SamAutomaticMaskGenerator returns for the same points and thresholds on a picture of side x side pixels.

    All points are asked, and stability and boxes are measured at the picture's size: slower, for comparison.
    ``model.enlarge(masks.logits, side) > 0`` are its masks. Boxes are in pixels of the picture.
    """
    points = grid(points_per_side).reshape(-1, 2)
    return suppress(_ask(model, shared, points, rules, meter or Meter(None, 1), side), rules)


def covered(masks: Masks) -> np.ndarray:
    """Where any mask lies: (r, r) bool, on the CPU."""
    return masks.shapes.any(0).cpu().numpy()


def gap_middles(empty: np.ndarray, most: int) -> np.ndarray:
    """The innermost points of connected gaps larger than a token: (k, 2) x, y in [0, 1], the largest gap first.

    empty: (r, r) bool.   most: how many points at most.
    """
    names, count = label(empty)
    sizes = np.bincount(names.ravel(), minlength=count + 1)
    sizes[0] = 0
    large = [n for n in np.argsort(-sizes, kind="stable")[:most] if sizes[n] > empty.size / TOKENS_ASIDE**2]
    points = np.zeros((len(large), 2))
    if large:
        # The picture's own border counts as the gap's.
        depth = distance_transform_edt(np.pad(empty, 1))[1:-1, 1:-1]
        for row, n in enumerate(large):
            y, x = np.unravel_index(np.where(names == n, depth, 0).argmax(), empty.shape)
            points[row] = (x + 0.5) / empty.shape[1], (y + 0.5) / empty.shape[0]
    return points


@torch.inference_mode()
def _ask(
    model: SamModel, shared: Shared, points: np.ndarray, rules: Rules, meter: Meter, side: int | None = None
) -> Masks:
    """Masks at points (k, 2) that pass the rules, measured on the decoder's raster or at ``side`` pixels."""
    found = [none(model.raster, model.device)]
    at = torch.from_numpy(points).float()[:, None]
    for logits, iou in model.ask(shared, at, least_iou=rules.least_iou) if len(at) else ():
        good = (iou > rules.least_iou).flatten().nonzero()[:, 0]
        logits, many = logits.flatten(0, 1)[good], len(iou)
        enlarged = model.enlarge(logits, side) if side and len(good) else None
        found.append(judge(measure(logits, iou.flatten()[good], rules.offset, enlarged), rules))
        meter.add(many)
    return join(found)
