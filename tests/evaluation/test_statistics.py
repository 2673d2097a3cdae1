"""The statistics against other implementations, against known answers, and against the truth in simulation."""

import numpy as np
import pytest
from scipy import stats

from focusmae.evaluation.statistics import holm, intervals, ratio_intervals, wilcoxon
from focusmae.metrics import bootstrap_interval


def test_the_same_as_one_at_a_time():
    columns = np.random.default_rng(0).gamma(1.0, size=(40, 6)) * [1, 1, 1e-4, 1, 1, 100] - [0, 1, 0, 5, 0, 0]
    for found, column in zip(intervals(columns), columns.T, strict=True):
        mean, low, high = bootstrap_interval(column)
        assert found.mean == pytest.approx(mean) and found.n == 40
        assert (found.low, found.high) == pytest.approx((low, high), abs=0.04 * (high - low))


@pytest.mark.parametrize("law", ["normal", "exponential", "coin"])
def test_intervals_cover_the_truth(law):
    """95 % of a thousand studies of fifty inputs each; a coin is how top-1 behaves."""
    rng = np.random.default_rng(1)
    truth, columns = {
        "normal": (0.3, rng.normal(0.3, 1.0, (50, 1000))),
        "exponential": (1.0, rng.exponential(1.0, (50, 1000))),
        "coin": (0.3, rng.binomial(8, 0.3, (50, 1000)) / 8),
    }[law]
    covered = np.mean([i.low <= truth <= i.high for i in intervals(columns)])
    assert 0.91 <= covered <= 0.98


def test_ratios_cover_the_truth():
    """Numerator and denominator from the same inputs, as the gap that is closed."""
    rng = np.random.default_rng(2)
    below = rng.normal(1.0, 0.5, (60, 500))
    found = ratio_intervals(0.6 * below + rng.normal(0, 0.3, below.shape), below)
    assert 0.91 <= np.mean([i.low <= 0.6 <= i.high for i in found]) <= 0.98


def test_no_difference_is_claimed_where_there_is_none():
    draws = np.random.default_rng(3).normal(size=(40, 400))
    assert 0.02 <= np.mean([wilcoxon(column) < 0.05 for column in draws.T]) <= 0.08


def test_missing_inputs_are_left_out():
    columns = np.random.default_rng(4).normal(size=(30, 3))
    columns[:10, 1] = np.nan
    columns[:, 2] = np.nan
    first, second, third = intervals(columns)
    alone = intervals(columns[10:, 1:2])[0]
    assert (first.n, second.n, third) == (30, 20, None) and second == alone
    assert ratio_intervals(columns, np.ones_like(columns))[1].mean == pytest.approx(second.mean)


def test_edges():
    (constant,) = intervals(np.full((5, 1), 0.25))
    assert constant == (0.25, 0.25, 0.25, 5)
    (single,) = intervals(np.array([[0.5]]))
    assert single == (0.5, None, None, 1)
    zero = ratio_intervals(np.random.default_rng(0).normal(size=(20, 1)), np.tile([[1.0], [-1.0]], (10, 1)))[0]
    assert zero is None or (zero.low, zero.high) == (None, None)  # the mean below may be 0: no interval


def test_wilcoxon():
    rng = np.random.default_rng(5)
    for values in (rng.normal(0.4, 1, 12), rng.normal(0.2, 1, 80), rng.integers(-5, 8, 60), rng.integers(-5, 8, 9)):
        kept = values[values != 0]
        exact = len(kept) <= 25 and len(set(np.abs(kept))) == len(kept)
        expected = stats.wilcoxon(kept, method="exact" if exact else "asymptotic").pvalue
        assert wilcoxon(np.append(values, [0.0, np.nan])) == pytest.approx(expected)
    assert wilcoxon(np.zeros(5)) == 1 and wilcoxon(np.array([])) == 1
    assert wilcoxon(np.arange(1, 7.0)) == pytest.approx(2 / 2**6)  # all six rise: the exact law


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == [] and holm([0.2]) == [0.2]
