"""How well regions follow what people drew: boundary recall, achievable accuracy, the best object they can form.

Definitions as in the superpixel literature (Stutz, Hermans, Leibe, "Superpixels: an evaluation of the state of the
art", CVIU 2018). Labels are (T, H, W) int; a region is all pixels of one id, through every frame.
"""

import numpy as np
from scipy.ndimage import binary_dilation

TOLERANCE = 0.0075  # of the frame's diagonal: the distance within which BSDS counts a boundary as found
LEAST_TOLERANCE = 2.0  # pixels


def tolerance_of(height: int, width: int) -> float:
    """Pixels within which a boundary counts as found: 0.0075 diagonals, at least 2."""
    return max(LEAST_TOLERANCE, TOLERANCE * float(np.hypot(height, width)))


def boundaries(labels: np.ndarray) -> np.ndarray:
    """Pixels whose right or lower neighbour in the same frame is another region: (T, H, W) bool."""
    marked = np.zeros(labels.shape, dtype=bool)
    marked[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    marked[:, :, :-1] |= labels[:, :, :-1] != labels[:, :, 1:]
    return marked


def near(marked: np.ndarray, tolerance: float) -> np.ndarray:
    """Pixels of (T, H, W) with a marked one in the same frame at most ``tolerance`` pixels (Euclidean) away."""
    reach = np.arange(-int(tolerance), int(tolerance) + 1)
    disc = np.hypot(reach[:, None], reach) <= tolerance
    return np.stack([binary_dilation(frame, disc) for frame in marked])


def boundary_recall(labels: np.ndarray, truth: np.ndarray, tolerance: float) -> float:
    """Share of the true boundary that has a boundary of ours near; NaN where the truth has no boundary.

    With the arguments exchanged it is the precision: the share of our boundary that has a true one near.
    """
    drawn = boundaries(truth)
    return float(near(boundaries(labels), tolerance)[drawn].mean()) if drawn.any() else float("nan")


def overlaps(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pixels that each of our regions shares with each true one: (ours, true) int64, ids closed up."""
    _, ours = np.unique(labels, return_inverse=True)
    _, true = np.unique(truth, return_inverse=True)
    columns = int(true.max()) + 1
    rows = int(ours.max()) + 1
    return np.bincount(ours.ravel() * columns + true.ravel(), minlength=rows * columns).reshape(rows, columns)


def achievable_accuracy(labels: np.ndarray, truth: np.ndarray) -> float:
    """Share of pixels that would be right if every region of ours took the best true label: in (0, 1]."""
    return float(overlaps(labels, truth).max(1).sum() / labels.size)


def achievable_overlap(labels: np.ndarray, thing: np.ndarray) -> float:
    """The largest intersection over union with ``thing`` (bool) that any set of our regions reaches.

    NaN where there is no thing. The best set consists of the regions that lie in it with the largest shares.
    """
    if not thing.any():
        return float("nan")
    _, ours = np.unique(labels, return_inverse=True)
    inside = np.bincount(ours.ravel(), thing.ravel())
    outside = np.bincount(ours.ravel()) - inside
    order = np.argsort(-inside / (inside + outside), kind="stable")
    return float((inside[order].cumsum() / (inside.sum() + outside[order].cumsum())).max())
