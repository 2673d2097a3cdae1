"""Where tokens go when they should keep their distance: repelled draws, a fixed lattice, held-out strata.

Neighbouring tokens say much the same thing, so a choice that spreads sees more with as many tokens.
Everything here is geometry on the token grid, in numpy, and knows nothing of scores beyond the numbers it is
handed. ``grid`` is (t, h, w) tokens per axis, in raster order, throughout.
"""

import math
from functools import lru_cache

import numpy as np

STRENGTH = 4.0  # how much one drawn token takes away from another at distance zero, in logits
RADIUS = 1.5  # standard deviation of that repulsion, in tokens
LATTICE_SPACING = 2.0  # distance of neighbouring lattice points, in tokens, while the grid has room for it

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
_PLASTIC = 1.32471795724474602596  # the root of x^3 = x + 1, base of the two-dimensional Kronecker sequence


@lru_cache(maxsize=2)  # one grid for photos (0.15 MB) and one for clips (10 MB)
def _repulsion(grid: tuple[int, int, int], strength: float, radius: float) -> np.ndarray:
    """What drawing token i takes from token j: (N, N) float32."""
    t, h, w = (_repulsion_along(size, radius) for size in grid)
    return (strength * np.kron(np.kron(t, h), w)).astype(np.float32)


def _repulsion_along(size: int, radius: float) -> np.ndarray:
    """exp(-d^2 / (2 radius^2)) along one axis, (size, size), with the borders as mirrors.

    An even crowd then presses on every token alike. Measured on 14 x 14 without scores: edges are drawn 1.2
    times and corners twice as often as the average, without the mirrors 1.7 and 3.5 times, which would send a
    draw that means to be unbiased to where things seldom are.
    """
    i, j = np.arange(size)[:, None], np.arange(size)[None]
    distances = [i - j] if size == 1 else [i - j, i + j + 1, 2 * size - 1 - i - j]
    return sum(np.exp(-(d**2) / (2 * radius**2)) for d in distances)


def repelled_draw(
    values: np.ndarray,
    count: int,
    grid: tuple[int, int, int],
    strength: float = STRENGTH,
    radius: float = RADIUS,
) -> np.ndarray:
    """Draw greedily while every drawn token pushes its neighbours down.

    Repeats: take the token with the largest ``values - strength * sum over drawn exp(-d^2 / (2 radius^2))``,
    with d the distance in (t, h, w) tokens; of equal ones the lower index. With ``strength`` 0 this is the
    plain top-K.

    The rule, 4 logits and 1.5 tokens, comes from this project's first study on photographs, which
    standardised the scores and used no noise. Here ``values`` are the scores as they are plus the common
    Gumbel noise, so that the draw stays random, its temperature is that of ``select``, and the two differ by
    the repulsion alone. The grid's borders reflect the repulsion, so that border tokens, which have fewer
    neighbours, are hardly favoured.

    Args:
        values: (B, N) float; -inf marks tokens that are never drawn, ``count`` others must be left.
        count: tokens to draw.

    Returns:
        (B, count) int64 in drawn order.
    """
    kernel = _repulsion(tuple(grid), strength, radius)
    values = np.array(values, dtype=np.float64)
    rows = np.arange(len(values))
    drawn = np.empty((len(values), count), dtype=np.int64)
    for step in range(count):
        best = values.argmax(axis=1)
        drawn[:, step] = best
        values -= kernel[best]
        values[rows, best] = -np.inf
    return drawn


def _sunflower(count: int, h: int, w: int, turn: float) -> tuple[np.ndarray, float]:
    """The first ``count`` points (y, x) on an h x w grid of a sunflower around its centre; their spacing."""
    spacing, reach = LATTICE_SPACING, (h * h + w * w) / 4
    while True:
        scale = spacing / math.sqrt(math.pi)  # then each point owns spacing^2 of area
        n = np.arange(math.ceil(reach / scale**2) + 1) + 0.5
        radius, angle = scale * np.sqrt(n), n * _GOLDEN_ANGLE + turn
        y, x = radius * np.sin(angle) + (h - 1) / 2, radius * np.cos(angle) + (w - 1) / 2
        inside = (y >= -0.5) & (y < h - 0.5) & (x >= -0.5) & (x < w - 0.5)
        if inside.sum() >= count:
            return np.stack([y[inside], x[inside]], axis=1)[:count], spacing
        spacing *= 0.98  # the grid is full at this spacing


def _shares(count: int, room: list[int]) -> list[int]:
    """Split ``count`` over the slices as evenly as their ``room`` allows; ``count`` must fit."""
    size = len(room)
    shares = [min(limit, (i + 1) * count // size - i * count // size) for i, limit in enumerate(room)]
    while sum(shares) < count:
        roomy = [i for i in range(size) if shares[i] < room[i]]
        shares[min(roomy, key=shares.__getitem__)] += 1
    return shares


@lru_cache(maxsize=64)
def lattice(grid: tuple[int, int, int], count: int, taken: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The same ``count`` tokens for every input: a sunflower around the centre, about 2 tokens apart.

    Points follow Vogel's spiral outwards and snap to the nearest free token, rather to one a little further
    off than to one that is closer to an earlier point than the spacing. Once the grid is full at a spacing of
    2 tokens, the whole pattern tightens until it has ``count`` points. On clips the points are shared out
    evenly over the time slices, and each slice is turned against the one before it.

    Args:
        count: tokens to place, at most those that are free.
        taken: tokens that must stay free of points (the held-out ones).

    Returns:
        ``count`` token indices, ascending.
    """
    t, h, w = grid
    free = np.ones((t, h * w), dtype=bool)
    free.reshape(-1)[list(taken)] = False
    ys, xs = np.divmod(np.arange(h * w), w)
    chosen = []
    for time, share in enumerate(_shares(count, free.sum(axis=1).tolist())):
        points, spacing = _sunflower(share, h, w, turn=2 * math.pi * time / t)
        crowding = np.zeros(h * w)  # squared tokens by which a place is too close to the points so far
        for y, x in points:
            distance = (ys - y) ** 2 + (xs - x) ** 2
            place = int(np.where(free[time], distance + 4 * crowding, np.inf).argmin())
            free[time, place] = False
            crowding = np.maximum(crowding, spacing**2 - (ys - ys[place]) ** 2 - (xs - xs[place]) ** 2)
            chosen.append(time * h * w + place)
    return tuple(sorted(chosen))


def stratified_cells(h: int, w: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """``count`` cells of an h x w grid, evenly strewn: each region has its share, each cell the same chance.

    A two-dimensional Kronecker sequence (Roberts' R2: golden-ratio steps in the plane) with a random shift,
    which makes all cells equally likely, and a random symmetry. A point moves to the nearest free cell where
    its own is taken.

    Returns:
        (count,) int64, ascending.
    """
    steps = np.arange(count)[:, None] * np.array([1 / _PLASTIC, 1 / _PLASTIC**2])
    points = (steps[:, :: rng.choice([-1, 1])] * rng.choice([-1, 1], size=2) + rng.random(2)) % 1.0
    points = points * [h, w] - 0.5
    ys, xs = np.divmod(np.arange(h * w), w)
    free = np.ones(h * w, dtype=bool)
    for y, x in points:
        free[np.where(free, (ys - y) ** 2 + (xs - x) ** 2, np.inf).argmin()] = False
    return np.flatnonzero(~free)
