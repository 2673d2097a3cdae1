"""What the scorer is told about every token: sixteen numbers from the segments and the frames.

Step 3 of the method: (segments, frames) -> (N, 16). They are the same for every source of segments, and each
expert of the scorer sees only its own few, so that experts differ by what they know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def token_of_pixels(frames: int, height: int, width: int, grid: Grid) -> np.ndarray:
    """Token index of every pixel: (frames, height, width) int64, raster order t, h, w; floor(y * h / height)."""
    t = np.arange(frames) * grid.t // frames
    y = np.arange(height) * grid.h // height
    x = np.arange(width) * grid.w // width
    return (t[:, None, None] * grid.h + y[:, None]) * grid.w + x


def membership(segments: SegmentMap, grid: Grid) -> np.ndarray:
    """Share of each token's pixels in each segment: (N, n + 1) float32, column 0 = in none, rows sum to 1.

    A token without pixels (a picture smaller than the grid) counts as in none.
    """
    columns = segments.count + 1
    index = token_of_pixels(*segments.labels.shape, grid) * columns + segments.labels
    pixels = np.bincount(index.ravel(), minlength=grid.tokens * columns).reshape(grid.tokens, columns)
    pixels = pixels.astype(np.float32)
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
        raise ValueError(
            f"{len(segments.labels)} label frames, {len(frames)} frames, {grid.t} tokens in time"
        )
    member = membership(segments, grid)
    own = member.argmax(1)
    present = own > 0
    # Row 0 of these tables stands for "none".
    quality = np.concatenate([[0], segments.quality]).astype(np.float32)
    affinity = np.zeros_like(quality)
    if segments.affinity is not None:
        affinity[1:] = segments.affinity
    log_area, dx, dy, centre_distance = _places(segments, own, grid)
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
        "boundary": _boundary(segments.labels, grid),
        "count": np.minimum((member[:, 1:] > 0).sum(1) / 4, 1),
        "contrast": _contrast(segments, small, grid)[own] * present,
        "texture": texture,
        "gradient": gradient,
        "motion": motion,
        "text_affinity": member @ affinity,
        "presence": present,
    }
    return torch.from_numpy(np.stack([values[name] for name in DESCRIPTORS], 1).astype(np.float32))


def _places(segments: SegmentMap, own: np.ndarray, grid: Grid) -> tuple[np.ndarray, ...]:
    """log_area, dx, dy, centre_distance of each token's own segment, each (N,); undefined where it has none."""
    frames, height, width = segments.labels.shape
    columns = segments.count + 1
    # One bin per segment and row of tokens in time; column sums are enough for the centroids.
    slab = np.arange(frames) * grid.t // frames
    bins = (slab[:, None, None] * columns + segments.labels).ravel()
    x = np.broadcast_to((np.arange(width) + 0.5) / width, segments.labels.shape).ravel()
    y = np.broadcast_to(((np.arange(height) + 0.5) / height)[:, None], segments.labels.shape).ravel()
    pixels = np.bincount(bins, minlength=grid.t * columns).reshape(grid.t, columns)
    cx, cy = (
        np.bincount(bins, v, grid.t * columns).reshape(grid.t, columns) / np.maximum(pixels, 1)
        for v in (x, y)
    )
    t, row, column = np.unravel_index(np.arange(grid.tokens), grid)
    cx, cy = cx[t, own], cy[t, own]
    cells = grid.h * grid.w
    area = pixels.sum(0)[own] / segments.labels.size * cells
    return (
        np.log1p(area) / np.log1p(cells),
        cx - (column + 0.5) / grid.w,
        cy - (row + 0.5) / grid.h,
        np.hypot(cx - 0.5, cy - 0.5) * np.sqrt(2),
    )


def _boundary(labels: np.ndarray, grid: Grid) -> np.ndarray:
    """Length of the segment borders inside each token over two token sides, at most 1: (N,)."""
    frames, height, width = labels.shape
    halves = np.zeros(labels.shape, dtype=np.uint8)
    # A border belongs half to either pixel, so that mirrored labels give mirrored values.
    for axis in (1, 2):
        front = (slice(None),) * axis + (slice(0, -1),)
        back = (slice(None),) * axis + (slice(1, None),)
        differs = labels[front] != labels[back]
        halves[front] += differs
        halves[back] += differs
    on = np.nonzero(halves)
    length = np.bincount(token_of_pixels(*labels.shape, grid)[on], halves[on] / 2, grid.tokens)
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
    luma = small @ (np.array([0.299, 0.587, 0.114]) / 255)
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
