"""How much a region looks like an object of its own: a closed formula, no weights.

Objects seldom run off the picture, sit near its centre, are compact, and differ in colour from what surrounds
them (Alexe et al., "Measuring the objectness of image windows", TPAMI 2012; the border cue is the boundary
connectivity of Zhu et al., "Saliency optimization from robust background detection", CVPR 2014).
"""

import numpy as np

from focusmae.segments.regions import ring_contrast

CENTRE = 0.25  # width of the centre cue, in sides of the picture
HALF_CONTRAST = 15.0  # Lab distance at which the contrast cue is one half
RING = 1 / 64  # how far from a region its surround is looked at, in sides of the picture


def objectness(labels: np.ndarray, lab: np.ndarray, n: int | None = None) -> np.ndarray:
    """Quality of every id 1..n: (n,) float32 in [0, 1], the most object-like region of the input near 1.

    q = off_border * central^(1/2) * (compact * contrast)^(1/4), divided by the largest q of the input (by 0.1
    if all are below that, so that nothing becomes an object for want of a better one). The two weaker cues
    count less: on natural pictures position tells objects from surroundings far better than shape does.

    Args:
        labels: (T, H, W) int, ids 1..n, 0 = none.   lab: (T, H, W, 3) float, CIE Lab.
        n: number of ids, by default the largest in ``labels``; an id without pixels has quality 0.
    """
    cue = cues(labels, lab, int(labels.max()) if n is None else n)
    q = cue["off_border"] * np.sqrt(cue["central"]) * (cue["compact"] * cue["contrast"]) ** 0.25
    return (q / max(q.max(initial=0.0), 0.1)).astype(np.float32)


def cues(labels: np.ndarray, lab: np.ndarray, n: int) -> dict[str, np.ndarray]:
    """The four cues of every id 1..n, each (n,) float64 in [0, 1]; arguments as in ``objectness``.

    off_border: exp(-1.5 b), b = length shared with the picture's sides / square root of the area.
    central: exp(-r² / 2 CENTRE²), r² = mean squared distance of its pixels from the centre.
    compact: area / area of the ellipse with the same second moments: 1 for ellipses, about 1 for rectangles,
        less for rings, branches and scattered parts.
    contrast: d / (d + HALF_CONTRAST), d = colour distance to the surrounding ring.
    Lengths are in sides of the picture. On clips each cue is measured frame by frame, or motion would smear
    it, and averaged over the frames by area.
    """
    frames, height, width = labels.shape
    bins = (np.arange(frames)[:, None, None] * (n + 1) + labels).ravel()

    def per_frame(values: np.ndarray | None = None) -> np.ndarray:
        weights = None if values is None else np.broadcast_to(values, labels.shape).ravel()
        return np.bincount(bins, weights, frames * (n + 1)).reshape(frames, n + 1)[:, 1:]

    x = ((np.arange(width) + 0.5) / width - 0.5)[None, None, :]
    y = ((np.arange(height) + 0.5) / height - 0.5)[None, :, None]
    pixels = per_frame()
    area = pixels / (height * width)
    mx, my, xx, yy, xy = (per_frame(v) / np.maximum(pixels, 1) for v in (x, y, x * x, y * y, x * y))

    rim = np.zeros((1, height, width))
    rim[:, [0, -1], :] += 1 / width
    rim[:, :, [0, -1]] += 1 / height
    off_border = np.exp(-1.5 * per_frame(rim) / np.sqrt(np.maximum(area, 1e-12)))
    central = np.exp(-(xx + yy) / (2 * CENTRE**2))
    # A pixel is a square, not a point: 1/12 of its squared side on both axes.
    spread = (xx - mx**2 + 1 / 12 / width**2) * (yy - my**2 + 1 / 12 / height**2) - (xy - mx * my) ** 2
    compact = np.minimum(1, area / (4 * np.pi * np.sqrt(np.maximum(spread, 1e-12))))
    distance = ring_contrast(labels, lab, n, max(1, round(RING * height)))[1:]

    def average(cue: np.ndarray) -> np.ndarray:
        return (cue * pixels).sum(0) / np.maximum(pixels.sum(0), 1)

    return {
        "off_border": average(off_border),
        "central": average(central),
        "compact": average(compact),
        "contrast": distance / (distance + HALF_CONTRAST),
    }
