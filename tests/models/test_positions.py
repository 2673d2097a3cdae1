"""The position tables against the formulas of the papers' code, written out with scalars."""

import math

import pytest
import torch

from focusmae.masking import Grid
from focusmae.models.positions import TABLES, mae_table, space_time_table, videomae_table


def side_by_side(position: float, width: int) -> list[float]:
    """[sin ... | cos ...]."""
    half = width // 2
    sines = [math.sin(position / math.pow(10000, i / half)) for i in range(half)]
    return sines + [math.cos(position / math.pow(10000, i / half)) for i in range(half)]


@pytest.mark.parametrize("width, grid", [(8, Grid(1, 3, 5)), (24, Grid(1, 14, 14))])
def test_mae_first_half_x_second_half_y(width, grid):
    expected = [side_by_side(x, width // 2) + side_by_side(y, width // 2) for y in range(grid.h) for x in range(grid.w)]
    torch.testing.assert_close(mae_table(width, grid), torch.tensor(expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize("width, grid", [(6, Grid(2, 3, 5)), (24, Grid(8, 14, 14))])
def test_videomae_interleaves_sine_and_cosine(width, grid):
    expected = [
        [(math.cos if j % 2 else math.sin)(position / math.pow(10000, 2 * (j // 2) / width)) for j in range(width)]
        for position in range(grid.tokens)
    ]
    torch.testing.assert_close(videomae_table(width, grid), torch.tensor(expected), rtol=0, atol=1e-6)


def test_space_time_is_place_plus_time():
    grid, width = Grid(3, 2, 4), 16
    expected = [
        [
            place + time
            for place, time in zip(
                side_by_side(x, width // 2) + side_by_side(y, width // 2), side_by_side(t, width), strict=True
            )
        ]
        for t in range(grid.t)
        for y in range(grid.h)
        for x in range(grid.w)
    ]
    torch.testing.assert_close(space_time_table(width, grid), torch.tensor(expected), rtol=0, atol=1e-6)


def test_a_photo_has_the_positions_of_a_clips_first_tubelet():
    photo, clip = space_time_table(24, Grid(1, 14, 14)), space_time_table(24, Grid(8, 14, 14))
    assert torch.equal(photo, clip[:196])


@pytest.mark.parametrize("name", TABLES)
def test_every_token_has_a_place_of_its_own(name):
    grid = Grid(1 if name == "mae" else 8, 14, 14)
    table = TABLES[name](24, grid)
    assert table.shape == (grid.tokens, 24) and table.dtype == torch.float32
    apart = torch.cdist(table, table) + 9 * torch.eye(grid.tokens)
    assert apart.min() > 1e-3


def test_the_two_official_tables_differ():
    grid = Grid(1, 14, 14)
    assert (mae_table(24, grid) - videomae_table(24, grid)).abs().max() > 0.5
