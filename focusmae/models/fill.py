"""A closed-form first guess of the hidden pixels: harmonic (Laplace) interpolation of the visible ones.

The embedded autoencoder predicts only what is missing on top of it, so its few parameters need not learn that colours
continue smoothly. Solved coarse to fine on cells of 2 px: each level starts from the coarser one's answer and relaxes
it a few times, with Chebyshev's acceleration (Golub and Varga, 1961), which costs a fraction of a transformer block.

In a clip the same place is linked across time too, as strongly as the clip itself is still (see :func:`time_links`).
"""

import torch
import torch.nn.functional as F

from focusmae.masking import Grid

CELL = 2
SWEEPS = 10
RADIUS = 0.995  # of the sweep's iteration matrix: holes are some tens of cells wide
LINKS = (1e-3, 16.0)  # weight of a link across time, where one in the plane weighs 1
MOST = 64.0  # the same on coarse levels, where a link across time stands for more and more of them
SHARED = 0.04  # of a slice's cells: that much evidence every link takes from the others of its clip


def visible_cells(visible: torch.Tensor, grid: Grid, per_patch: int) -> torch.Tensor:
    """(B, K) indices -> (B, 1, t, h * per_patch, w * per_patch) float, 1 where a cell belongs to a visible token."""
    known = torch.zeros(len(visible), grid.tokens, device=visible.device)
    known.scatter_(1, visible, 1.0)
    known = known.view(-1, 1, grid.t, grid.h, grid.w)
    return known.repeat_interleave(per_patch, 3).repeat_interleave(per_patch, 4)


def time_links(cells: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Weights (B, 1, t - 1, 1, 1) of the links between the slices of clips; arguments as for :func:`fill_cells`.

    The squared ratio of two mean squared differences between known cells: of neighbours in the plane, and of the same
    place in two slices. 1 where nothing can be measured.
    """
    plane = [part.sum((2, 3, 4), keepdim=True) for axis in (3, 4) for part in _across(cells, known, axis)]
    step, seen = (part.sum((3, 4), keepdim=True) for part in _across(cells, known, 2))
    share = SHARED * cells.shape[3] * cells.shape[4]
    common = step.sum(2, keepdim=True) / seen.sum(2, keepdim=True).clamp_min(1)
    step = (step + share * common) / (seen + share)
    pairs = plane[1] + plane[3]
    ratio = (plane[0] + plane[2]) / pairs.clamp_min(1) / step.clamp_min(1e-7)
    measured = (pairs > 0) & (seen.sum(2, keepdim=True) > 0)
    return torch.where(measured, ratio.square().clamp(*LINKS), 1.0)


def _across(cells: torch.Tensor, known: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean squared difference of each pair of neighbours along ``axis``, 0 unless both are known; and whether so."""
    count = cells.shape[axis] - 1
    both = known.narrow(axis, 0, count) * known.narrow(axis, 1, count)
    return cells.diff(dim=axis).square().mean(1, keepdim=True) * both, both


class _Sweep:
    """One step of block relaxation: every column of cells through time is solved at once, its neighbours given.

    A column's equations are tridiagonal (Thomas' algorithm, factored once), so that strong links cost no more steps.
    """

    def __init__(self, cells: torch.Tensor, known: torch.Tensor, links: torch.Tensor):
        self.given, self.hole = cells * known, 1 - known
        links = F.pad(links, (0, 0, 0, 0, 1, 1))
        inverse, self.lower, self.upper = [], [], []
        for t in range(known.shape[2]):
            hole, before, after = self.hole[:, :, t], links[:, :, t], links[:, :, t + 1]
            pivot = hole * (4 + before + after) + known[:, :, t]
            if t:
                pivot = pivot - hole * before * self.upper[-1]
            inverse.append(1 / pivot)
            self.lower.append(hole * before / pivot)
            self.upper.append(hole * after / pivot)
        self.inverse = torch.stack(inverse, 2)

    def __call__(self, guess: torch.Tensor) -> torch.Tensor:
        y = F.pad(guess, (1, 1, 1, 1, 0, 0), mode="replicate")
        total = y[..., :-2, 1:-1] + y[..., 2:, 1:-1]
        total += y[..., 1:-1, :-2]
        total += y[..., 1:-1, 2:]
        solved = torch.addcmul(self.given, total, self.hole).mul_(self.inverse)
        last = solved.shape[2] - 1
        for t in range(1, last + 1):
            solved[:, :, t].addcmul_(solved[:, :, t - 1], self.lower[t])
        for t in reversed(range(last)):
            solved[:, :, t].addcmul_(solved[:, :, t + 1], self.upper[t])
        return solved


def _relax(guess: torch.Tensor, cells: torch.Tensor, known: torch.Tensor, links: torch.Tensor) -> torch.Tensor:
    step, before, weight = _Sweep(cells, known, links), guess, 1.0
    for sweep in range(SWEEPS):
        after = step(guess)
        if sweep:
            weight = 1 / (1 - RADIUS**2 * weight / (2 if sweep == 1 else 4))
            after = torch.lerp(before, after, weight)
        before, guess = guess, after
    return guess


def fill_cells(cells: torch.Tensor, known: torch.Tensor, links: torch.Tensor | None = None) -> torch.Tensor:
    """Known cells (B, C, t, h, w) with known (B, 1, t, h, w) in {0, 1} -> all cells, same shape.

    links: as of :func:`time_links`, which measures them where they are not given.
    """
    b, c, t, h, w = cells.shape
    if links is None:
        links = time_links(cells, known)
    if min(h, w) <= 1:
        mean = (cells * known).sum((2, 3, 4), keepdim=True) / known.sum((2, 3, 4), keepdim=True).clamp_min(1e-6)
        return torch.lerp(mean.expand_as(cells), cells, known)
    weight = F.avg_pool3d(known, (1, 2, 2), (1, 2, 2), ceil_mode=True)
    coarse = F.avg_pool3d(cells * known, (1, 2, 2), (1, 2, 2), ceil_mode=True) / weight.clamp_min(1e-6)
    coarse = fill_cells(coarse, (weight > 0).float(), (4 * links).clamp_max(MOST))
    guess = F.interpolate(coarse.transpose(1, 2).flatten(0, 1), size=(h, w), mode="bilinear", align_corners=False)
    guess = guess.view(b, t, c, h, w).transpose(1, 2)
    return _relax(torch.lerp(guess, cells, known), cells, known, links)


def harmonic_fill(pixels: torch.Tensor, visible: torch.Tensor, grid: Grid, tubelet: int, patch: int) -> torch.Tensor:
    """First guess of the whole picture from the visible tokens alone.

    pixels (B, 3, grid.t * tubelet, H, W); visible (B, K). Returns the same shape, smooth: the colours of 2-px cells,
    interpolated between, frame by frame; a photo shown ``tubelet`` times (grid.t = 1) is filled once. No hidden pixel
    is read.
    """
    together = tubelet if grid.t == 1 else 1
    cells = F.avg_pool3d(pixels, (together, CELL, CELL))
    known = visible_cells(visible, grid, patch // CELL).repeat_interleave(tubelet // together, 2)
    filled = fill_cells(cells * known, known)
    b, c, t, h, w = filled.shape
    flat = filled.transpose(1, 2).reshape(b * t, c, h, w)
    smooth = F.interpolate(flat, scale_factor=CELL, mode="bilinear", align_corners=False)
    return smooth.view(b, t, c, h * CELL, w * CELL).transpose(1, 2).repeat_interleave(together, 2)
