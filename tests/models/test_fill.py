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
from focusmae.models.fill import CELL, fill_cells, harmonic_fill, time_links, visible_cells
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
        torch.testing.assert_close(filled, pixels.contiguous(), rtol=0, atol=1e-4)


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
    cells = F.avg_pool3d(pixels, (1, CELL, CELL))
    known = torch.zeros(grid.tokens, dtype=torch.bool).index_fill_(0, visible[0], True).view(grid)
    known = known.repeat_interleave(16 // CELL, 1).repeat_interleave(16 // CELL, 2).repeat_interleave(tubelet, 0)
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


def exact(cells: torch.Tensor, known: torch.Tensor, links: torch.Tensor | None = None) -> torch.Tensor:
    """(3, t, h, w) solved directly: every unknown cell is the weighted mean of its neighbours, the border repeated."""
    number = torch.arange(known.numel()).view(known.shape)
    rows, columns, weights = [], [], []
    for axis in range(3):
        count = known.shape[axis] - 1
        near, far = number.narrow(axis, 0, count), number.narrow(axis, 1, count)
        weight = torch.ones(near.shape) if axis else (torch.ones(count) if links is None else links).view(-1, 1, 1)
        rows += [near.flatten(), far.flatten()]
        columns += [far.flatten(), near.flatten()]
        weights += [weight.expand(near.shape).flatten()] * 2
    size = (known.numel(), known.numel())
    joined = scipy.sparse.csr_matrix((torch.cat(weights).double(), (torch.cat(rows), torch.cat(columns))), size)
    laplace = scipy.sparse.diags(np.asarray(joined.sum(1)).ravel()) - joined
    seen = known.flatten().bool().numpy()
    values = cells.flatten(1).T.double().numpy()
    solved = values.copy()
    inside, across = laplace[~seen][:, ~seen].tocsc(), laplace[~seen][:, seen]
    solved[~seen] = scipy.sparse.linalg.spsolve(inside, -across @ values[seen])
    return torch.from_numpy(solved.T.reshape(cells.shape)).float()


def photo_cells(side: int) -> torch.Tensor:
    photo = torch.from_numpy(skimage.data.astronaut().copy()).permute(2, 0, 1)[None].float() / 255
    return F.interpolate(photo, (side, side), mode="bilinear", antialias=True).unsqueeze(2)


def away(found: torch.Tensor, wanted: torch.Tensor, truth: torch.Tensor, known: torch.Tensor) -> float:
    """How far ``found`` lies from ``wanted`` on hidden cells, as a share of how far ``wanted`` lies from the truth."""
    hidden = (known == 0).expand_as(truth)
    return ((found - wanted)[hidden].square().mean() / (wanted - truth)[hidden].square().mean()).sqrt().item()


@pytest.mark.parametrize("keep", [0.25, 0.1])
def test_a_few_sweeps_come_close_to_the_exact_solution(keep):
    cells, grid = photo_cells(SIDE // CELL), Grid(1, 14, 14)
    visible = sample_visible(torch.zeros(1, grid.tokens), keep, generator(0), "random")
    known = visible_cells(visible, grid, 16 // CELL)
    wanted = exact(cells[0] * known[0], known[0, 0])[None]
    assert away(fill_cells(cells * known, known), wanted, cells, known) < 0.15


@pytest.mark.parametrize("strength", [0.05, 1.0, 16.0])
def test_links_across_time_come_close_to_the_exact_solution_too(strength):
    cells, grid = photo_cells(32), Grid(5, 4, 4)
    cells = torch.cat([cells.roll(3 * t, dims=4) for t in range(5)], 2)
    known = visible_cells(sample_visible(torch.zeros(1, 80), 0.2, generator(1), "random", grid=grid), grid, 8)
    links = torch.full((1, 1, 4, 1, 1), strength)
    wanted = exact(cells[0] * known[0], known[0, 0], links.flatten())[None]
    assert away(fill_cells(cells * known, known, links), wanted, cells, known) < 0.15


def test_a_still_clip_is_filled_from_its_other_frames_and_an_unsteady_one_is_not():
    still, grid = photo_cells(112).expand(-1, -1, 8, -1, -1), Grid(8, 14, 14)
    unsteady = torch.cat([still[:, :, :1].roll((17 * t, 29 * t), dims=(3, 4)) for t in range(8)], 2)
    known = visible_cells(sample_visible(torch.zeros(1, grid.tokens), 0.2, generator(3), "random"), grid, 8)
    hidden = (known == 0).expand_as(still)
    errors = {}
    for name, cells in (("still", still), ("unsteady", unsteady)):
        links = time_links(cells, known)
        assert links.shape == (1, 1, 7, 1, 1)
        frames = known.transpose(1, 2).flatten(0, 1)[:, :, None]
        alone = fill_cells(cells.transpose(1, 2).flatten(0, 1)[:, :, None] * frames, frames)
        for kind, filled in (
            ("measured", fill_cells(cells * known, known)),
            ("alone", alone[:, :, 0].transpose(0, 1)[None]),
            ("even", fill_cells(cells * known, known, torch.ones_like(links))),
        ):
            errors[name, kind] = (filled - cells)[hidden].square().mean().item()
    assert errors["still", "measured"] < 0.3 * errors["still", "alone"]
    assert errors["unsteady", "measured"] < 1.02 * errors["unsteady", "alone"] < 0.8 * errors["unsteady", "even"]


def test_links_are_even_where_nothing_can_be_measured():
    known = torch.zeros(1, 1, 3, 4, 4)
    assert time_links(torch.rand(1, 3, 3, 4, 4), known).eq(1).all()
    known[:, :, 1, 2, 2] = 1
    assert fill_cells(known * 0.3, known).allclose(torch.tensor(0.3))


def test_every_input_of_a_batch_is_filled_as_if_alone():
    cells = torch.rand(3, 3, 4, 16, 16, generator=generator(5))
    known = (torch.rand(3, 1, 4, 16, 16, generator=generator(6)) < 0.3).float()
    together = fill_cells(cells * known, known)
    for row in range(3):
        one = slice(row, row + 1)
        torch.testing.assert_close(fill_cells((cells * known)[one], known[one]), together[one], rtol=0, atol=1e-5)
