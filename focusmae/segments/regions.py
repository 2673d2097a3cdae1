"""What can be said about every region of a label map at once: colour, shape, contrast with its surround.

Every function takes labels (T, H, W) int with ids 0..n, works on all regions together through
``np.bincount``, and returns arrays whose row i belongs to id i (row 0: the part without a segment).
"""

import numpy as np
from skimage.color.colorconv import xyz_from_rgb


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
    # Averaging is linear and separable: two dense products, the second with R, G and B side by side.
    rows, columns = _averaging(frames.shape[1], height), np.kron(_averaging(frames.shape[2], width), np.eye(3))
    small = rows @ frames.reshape(*frames.shape[:2], -1).astype(np.float32)
    small = small.reshape(-1, small.shape[-1]) @ columns.T.astype(np.float32)
    return np.rint(small).astype(np.uint8).reshape(len(frames), height, width, 3)


def _averaging(before: int, after: int) -> np.ndarray:
    """(after, before) float32: every new pixel is the mean of the old ones that it touches."""
    first = np.arange(after) * before // after
    last = -(-np.arange(1, after + 1) * before // after)
    old = np.arange(before)
    touched = (old >= first[:, None]) & (old < last[:, None])
    return (touched / touched.sum(1, keepdims=True)).astype(np.float32)


def to_lab(frames: np.ndarray) -> np.ndarray:
    """RGB uint8 (..., 3) to CIE Lab float32 (..., 3): L in [0, 100], a and b about [-100, 100]; sRGB, D65."""
    xyz = _LINEAR[frames] @ _WHITE_XYZ
    # CIE 1976; the straight line near black meets the cube root at 0.008856.
    root = np.where(xyz > 0.008856, np.cbrt(xyz), np.float32(7.787) * xyz + np.float32(16 / 116))
    return root @ _TO_LAB - np.array([16, 0, 0], dtype=np.float32)


_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS > 0.04045, ((_LEVELS + 0.055) / 1.055) ** 2.4, _LEVELS / 12.92).astype(np.float32)
_WHITE_XYZ = (xyz_from_rgb / np.array([[0.95047], [1.0], [1.08883]])).T.astype(np.float32)
_TO_LAB = np.array([[0, 500, 0], [116, -500, 200], [0, 0, -200]], dtype=np.float32)


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
    flat, colours = labels.ravel(), lab.reshape(-1, 3)
    places = np.arange(labels.size).reshape(labels.shape)
    for axis in (1, 2):
        if labels.shape[axis] <= reach:
            continue
        front = (slice(None),) * axis + (slice(0, -reach),)
        back = (slice(None),) * axis + (slice(reach, None),)
        differs = labels[front] != labels[back]
        # Positions in the flat arrays: gathering what differs is several times faster than masking everything.
        first = places[front][differs]
        second = first + reach * (labels.shape[2] if axis == 1 else 1)
        a, b = flat[first], flat[second]
        weight += np.bincount(a, minlength=n + 1) + np.bincount(b, minlength=n + 1)
        for c in range(3):
            ring[:, c] += np.bincount(a, colours[second, c], n + 1) + np.bincount(b, colours[first, c], n + 1)
    ring /= np.maximum(weight, 1)[:, None]
    distance = np.linalg.norm(region_means(labels, lab, n) - ring, axis=1)
    return np.where(weight > 0, distance, 0.0)
