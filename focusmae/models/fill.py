"""A closed-form first guess of the hidden pixels: harmonic (Laplace) interpolation of the visible ones.

The embedded autoencoder predicts only what is missing on top of it, so its few parameters need not learn that colours
continue smoothly. Solved coarse to fine on cells of 2 px: each level starts from the coarser one's answer and relaxes
it a few times, with Chebyshev's acceleration (Golub and Varga, 1961), which costs a fraction of a transformer block.
"""

import torch
import torch.nn.functional as F

from focusmae.masking import Grid

CELL = 2
SWEEPS = 10
RADIUS = 0.99  # of Jacobi's iteration matrix: holes are some tens of cells wide


def visible_cells(visible: torch.Tensor, grid: Grid, per_patch: int) -> torch.Tensor:
    """(B, K) indices -> (B, 1, t, h * per_patch, w * per_patch) float, 1 where a cell belongs to a visible token."""
    known = torch.zeros(len(visible), grid.tokens, device=visible.device)
    known.scatter_(1, visible, 1.0)
    known = known.view(-1, 1, grid.t, grid.h, grid.w)
    return known.repeat_interleave(per_patch, 3).repeat_interleave(per_patch, 4)


def _neighbours(x: torch.Tensor) -> torch.Tensor:
    """Mean of the four (six on clips) nearest cells, the border repeated."""
    y = F.pad(x, (1, 1, 1, 1, 0, 0), mode="replicate")
    total = y[..., :-2, 1:-1] + y[..., 2:, 1:-1]
    total += y[..., 1:-1, :-2]
    total += y[..., 1:-1, 2:]
    if x.shape[2] == 1:
        return total.div_(4)
    total[:, :, 1:] += x[:, :, :-1]
    total[:, :, :-1] += x[:, :, 1:]
    total[:, :, 0] += x[:, :, 0]
    total[:, :, -1] += x[:, :, -1]
    return total.div_(6)


def _relax(guess: torch.Tensor, cells: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    before, given, hole, weight = guess, cells * known, 1 - known, 1.0
    for sweep in range(SWEEPS):
        after = torch.addcmul(given, _neighbours(guess), hole)
        if sweep:
            weight = 1 / (1 - RADIUS**2 * weight / (2 if sweep == 1 else 4))
            after = torch.lerp(before, after, weight)
        before, guess = guess, after
    return guess


def fill_cells(cells: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Known cells (B, C, t, h, w) with known (B, 1, t, h, w) in {0, 1} -> all cells, same shape."""
    if min(cells.shape[-2:]) <= 1:
        mean = (cells * known).sum((2, 3, 4), keepdim=True) / known.sum((2, 3, 4), keepdim=True).clamp_min(1e-6)
        return torch.lerp(mean.expand_as(cells), cells, known)
    step = (2 if cells.shape[2] > 1 else 1, 2, 2)
    weight = F.avg_pool3d(known, step, step, ceil_mode=True)
    coarse = F.avg_pool3d(cells * known, step, step, ceil_mode=True) / weight.clamp_min(1e-6)
    coarse = fill_cells(coarse, (weight > 0).float())
    guess = F.interpolate(coarse, size=cells.shape[2:], mode="trilinear", align_corners=False)
    return _relax(torch.lerp(guess, cells, known), cells, known)


def harmonic_fill(pixels: torch.Tensor, visible: torch.Tensor, grid: Grid, tubelet: int, patch: int) -> torch.Tensor:
    """First guess of the whole picture from the visible tokens alone.

    pixels (B, 3, grid.t * tubelet, H, W); visible (B, K). Returns the same shape, smooth: the colours of 2-px cells,
    averaged over a tubelet, interpolated between. No hidden pixel is read.
    """
    cells = F.avg_pool3d(pixels, (tubelet, CELL, CELL))
    known = visible_cells(visible, grid, patch // CELL)
    filled = fill_cells(cells * known, known)
    b, c, t, h, w = filled.shape
    flat = filled.transpose(1, 2).reshape(b * t, c, h, w)
    smooth = F.interpolate(flat, scale_factor=CELL, mode="bilinear", align_corners=False)
    return smooth.view(b, t, c, h * CELL, w * CELL).transpose(1, 2).repeat_interleave(tubelet, 2)
