"""What the scorer is told about every token: sixteen numbers from the segments and the frames.

Step 3 of the method: (segments, frames) -> (N, 16). They are the same for every source of segments, and each
expert of the scorer sees only its own few, so that experts differ by what they know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from focusmae.segments.base import SegmentMap
from focusmae.segments.regions import ring_contrast, sample, shrink, to_lab

if TYPE_CHECKING:
    from focusmae.masking import Grid

DESCRIPTORS = (
    "coverage",
    "purity",
    "entropy",
    "log_area",
    "dx",
    "dy",
    "centre_distance",
    "quality",
    "boundary",
    "count",
    "contrast",
    "texture",
    "gradient",
    "motion",
    "text_affinity",
    "presence",
)

_OBJECT = "coverage purity log_area dx dy centre_distance quality text_affinity presence"
_DETAIL = "entropy boundary count contrast texture gradient"
EXPERTS = {
    "object": tuple(DESCRIPTORS.index(name) for name in _OBJECT.split()),
    "detail": tuple(DESCRIPTORS.index(name) for name in _DETAIL.split()),
    "motion": (DESCRIPTORS.index("motion"),),
    "context": (),
}
"""Expert -> indices of the descriptors that it sees; context sees the tokens alone."""

CELL = 8  # texture, gradient, motion and contrast are measured at this many pixels along a token


class Runs(NamedTuple):
    """Stretches of one label within one row of one token, in raster order, each (runs,) int64.

    There are about ten times fewer of them than pixels, and whatever is summed over pixels can be summed over them.
    """

    label: np.ndarray
    token: np.ndarray
    t: np.ndarray
    y: np.ndarray
    x: np.ndarray
    length: np.ndarray


def _runs(labels: np.ndarray, grid: Grid) -> Runs:
    """Labels (T, H, W) cut into runs; a pixel belongs to the token at floor(y * h / H), and so on for t and x."""
    frames, height, width = labels.shape
    column = np.arange(width) * grid.w // width
    begins = np.empty(labels.shape, dtype=bool)
    begins[:, :, 0] = True
    np.not_equal(labels[:, :, 1:], labels[:, :, :-1], out=begins[:, :, 1:])
    begins[:, :, 1:][:, :, np.diff(column) > 0] = True
    start = np.flatnonzero(begins)
    row, x = np.divmod(start, width)
    t, y = np.divmod(row, height)
    token = _token(t, y, x, labels.shape, grid)
    return Runs(labels.ravel()[start].astype(np.int64), token, t, y, x, np.diff(start, append=labels.size))


def _token(t: np.ndarray, y: np.ndarray, x: np.ndarray, shape: tuple[int, ...], grid: Grid) -> np.ndarray:
    """Token index of pixels, raster order t, h, w."""
    # Tables, because integer division is slow.
    row = (np.arange(shape[0]) * grid.t // shape[0])[:, None] * grid.h + np.arange(shape[1]) * grid.h // shape[1]
    return row[t, y] * grid.w + (np.arange(shape[2]) * grid.w // shape[2])[x]


def membership(segments: SegmentMap, grid: Grid) -> np.ndarray:
    """Share of each token's pixels in each segment: (N, n + 1) float32, column 0 = in none, rows sum to 1.

    A token without pixels (a picture smaller than the grid) counts as in none.
    """
    return _membership(_runs(segments.labels, grid), segments.count, grid)


def _membership(runs: Runs, count: int, grid: Grid) -> np.ndarray:
    columns = count + 1
    pixels = np.bincount(runs.token * columns + runs.label, runs.length, grid.tokens * columns)
    pixels = pixels.reshape(grid.tokens, columns).astype(np.float32)
    pixels[:, 0] += pixels.sum(1) == 0
    return pixels / pixels.sum(1, keepdims=True)


def token_segments(segments: SegmentMap, grid: Grid) -> torch.Tensor:
    """The segment that holds most of each token, 0 = none: (N,) int64. A tie goes to the smaller id."""
    return torch.from_numpy(membership(segments, grid).argmax(1))


def describe(segments: SegmentMap, frames: np.ndarray, grid: Grid) -> torch.Tensor:
    """The descriptors of every token: (N, 16) float32, finite, columns as in DESCRIPTORS.

    "Its segment" is the one that holds most of the token; where that is none, what tells of it is 0.

    ==================  =========  ==================================================================
    coverage            [0, 1]     sum over segments of membership x quality
    purity              [0, 1]     membership of its segment
    entropy             [0, 1]     entropy of the membership, none included; 1 from four equal parts on
    log_area            [0, 1]     log(1 + area of its segment in tokens) / log(1 + tokens), one frame's
    dx, dy              (-1, 1)    from the token's centre to its segment's centroid, in sides
    centre_distance     [0, 1]     that centroid to the picture's centre, in half diagonals
    quality             [0, 1]     of its segment
    boundary            [0, 1]     length of segment borders inside, 1 from two token sides on
    count               [0, 1]     number of segments inside, 1 from four on
    contrast            [0, 1)     d / (d + 20), d = Lab distance of its segment to the ring around it
    texture             [0, 1]     twice the standard deviation of luma
    gradient            [0, 1)     g / (g + 0.05), g = mean slope of luma per 1/8 token
    motion              [0, 1)     m / (m + 0.05), m = mean change of luma between frames; 0 on photos
    text_affinity       [0, 1]     sum over segments of membership x affinity; 0 without text
    presence            0 or 1     whether it has a segment
    ==================  =========  ==================================================================
    Centroids are those in the token's own frames, so that they follow what moves. Luma is in [0, 1].

    Args:
        segments: labels (T, S, S).   frames: (T, S, S, 3) uint8 RGB.   grid: t divides T.
    Raises:
        ValueError: labels and frames of different length, or one that the grid does not divide.
    """
    if len(frames) != len(segments.labels) or len(frames) % grid.t:
        raise ValueError(f"{len(segments.labels)} label frames, {len(frames)} frames, {grid.t} tokens in time")
    runs = _runs(segments.labels, grid)
    member = _membership(runs, segments.count, grid)
    own = member.argmax(1)
    present = own > 0
    # Row 0 of these tables stands for "none".
    quality = np.concatenate([[0], segments.quality]).astype(np.float32)
    affinity = np.zeros_like(quality)
    if segments.affinity is not None:
        affinity[1:] = segments.affinity
    log_area, dx, dy, centre_distance = _places(runs, segments.labels.shape, segments.count, own, grid)
    small = shrink(frames, grid.h * CELL, grid.w * CELL)
    texture, gradient, motion = _pixels(small, grid)
    entropy = (member * np.log2(1 / np.maximum(member, 1e-12))).sum(1) / 2

    values = {
        "coverage": member @ quality,
        "purity": member.max(1) * present,
        "entropy": np.clip(entropy, 0, 1),
        "log_area": log_area * present,
        "dx": dx * present,
        "dy": dy * present,
        "centre_distance": centre_distance * present,
        "quality": quality[own],
        "boundary": _boundary(segments.labels, runs, grid),
        "count": np.minimum((member[:, 1:] > 0).sum(1) / 4, 1),
        "contrast": _contrast(segments, small, grid)[own] * present,
        "texture": texture,
        "gradient": gradient,
        "motion": motion,
        "text_affinity": member @ affinity,
        "presence": present,
    }
    return torch.from_numpy(np.stack([values[name] for name in DESCRIPTORS], 1).astype(np.float32))


def _places(runs: Runs, shape: tuple[int, ...], count: int, own: np.ndarray, grid: Grid) -> tuple[np.ndarray, ...]:
    """log_area, dx, dy, centre_distance of each token's own segment, each (N,); undefined where it has none."""
    frames, height, width = shape
    columns = count + 1
    # One bin per segment and row of tokens in time.
    bins = (runs.t * grid.t // frames) * columns + runs.label
    sums = (runs.length, runs.length * (runs.x + runs.length / 2), runs.length * (runs.y + 0.5))
    pixels, x, y = (np.bincount(bins, values, grid.t * columns).reshape(grid.t, columns) for values in sums)
    t, row, column = np.unravel_index(np.arange(grid.tokens), grid)
    inside = np.maximum(pixels, 1)
    cx, cy = (x / inside / width)[t, own], (y / inside / height)[t, own]
    cells = grid.h * grid.w
    area = pixels.sum(0)[own] / (frames * height * width) * cells
    return (
        np.log1p(area) / np.log1p(cells),
        cx - (column + 0.5) / grid.w,
        cy - (row + 0.5) / grid.h,
        np.hypot(cx - 0.5, cy - 0.5) * np.sqrt(2),
    )


def _boundary(labels: np.ndarray, runs: Runs, grid: Grid) -> np.ndarray:
    """Length of the segment borders inside each token over two token sides, at most 1: (N,)."""
    frames, height, width = labels.shape
    # A border belongs half to either pixel, so that mirrored labels give mirrored values.
    right = np.flatnonzero((runs.x[1:] > 0) & (runs.label[1:] != runs.label[:-1])) + 1
    above = np.flatnonzero(labels[:, 1:] != labels[:, :-1])
    row, x = np.divmod(above, width)
    t, y = np.divmod(row, height - 1) if height > 1 else (row, row)
    tokens = (runs.token[right - 1], runs.token[right], *(_token(t, y + k, x, labels.shape, grid) for k in (0, 1)))
    length = sum(np.bincount(ids, minlength=grid.tokens) for ids in tokens) / 2
    side = np.sqrt(height * width / (grid.h * grid.w)) * frames / grid.t
    return np.minimum(length / side / 2, 1)


def _contrast(segments: SegmentMap, small: np.ndarray, grid: Grid) -> np.ndarray:
    """d / (d + 20) of every segment, d = Lab distance to its ring half a token away: (n + 1,)."""
    # One frame per token in time is enough, and halves the slowest conversion.
    frames = np.arange(grid.t) * len(small) // grid.t
    labels = sample(segments.labels[frames], *small.shape[1:3])
    distance = ring_contrast(labels, to_lab(small[frames]), segments.count, CELL // 2)
    return distance / (distance + 20)


def _pixels(small: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """texture, gradient and motion of each token, each (N,), from frames (T, h * CELL, w * CELL, 3) uint8."""
    luma = small.astype(np.float32) @ np.array([0.299 / 255, 0.587 / 255, 0.114 / 255], dtype=np.float32)
    slope = np.zeros_like(luma)
    slope[:, :, 1:-1] += (luma[:, :, 2:] - luma[:, :, :-2]) ** 2 / 4
    slope[:, 1:-1] += (luma[:, 2:] - luma[:, :-2]) ** 2 / 4
    change = np.abs(np.diff(luma, axis=0))
    # Every frame is compared with those before and after it; the ends have one neighbour only.
    motion = np.zeros_like(luma)
    if len(luma) > 1:
        motion[:-1] += change
        motion[1:] += change
        motion[1:-1] /= 2

    def pool(values: np.ndarray) -> np.ndarray:
        cells = values.reshape(grid.t, -1, grid.h, CELL, grid.w, CELL)
        return cells.mean((1, 3, 5), dtype=np.float64).ravel()

    variance = np.maximum(pool(luma**2) - pool(luma) ** 2, 0)
    gradient, moved = pool(np.sqrt(slope)), pool(motion)
    return 2 * np.sqrt(variance), gradient / (gradient + 0.05), moved / (moved + 0.05)
