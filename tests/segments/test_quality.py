import numpy as np
import pytest

from focusmae.segments.quality import (
    achievable_accuracy,
    achievable_overlap,
    boundaries,
    boundary_recall,
    near,
    overlaps,
    tolerance_of,
)


def halves(at, side=40, frames=1):
    """Left and right of column ``at``."""
    return (np.arange(side) >= at)[None, None].repeat(side, 1).repeat(frames, 0).astype(int)


def test_tolerance_is_a_share_of_the_diagonal_and_at_least_two_pixels():
    assert tolerance_of(300, 400) == pytest.approx(3.75) and tolerance_of(60, 80) == 2


def test_boundaries_lie_before_the_change():
    marked = boundaries(halves(10))
    assert marked.sum() == 40 and marked[0, :, 9].all()
    assert not boundaries(np.ones((2, 8, 8), dtype=int)).any()
    steps = np.arange(2)[:, None, None].repeat(8, 1).repeat(8, 2)
    assert not boundaries(steps).any()  # what changes between frames is no boundary


def test_near_is_a_disc_in_the_same_frame():
    marked = np.zeros((2, 11, 11), dtype=bool)
    marked[0, 5, 5] = True
    found = near(marked, 2.7)
    y, x = np.mgrid[:11, :11]
    assert np.array_equal(found[0], np.hypot(y - 5, x - 5) <= 2.7) and not found[1].any()


@pytest.mark.parametrize("shift, recall", [(0, 1.0), (2, 1.0), (3, 0.0), (-2, 1.0), (-3, 0.0)])
def test_recall_ends_at_the_tolerance(shift, recall):
    assert boundary_recall(halves(10 + shift), halves(10), 2.5) == recall


def test_recall_and_precision_tell_too_much_from_too_little():
    grid = np.arange(1600).reshape(1, 40, 40)
    assert boundary_recall(grid, halves(20), 2) == 1.0
    # Of 40 x 40 - 1 marked pixels those within two of column 19 are near the true boundary.
    assert boundary_recall(halves(20), grid, 2) == pytest.approx(5 * 40 / 1599, abs=0.002)
    assert np.isnan(boundary_recall(grid, np.ones_like(grid), 2))
    assert boundary_recall(np.ones_like(grid), halves(20), 2) == 0


def test_accuracy_and_overlap_against_loops():
    rng = np.random.default_rng(0)
    labels, truth = rng.integers(0, 7, (2, 9, 9)) * 5, rng.integers(2, 5, (2, 9, 9))
    table = overlaps(labels, truth)
    assert table.shape == (7, 3) and table.sum() == labels.size
    expected = sum(max((truth[labels == i] == j).sum() for j in (2, 3, 4)) for i in np.unique(labels))
    assert achievable_accuracy(labels, truth) == pytest.approx(expected / labels.size)
    thing, best = truth == 3, 0
    for chosen in range(1, 2**7):
        union = np.isin(labels, [5 * i for i in range(7) if chosen >> i & 1])
        best = max(best, (union & thing).sum() / (union | thing).sum())
    assert achievable_overlap(labels, thing) == pytest.approx(best)


def test_known_answers():
    truth = halves(20)
    assert achievable_accuracy(truth + 5, truth) == achievable_overlap(truth, truth == 1) == 1
    assert achievable_accuracy(np.zeros_like(truth), truth) == 0.5
    assert achievable_overlap(np.zeros_like(truth), truth == 1) == 0.5
    assert achievable_accuracy(halves(24), truth) == pytest.approx(0.9)
    assert achievable_overlap(halves(24), truth == 1) == pytest.approx(0.8)
    assert np.isnan(achievable_overlap(truth, np.zeros(truth.shape, dtype=bool)))


def test_an_id_that_does_not_persist_costs_accuracy_on_clips():
    truth = halves(20, frames=2)
    swapped = truth.copy()
    swapped[1] = 1 - swapped[1]
    assert achievable_accuracy(truth, truth) == 1 and achievable_accuracy(swapped, truth) == 0.5
