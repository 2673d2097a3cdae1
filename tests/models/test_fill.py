"""The closed-form first guess: it reads visible pixels alone, and is right where the picture is simple."""

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import skimage.data
import torch
import torch.nn.functional as F

from focusmae.masking import Grid, generator, sample_visible
from focusmae.metrics import token_mse, visible_mean_fill
from focusmae.models.fill import CELL, fill_cells, harmonic_fill, visible_cells
from tests.tiny import change_tokens, hidden_of, random_pixels, random_visible

SIDE = 224
KINDS = pytest.mark.parametrize("grid, tubelet", [(Grid(1, 14, 14), 1), (Grid(4, 14, 14), 2)])


def fill(pixels, visible, grid, tubelet):
    return harmonic_fill(pixels, visible, grid, tubelet, 16)


@KINDS
def test_no_hidden_pixel_is_read(grid, tubelet):
    pixels = random_pixels(2, grid.t * tubelet, SIDE) * 2 - 1
    visible = random_visible(2, grid.tokens, grid.tokens // 5)
    filled = fill(pixels, visible, grid, tubelet)
    assert filled.shape == pixels.shape
    hidden = change_tokens(pixels, hidden_of(visible, grid.tokens), SIDE, tubelet)
    assert torch.equal(fill(hidden, visible, grid, tubelet), filled)
    seen = change_tokens(pixels, visible[:, :1], SIDE, tubelet)
    assert not torch.allclose(fill(seen, visible, grid, tubelet), filled, atol=1e-3)


@KINDS
def test_a_constant_picture_is_reproduced(grid, tubelet):
    pixels = torch.tensor([0.2, -0.5, 1.5]).view(1, 3, 1, 1, 1).expand(1, 3, grid.t * tubelet, SIDE, SIDE)
    for count in (1, 7, grid.tokens // 4):
        filled = fill(pixels, random_visible(1, grid.tokens, count), grid, tubelet)
        torch.testing.assert_close(filled, pixels.contiguous(), rtol=0, atol=1e-5)


@KINDS
def test_a_linear_ramp_is_nearly_reproduced(grid, tubelet):
    line = torch.linspace(0, 1, SIDE)
    pixels = torch.stack([line.expand(SIDE, SIDE), line[:, None].expand(SIDE, SIDE), (line + line[:, None]) / 2])
    pixels = pixels[None, :, None].expand(-1, -1, grid.t * tubelet, -1, -1)
    visible = random_visible(1, grid.tokens, grid.tokens // 4)
    error = (fill(pixels, visible, grid, tubelet) - pixels).abs()
    trivial = pixels - pixels.mean((3, 4), keepdim=True)
    assert error.mean() < 0.02
    assert error.square().mean() < 0.02 * trivial.square().mean()


@KINDS
def test_values_stay_between_the_visible_ones(grid, tubelet):
    pixels = random_pixels(1, grid.t * tubelet, SIDE)
    visible = random_visible(1, grid.tokens, 9)
    cells = F.avg_pool3d(pixels, (tubelet, CELL, CELL))
    known = torch.zeros(grid.tokens, dtype=torch.bool).index_fill_(0, visible[0], True).view(grid)
    known = known.repeat_interleave(16 // CELL, 1).repeat_interleave(16 // CELL, 2)
    filled = fill(pixels, visible, grid, tubelet)[0].flatten(1)
    for channel in range(3):
        values = cells[0, channel][known]
        assert filled[channel].min() >= values.min() - 1e-5 and filled[channel].max() <= values.max() + 1e-5


def test_known_cells_are_kept():
    cells = torch.rand(1, 2, 3, 8, 8, generator=generator(1))
    known = (torch.rand(1, 1, 3, 8, 8, generator=generator(2)) < 0.3).float()
    filled = fill_cells(cells * known, known)
    torch.testing.assert_close(filled * known, cells * known, rtol=0, atol=1e-6)
    assert (filled[(known == 0).expand_as(filled)] > 0).all()


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_it_beats_the_mean_of_the_visible_pixels_on_a_photo(name):
    photo = torch.from_numpy(getattr(skimage.data, name)()[:300, 60:360].copy()).permute(2, 0, 1)[None].float() / 255
    pixels = F.interpolate(photo, (SIDE, SIDE), mode="bilinear", antialias=True).unsqueeze(2)
    grid = Grid(1, 14, 14)
    visible = sample_visible(torch.zeros(1, grid.tokens), 0.25, generator(0), "random")
    hidden = hidden_of(visible, grid.tokens)
    harmonic, trivial = (
        token_mse(pixels, guess, grid).gather(1, hidden).mean()
        for guess in (fill(pixels, visible, grid, 1), visible_mean_fill(pixels, visible, grid))
    )
    assert harmonic < 0.85 * trivial


def exact(cells: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """(3, h, w) solved directly: every unknown cell is the mean of its neighbours, the border repeated."""
    h, w = known.shape
    number = torch.arange(h * w).view(h, w)
    rows, columns = [], []
    for near, far in ((number[1:], number[:-1]), (number[:, 1:], number[:, :-1])):
        rows += [near.flatten(), far.flatten()]
        columns += [far.flatten(), near.flatten()]
    links = scipy.sparse.csr_matrix(
        (torch.ones(sum(map(len, rows))).double(), (torch.cat(rows), torch.cat(columns))), (h * w, h * w)
    )
    laplace = scipy.sparse.diags(np.asarray(links.sum(1)).ravel()) - links
    seen = known.flatten().bool().numpy()
    values = cells.flatten(1).T.double().numpy()
    solved = values.copy()
    inside, across = laplace[~seen][:, ~seen].tocsc(), laplace[~seen][:, seen]
    solved[~seen] = scipy.sparse.linalg.spsolve(inside, -across @ values[seen])
    return torch.from_numpy(solved.T.reshape(cells.shape)).float()


@pytest.mark.parametrize("keep", [0.25, 0.1])
def test_a_few_sweeps_come_close_to_the_exact_solution(keep):
    photo = torch.from_numpy(skimage.data.astronaut().copy()).permute(2, 0, 1)[None].float() / 255
    cells = F.interpolate(photo, (SIDE // CELL, SIDE // CELL), mode="bilinear", antialias=True).unsqueeze(2)
    grid = Grid(1, 14, 14)
    visible = sample_visible(torch.zeros(1, grid.tokens), keep, generator(0), "random")
    known = visible_cells(visible, grid, 16 // CELL)
    found, wanted = fill_cells(cells * known, known)[0, :, 0], exact(cells[0, :, 0] * known[0, 0, 0], known[0, 0, 0])
    hidden = known[0, 0, 0] == 0
    away = (found - wanted)[:, hidden].square().mean().sqrt()
    assert away < 0.15 * (wanted - cells[0, :, 0])[:, hidden].square().mean().sqrt(), float(away)
