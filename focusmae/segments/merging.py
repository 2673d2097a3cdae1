"""Greedy merging of many small regions into few object-like ones, on photos and through the frames of clips.

The region adjacency graph is contracted cheapest pair first. Two regions are cheap to merge when their mean
colours agree, when the border between them runs over weak edges, and when one of them is small or thin:

    cost(a, b) = (|colour_a - colour_b| + edge_weight * edge_ab) * (A_a * A_b / (A_a + A_b)) ** size_power

The size factor is Ward's, flattened (Ward: power 1 on squared distances), so that crumbs go first and large
unlike regions stay apart. A is the area as a share of the whole, but at most that of four squares as wide as
the region, since the soft outline of a thing is a long strip and still no thing. (Region merging on a graph:
Haris et al., 1998.)
"""

import heapq
from math import inf

import numpy as np

THIN = 4  # squares of its own width that a region may count for


def contacts(labels: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, ...]:
    """Pairs of touching ids: (a, b, length, length within frames, edge sum), a < b, each (pairs,).

    Pixels touch along every axis, so that regions of successive frames touch where they overlap.

    Args:
        labels: (T, H, W) int ids 0..n-1.   edges: (T, H, W) float edge strength, larger = stronger.
    """
    n = int(labels.max()) + 1
    keys, values = [], []
    for axis in range(labels.ndim):
        front = (slice(None),) * axis + (slice(0, -1),)
        back = (slice(None),) * axis + (slice(1, None),)
        a, b = labels[front], labels[back]
        differs = a != b
        x, y = a[differs].astype(np.int64), b[differs].astype(np.int64)
        keys.append(np.minimum(x, y) * n + np.maximum(x, y))
        values.append(np.maximum(edges[front][differs], edges[back][differs]))
    pairs, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    length = np.bincount(inverse, minlength=len(pairs))
    within = np.bincount(inverse[len(keys[0]) :], minlength=len(pairs))
    return pairs // n, pairs % n, length, within, np.bincount(inverse, np.concatenate(values), len(pairs))


def merge(
    labels: np.ndarray,
    lab: np.ndarray,
    edges: np.ndarray,
    *,
    limit: int,
    stop: float,
    crumb: float,
    edge_weight: float,
    size_power: float,
) -> np.ndarray:
    """Merge until at most ``limit`` regions are left, the cheapest pair costs ``stop``, and no crumb is left.

    Args:
        labels: (T, H, W) int, every id of 0..n-1 present.   lab: (T, H, W, 3) float colours.
        edges: (T, H, W) float.   limit: regions, >= 1.   stop: cost.   crumb: least A, see above.
    Returns:
        (T, H, W) int64, ids 0..m-1 without gaps, m <= limit.
    """
    n = int(labels.max()) + 1
    flat = labels.ravel()
    pixels = np.bincount(flat, minlength=n)
    colour = list(zip(*(np.bincount(flat, lab[..., c].ravel(), n) / pixels for c in range(3)), strict=True))
    touching = contacts(labels, edges)
    sides = np.bincount(
        np.concatenate([labels[:, [0, -1]].ravel(), labels[:, :, [0, -1]].ravel()]), minlength=n
    )
    for ids in touching[:2]:
        sides = sides + np.bincount(ids, touching[3], n)
    frames, total = len(labels), labels.size

    # Plain Python numbers below: with a few neighbours per region they beat arrays by far.
    area, outline = pixels.tolist(), sides.tolist()

    def counted(a: int) -> float:
        width = 4 * area[a] / outline[a]
        return min(area[a], THIN * width * width * frames) / total

    size = [counted(a) for a in range(n)]
    # A border is [length, length within frames, edge sum, price under which it is queued].
    neighbours: list[dict[int, list]] = [{} for _ in range(n)]

    def cost(a: int, b: int, border: list) -> float:
        (l1, a1, b1), (l2, a2, b2) = colour[a], colour[b]
        distance = ((l1 - l2) ** 2 + (a1 - a2) ** 2 + (b1 - b2) ** 2) ** 0.5
        both = size[a] * size[b] / (size[a] + size[b])
        return (distance + edge_weight * border[2] / border[0]) * both**size_power

    heap = []
    for a, b, *border in zip(*(column.tolist() for column in touching), strict=True):
        price = cost(a, b, border)
        neighbours[a][b] = neighbours[b][a] = [*border, price]
        heap.append((price, a, b))
    heapq.heapify(heap)

    # Costs are brought up to date only when a pair reaches the front: they nearly always grow with the
    # regions, so this merges in all but the same order as updating every neighbour, several times faster.
    parent, alive = list(range(n)), n

    def find(a: int) -> int:
        while parent[a] != a:
            parent[a] = a = parent[parent[a]]
        return a

    while heap:
        queued, a, b = heapq.heappop(heap)
        a, b = find(a), find(b)
        border = neighbours[a].get(b)
        if border is None or border[3] != queued:
            continue
        price = cost(a, b, border)
        if price > queued:
            border[3] = price
            heapq.heappush(heap, (price, a, b))
            continue
        if alive <= limit and price > stop and min(size[a], size[b]) >= crumb:
            border[3] = inf
            continue
        if len(neighbours[a]) < len(neighbours[b]):
            a, b = b, a
        alive -= 1
        parent[b] = a
        share = area[b] / (area[a] + area[b])
        colour[a] = tuple(x + share * (y - x) for x, y in zip(colour[a], colour[b], strict=True))
        area[a] += area[b]
        outline[a] += outline[b] - 2 * border[1]
        size[a] = counted(a)
        for other, old in neighbours[b].items():
            del neighbours[other][b]
            if other == a:
                continue
            if other in neighbours[a]:
                kept = neighbours[a][other]
                kept[:] = kept[0] + old[0], kept[1] + old[1], kept[2] + old[2], min(kept[3], old[3])
            else:
                neighbours[a][other] = neighbours[other][a] = old
        neighbours[b] = {}

    root = np.array([find(a) for a in range(n)])
    return np.unique(root, return_inverse=True)[1][labels]
