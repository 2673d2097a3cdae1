"""The masks of the training."""

import pytest
import torch

from focusmae.masking import Grid
from focusmae.training.classifier import keep_count
from focusmae.training.data import step_generator
from focusmae.training.masks import clustered_scores, random_keep, training_mask

PHOTO, CLIP = Grid(1, 14, 14), Grid(8, 14, 14)


def test_the_usual_keep_ratio_is_usual_and_others_occur():
    draws = step_generator(0)
    keeps = [random_keep(0.25, draws) for _ in range(1000)]
    usual = sum(keep == 0.25 for keep in keeps) / 1000
    assert 0.53 < usual < 0.67
    others = [keep for keep in keeps if keep != 0.25]
    assert 0.06 <= min(others) < 0.08 and 0.5 < max(others) <= 0.6


@pytest.mark.parametrize("grid", [PHOTO, CLIP])
def test_clustered_scores_are_smooth_fields(grid):
    scores = clustered_scores(6, grid, step_generator(1), strength=2.0)
    assert scores.shape == (6, grid.tokens)
    torch.testing.assert_close(scores.mean(1), torch.zeros(6), rtol=0, atol=1e-4)
    torch.testing.assert_close(scores.std(1), torch.full((6,), 2.0), rtol=1e-3, atol=0)
    field = scores.view(6, *grid)
    neighbours = field.diff(dim=3).square().mean()
    assert neighbours < 0.2 * 2 * scores.var()  # independent tokens would differ by twice the variance


@pytest.mark.parametrize("grid", [PHOTO, CLIP])
def test_training_masks_are_of_every_kind(grid):
    tubes, neighbours = 0, []
    for step in range(60):
        visible = training_mask(2, grid, 0.25, step_generator(2, step))
        assert visible.shape == (2, int(grid.tokens * 0.25)) and (visible.diff(dim=1) > 0).all()
        seen = torch.zeros(2, grid.tokens).scatter_(1, visible, 1.0).view(2, *grid)
        tubes += bool((seen == seen[:, :1]).all())
        neighbours.append((seen[..., 1:] * seen[..., :-1]).mean().item())
    assert (10 < tubes < 32) if grid.t > 1 else tubes == 60
    assert max(neighbours) > 0.1 and min(neighbours) < 0.075  # clustered ones, and uniform ones around 1/16


def test_classifier_keep_counts_rise_over_the_run():
    def counts(step):
        return [keep_count(step, 1000, 196, step_generator(3, step, number)) for number in range(300)]

    early, late = counts(0), counts(900)
    assert min(early) >= 9 and max(early) <= round(0.3 * 196) and max(late) > 150 and max(late) <= 196
    assert min(late) < 20
