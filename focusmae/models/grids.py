"""From one grid of tokens to another: scores and draws on 14 x 14 serve a network that cuts pictures into 16 x 16.

A token of the new grid stands for the area it covers, so it gets the mean over that area of the old one.
"""

import torch

from focusmae.masking import Grid


def scorer_grid(pixels: torch.Tensor) -> Grid:
    """The grid of the scorer's tokens for pixels (B, 3, T, H, W): patches of 16 px, tubelets of two frames."""
    return Grid(max(1, pixels.shape[2] // 2), pixels.shape[3] // 16, pixels.shape[4] // 16)


def resample_scores(scores: torch.Tensor, from_grid: Grid, to_grid: Grid) -> torch.Tensor:
    """Scores (B, N), or any other values of tokens, on ``from_grid`` -> (B, N') on ``to_grid``, by area."""
    if from_grid == to_grid:
        return scores
    values = scores.view(-1, *from_grid)
    for axis, (old, new) in enumerate(zip(from_grid, to_grid, strict=True), start=1):
        values = torch.tensordot(values, _overlap(old, new).to(values), dims=([axis], [1])).movedim(-1, axis)
    return values.reshape(len(scores), -1)


def _overlap(old: int, new: int) -> torch.Tensor:
    """(new, old): the share of each new cell that lies in each old one; rows sum to 1."""
    edges = torch.arange(new + 1, dtype=torch.float64) * old / new
    cells = torch.arange(old, dtype=torch.float64)
    shared = torch.minimum(edges[1:, None], cells + 1) - torch.maximum(edges[:-1, None], cells)
    return shared.clamp_min(0) * new / old
