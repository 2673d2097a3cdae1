"""What can be said about every region of a label map at once: colour, shape, contrast with its surround.

Every function takes labels (T, H, W) int with ids 0..n, works on all regions together through
``np.bincount``, and returns arrays whose row i belongs to id i (row 0: the part without a segment).
"""

import numpy as np
import torch
from skimage.color import rgb2lab


def shrink(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Frames (T, S, S, 3) uint8 averaged down to (T, height, width, 3) uint8."""
    # Halving in integers first is several times faster than averaging everything in floats.
    while min(frames.shape[1] // height, frames.shape[2] // width) >= 2 and not (
        frames.shape[1] % 2 or frames.shape[2] % 2
    ):
        rows = np.add(frames[:, ::2], frames[:, 1::2], dtype=np.uint16)
        frames = ((rows[:, :, ::2] + rows[:, :, 1::2] + 2) >> 2).astype(np.uint8)
    if frames.shape[1:3] == (height, width):
        return frames
    planes = torch.from_numpy(frames.astype(np.float32)).permute(0, 3, 1, 2)
    small = torch.nn.functional.adaptive_avg_pool2d(planes, (height, width))
    return small.round_().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def to_lab(frames: np.ndarray) -> np.ndarray:
    """RGB uint8 (..., 3) to CIE Lab float32 (..., 3): L in [0, 100], a and b about [-100, 100]."""
    return rgb2lab(frames).astype(np.float32)


def sample(labels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Labels (T, S, S) at the centres of a height x width raster: (T, height, width), same dtype."""
    if labels.shape[1:] == (height, width):
        return labels
    rows = ((np.arange(height) + 0.5) * labels.shape[1] / height).astype(np.intp)
    columns = ((np.arange(width) + 0.5) * labels.shape[2] / width).astype(np.intp)
    return labels[:, rows[:, None], columns]


def region_means(labels: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Mean of values (T, H, W, C) over each of the ids 0..n: (n + 1, C) float64, 0 where an id is absent."""
    flat = labels.ravel()
    area = np.bincount(flat, minlength=n + 1)
    sums = [np.bincount(flat, channel.ravel(), n + 1) for channel in np.moveaxis(values, -1, 0)]
    return np.stack(sums, 1) / np.maximum(area, 1)[:, None]


def ring_contrast(labels: np.ndarray, lab: np.ndarray, n: int, reach: int) -> np.ndarray:
    """Colour distance between each region and the ring around it: (n + 1,) float64, Lab units, >= 0.

    The ring of a region is every pixel of another region that lies exactly ``reach`` pixels to the left or
    right, above or below one of its own. A region without a ring (it fills the picture) has contrast 0.

    Args:
        labels: (T, H, W) int ids 0..n.   lab: (T, H, W, 3) float.   reach: pixels, >= 1.
    """
    weight = np.zeros(n + 1)
    ring = np.zeros((n + 1, 3))
    for axis in (1, 2):
        if labels.shape[axis] <= reach:
            continue
        stop = labels.shape[axis] - reach
        first, second = np.arange(stop), np.arange(reach, labels.shape[axis])
        a, b = labels.take(first, axis), labels.take(second, axis)
        differs = a != b
        a, b = a[differs], b[differs]
        colour_a, colour_b = lab.take(first, axis)[differs], lab.take(second, axis)[differs]
        weight += np.bincount(a, minlength=n + 1) + np.bincount(b, minlength=n + 1)
        for c in range(3):
            ring[:, c] += np.bincount(a, colour_b[:, c], n + 1) + np.bincount(b, colour_a[:, c], n + 1)
    ring /= np.maximum(weight, 1)[:, None]
    distance = np.linalg.norm(region_means(labels, lab, n) - ring, axis=1)
    return np.where(weight > 0, distance, 0.0)
