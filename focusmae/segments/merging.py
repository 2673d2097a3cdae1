"""Greedy merging of many small regions into few object-like ones, on photos and through the frames of clips.

The region adjacency graph is contracted cheapest pair first. Two regions are cheap to merge when their mean
colours agree, when the border between them runs over weak edges, and when one of them is small:

    cost(a, b) = (|colour_a - colour_b| + edge_weight * edge_ab) * (A_a * A_b / (A_a + A_b)) ** size_power

with A as shares of the whole. The size factor is Ward's, flattened (Ward: power 1 on squared distances), so
that crumbs go first and large unlike regions stay apart. (Region merging on a graph: Haris et al., 1998.)
"""

import heapq
from math import inf

import numpy as np


def contacts(labels: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of touching ids: (a, b, length, edge sum), a < b, each (pairs,).

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
    strength = np.bincount(inverse, np.concatenate(values), len(pairs))
    return pairs // n, pairs % n, np.bincount(inverse, minlength=len(pairs)), strength


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
        edges: (T, H, W) float.   limit: regions, >= 1.   stop: cost.   crumb: least share of the whole.
    Returns:
        (T, H, W) int64, ids 0..m-1 without gaps, m <= limit unless more than that do not touch each other.
    """
    n = int(labels.max()) + 1
    flat = labels.ravel()
    pixels = np.bincount(flat, minlength=n).astype(np.float64)
    sums = [np.bincount(flat, lab[..., c].ravel(), n) for c in range(3)]
    colour = list(zip(*(s / pixels for s in sums), strict=True))
    area = (pixels / pixels.sum()).tolist()

    # Plain Python numbers below: with a few neighbours per region they beat arrays by far.
    # A border is [length, edge sum, price under which it is queued].
    neighbours: list[dict[int, list]] = [{} for _ in range(n)]

    def cost(a: int, b: int, length: float, strength: float) -> float:
        (l1, a1, b1), (l2, a2, b2) = colour[a], colour[b]
        distance = ((l1 - l2) ** 2 + (a1 - a2) ** 2 + (b1 - b2) ** 2) ** 0.5
        size = area[a] * area[b] / (area[a] + area[b])
        return (distance + edge_weight * strength / length) * size**size_power

    heap = []
    for a, b, length, strength in zip(*(column.tolist() for column in contacts(labels, edges)), strict=True):
        price = cost(a, b, length, strength)
        neighbours[a][b] = neighbours[b][a] = [length, strength, price]
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
        if border is None or border[2] != queued:
            continue
        price = cost(a, b, border[0], border[1])
        if price > queued:
            border[2] = price
            heapq.heappush(heap, (price, a, b))
            continue
        if alive <= limit and price > stop and min(area[a], area[b]) >= crumb:
            border[2] = inf
            continue
        if len(neighbours[a]) < len(neighbours[b]):
            a, b = b, a
        alive -= 1
        parent[b] = a
        share = area[b] / (area[a] + area[b])
        colour[a] = tuple(x + share * (y - x) for x, y in zip(colour[a], colour[b], strict=True))
        area[a] += area[b]
        for other, (length, strength, queued) in neighbours[b].items():
            del neighbours[other][b]
            if other == a:
                continue
            if other in neighbours[a]:
                joined = neighbours[a][other]
                joined[:] = joined[0] + length, joined[1] + strength, min(joined[2], queued)
            else:
                neighbours[a][other] = neighbours[other][a] = [length, strength, queued]
        neighbours[b] = {}

    root = np.array([find(a) for a in range(n)])
    return np.unique(root, return_inverse=True)[1][labels]
