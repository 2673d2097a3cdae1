"""Scores and draws on another grid: means over areas, by a second way of counting."""

import pytest
import torch

from focusmae.masking import Grid
from focusmae.models.grids import resample_scores, resample_visible
from tests.tiny import random_visible

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
    scores, visible = torch.randn(2, 196), random_visible(2, 196, 49)
    assert resample_scores(scores, PHOTO, PHOTO) is scores and resample_visible(visible, PHOTO, PHOTO) is visible


@pytest.mark.parametrize("old, new", PAIRS)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 1.0])
def test_a_draw_keeps_its_share_and_its_place(old, new, share):
    count = max(1, int(share * old.tokens))
    visible = random_visible(2, old.tokens, count)
    found = resample_visible(visible, old, new)
    assert found.shape == (2, max(1, round(count * new.tokens / old.tokens))) and found.dtype == torch.int64
    assert (found.diff(dim=1) > 0).all() and found.min() >= 0 and found.max() < new.tokens
    seen = torch.zeros(2, old.tokens).scatter_(1, visible, 1.0)
    covered = resample_scores(seen, old, new)
    chosen = torch.zeros(2, new.tokens).scatter_(1, found, 1.0)
    for cover, mine in zip(covered, chosen, strict=True):  # no token that was left out lies better within
        left = cover[mine == 0]
        assert not len(left) or cover[mine == 1].min() >= left.max() - 1e-3
