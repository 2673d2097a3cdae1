"""Patches: back and forth changes nothing, and the order is the one that the papers' code has."""

import pytest
import torch

from focusmae.errors import SettingsError
from focusmae.masking import Grid
from focusmae.models.patches import gather_tokens, grid_for, patchify, unpatchify
from tests.tiny import is_one_sentence, random_pixels

LAYOUTS = pytest.mark.parametrize("tubelet, frames, patch", [(1, 1, 16), (1, 3, 8), (2, 2, 16), (2, 6, 8)])


@LAYOUTS
def test_unpatchify_is_the_inverse(tubelet, frames, patch):
    pixels = random_pixels(2, frames, 48)[:, :, :, :32]
    patches = patchify(pixels, tubelet, patch)
    grid = grid_for(frames, 32, 48, tubelet, patch)
    assert patches.shape == (2, grid.tokens, tubelet * patch * patch * 3)
    assert torch.equal(unpatchify(patches, grid, tubelet, patch), pixels)


@LAYOUTS
def test_order_of_tokens_and_of_pixels_within(tubelet, frames, patch):
    pixels = random_pixels(1, frames, 32)
    patches = patchify(pixels, tubelet, patch)[0]
    rows = []
    for t in range(frames // tubelet):
        for y in range(32 // patch):
            for x in range(32 // patch):
                row = []
                for frame in range(tubelet):
                    for i in range(patch):
                        row += [pixels[0, :, t * tubelet + frame, y * patch + i, x * patch + j] for j in range(patch)]
                rows.append(torch.cat(row))
    assert torch.equal(patches, torch.stack(rows))


def test_grid_of_a_picture():
    assert grid_for(1, 224, 224, 2, 16) == Grid(1, 14, 14)
    assert grid_for(1, 224, 224, 1, 16) == Grid(1, 14, 14)
    assert grid_for(16, 224, 224, 2, 16) == Grid(8, 14, 14)
    assert grid_for(4, 32, 64, 1, 16) == Grid(4, 2, 4)


@pytest.mark.parametrize("size", [(1, 230, 224), (1, 224, 230), (15, 224, 224)])
def test_a_size_that_does_not_divide(size):
    with pytest.raises(SettingsError) as error:
        grid_for(*size, 2, 16)
    assert is_one_sentence(str(error.value)) and str(size[1]) in str(error.value)


def test_gather():
    tokens = torch.arange(24.0).view(2, 4, 3)
    assert gather_tokens(tokens, torch.tensor([[3, 0], [1, 1]])).tolist() == [
        [[9, 10, 11], [0, 1, 2]],
        [[15, 16, 17], [15, 16, 17]],
    ]
