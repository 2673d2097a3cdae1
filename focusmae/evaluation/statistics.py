"""Means and paired differences over inputs with honest intervals, for thousands of columns at once.

The bootstrap draws inputs, never seeds: a column holds one number per input. All columns of a size share the resampled
counts, so that ten thousand resamples of every measure of every arm are a few matrix products. The intervals are BCa
(bias-corrected and accelerated; Efron, JASA 1987), as ``metrics.bootstrap_interval``, which makes one at a time.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

from focusmae.evaluation.protocol import CONFIDENCE
from focusmae.metrics import RESAMPLES

_ROWS, _COLUMNS = 1000, 256  # at once, so that memory stays bounded
_EXACT = 25  # differences, up to which the law of their ranks is counted out


class Interval(NamedTuple):
    """An estimate with its 95 % interval, from ``n`` inputs; the ends are None where one input tells nothing."""

    mean: float
    low: float | None
    high: float | None
    n: int


def intervals(columns: np.ndarray) -> list[Interval | None]:
    """The mean of each column (n, M), inputs without a number (NaN) left out; None for a column without any."""
    return _by_presence(columns, None)


def ratio_intervals(above: np.ndarray, below: np.ndarray) -> list[Interval | None]:
    """Mean of ``above`` over mean of ``below``, column by column, both (n, M) and from the same inputs.

    No ends where the mean below may be 0 or less by its own interval: such a ratio means nothing.
    """
    missing = np.isnan(above) | np.isnan(below)
    return _by_presence(np.where(missing, np.nan, above), np.where(missing, np.nan, below))


def wilcoxon(differences: np.ndarray) -> float:
    """Two-sided p of Wilcoxon's signed-rank test of differences (n,), zeros left out; 1 where nothing differs.

    Exact for few differences without ties, else by the normal law with the variance that ties leave.
    """
    differences = differences[~np.isnan(differences)]
    differences = differences[np.abs(differences) > 1e-12]
    if not len(differences):
        return 1.0
    n, ranks = len(differences), stats.rankdata(np.abs(differences))
    rising = ranks[differences > 0].sum()
    ties = np.unique(ranks, return_counts=True)[1]
    if n <= _EXACT and ties.max() == 1:
        ways = np.ones(1)  # in which the ranks of what rises can sum to 0, 1, 2, ...
        for rank in range(1, n + 1):
            ways = np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))
        tail = ways[: int(min(rising, n * (n + 1) / 2 - rising)) + 1].sum()
        return float(min(1.0, 2 * tail / 2**n))
    variance = n * (n + 1) * (2 * n + 1) / 24 - (ties**3 - ties).sum() / 48
    return float(2 * stats.norm.sf(abs(rising - n * (n + 1) / 4) / np.sqrt(variance)))


def wilson(right: float, n: int) -> Interval:
    """The share of ``right`` among ``n`` with Wilson's score interval (J. Am. Stat. Assoc. 1927)."""
    z2, share = stats.norm.ppf((1 + CONFIDENCE) / 2) ** 2, right / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return Interval(float(share), float(max(0.0, middle - half)), float(min(1.0, middle + half)), n)


def group_intervals(statistic: Callable[[np.ndarray], np.ndarray], groups: int) -> list[Interval]:
    """Estimates with BCa intervals from resampled groups, such as patients, whole.

    statistic: weights (R, groups), how often each group counts -> estimates (R, M), NaN where there is none.
    """
    draws = np.random.default_rng(0).multinomial(groups, np.full(groups, 1 / groups), RESAMPLES)
    estimate = statistic(np.ones((1, groups)))[0]
    resampled, left_out = statistic(draws.astype(np.float64)), statistic(1 - np.eye(groups))
    resampled = np.where(np.isnan(resampled), estimate, resampled)
    left_out = np.where(np.isnan(left_out), estimate, left_out)
    with np.errstate(all="ignore"):
        lows, highs = _bca(resampled, estimate, left_out)
    # Where nothing varies, as between arms that agree on every clip, there is no spread to correct.
    still = np.ptp(resampled, axis=0) <= 1e-12
    lows, highs = np.where(still, estimate, lows), np.where(still, estimate, highs)
    return [Interval(float(e), float(a), float(b), groups) for e, a, b in zip(estimate, lows, highs, strict=True)]


def holm(ps: list[float]) -> list[float]:
    """Holm's step-down correction of a family of p values (Scand. J. Statist. 1979), in their order."""
    order, highest, corrected = np.argsort(ps, kind="stable"), 0.0, [0.0] * len(ps)
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = highest
    return corrected


def _by_presence(above: np.ndarray, below: np.ndarray | None) -> list[Interval | None]:
    """Columns that lack the same inputs share one bootstrap."""
    above = np.asarray(above, np.float64)
    found: list[Interval | None] = [None] * above.shape[1]
    present = ~np.isnan(above)
    for pattern in np.unique(present.T, axis=0):
        places = np.flatnonzero((present.T == pattern).all(1))
        if pattern.any():
            for start in range(0, len(places), _COLUMNS):
                some = places[start : start + _COLUMNS]
                parts = above[pattern][:, some], None if below is None else below[pattern][:, some]
                for place, interval in zip(some, _intervals(*parts), strict=True):
                    found[place] = interval
    return found


def _intervals(above: np.ndarray, below: np.ndarray | None) -> list[Interval | None]:
    """For complete columns (n, M)."""
    n = len(above)
    estimate, steady = above.mean(0), np.full(above.shape[1], n > 1)
    with np.errstate(all="ignore"):
        resampled = _resampled(above)
        left_out = (above.sum(0) - above) / max(n - 1, 1)
        if below is not None:
            under = _resampled(below)
            steady &= np.quantile(under, (1 - CONFIDENCE) / 2, axis=0) > 0
            estimate, resampled = estimate / below.mean(0), np.where(steady, resampled / under, 0.0)
            left_out = np.where(steady, (above.sum(0) - above) / (below.sum(0) - below), 0.0)
        lows, highs = _bca(resampled, estimate, left_out)
    rows = []
    for place, value in enumerate(estimate):
        if not np.isfinite(value):
            rows.append(None)
        elif not steady[place]:
            rows.append(Interval(float(value), None, None, n))
        elif np.ptp(left_out[:, place]) <= 1e-9 * max(np.abs(above[:, place]).max(), 1e-30) / n:
            rows.append(Interval(float(value), float(value), float(value), n))
        else:
            rows.append(Interval(float(value), float(lows[place]), float(highs[place]), n))
    return rows


def _resampled(columns: np.ndarray) -> np.ndarray:
    """Means of 10,000 resamples of the inputs, the same inputs in every column: (RESAMPLES, M)."""
    n, middle = len(columns), columns.mean(0)
    scale = np.abs(columns - middle).max(0) + 1e-300
    even = ((columns - middle) / scale).astype(np.float32)  # so that single precision is enough
    draws, parts = np.random.default_rng(0), []
    for _ in range(0, RESAMPLES, _ROWS):
        chosen = draws.integers(0, n, (_ROWS, n), dtype=np.int32) + np.arange(_ROWS, dtype=np.int64)[:, None] * n
        counts = np.bincount(chosen.ravel(), minlength=_ROWS * n).reshape(_ROWS, n).astype(np.float32)
        parts.append(counts @ even / n)
    return np.concatenate(parts) * scale + middle


def _bca(resampled: np.ndarray, estimate: np.ndarray, left_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the BCa intervals, (M,) each, from resampled (R, M) and leave-one-out (n, M) estimates."""
    below = ((resampled < estimate).mean(0) + (resampled <= estimate).mean(0)) / 2
    bias = stats.norm.ppf(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    pull = left_out.mean(0) - left_out
    acceleration = (pull**3).sum(0) / (6 * (pull**2).sum(0) ** 1.5)
    acceleration = np.where(np.isfinite(acceleration), acceleration, 0.0)
    ordered = np.sort(resampled, axis=0)
    ends = []
    for tail in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2):
        z = bias + stats.norm.ppf(tail)
        place = stats.norm.cdf(bias + z / (1 - acceleration * z)) * (len(ordered) - 1)
        under = np.clip(np.floor(place).astype(int), 0, len(ordered) - 2)
        share, columns = place - under, np.arange(ordered.shape[1])
        ends.append(ordered[under, columns] * (1 - share) + ordered[under + 1, columns] * share)
    return ends[0], ends[1]
