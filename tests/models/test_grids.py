"""Scores and draws on another grid: means over areas, by a second way of counting."""

import pytest
import torch

from focusmae.masking import Grid
from focusmae.models.grids import resample_scores

PHOTO, HUGE, CLIP = Grid(1, 14, 14), Grid(1, 16, 16), Grid(8, 14, 14)
PAIRS = [(PHOTO, HUGE), (HUGE, PHOTO), (PHOTO, Grid(1, 7, 7)), (Grid(1, 3, 5), Grid(1, 5, 3)), (CLIP, Grid(8, 16, 16))]


@pytest.mark.parametrize("old, new", PAIRS)
def test_scores_are_means_over_areas(old, new):
    scores = torch.randn(2, old.tokens)
    found = resample_scores(scores, old, new)
    assert found.shape == (2, new.tokens) and found.dtype == scores.dtype
    # The same by painting both grids on a canvas whose sides both divide.
    step = [a * b for a, b in zip(old, new, strict=True)]
    painted = scores.view(-1, *old)
    for axis, (a, b) in enumerate(zip(old, step, strict=True), start=1):
        painted = painted.repeat_interleave(b // a, axis)
    for axis, (a, b) in enumerate(zip(new, step, strict=True), start=1):
        painted = painted.unflatten(axis, (a, b // a)).mean(axis + 1)
    torch.testing.assert_close(found, painted.flatten(1), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.mean(1), scores.mean(1), rtol=0, atol=1e-5)


def test_the_same_grid_changes_nothing():
    scores = torch.randn(2, 196)
    assert resample_scores(scores, PHOTO, PHOTO) is scores
