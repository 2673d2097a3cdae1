"""Scores made on one grid of tokens, for a network that has another: ViT-H's patches are 14 px, the scorer's 16."""

import torch
import torch.nn.functional as F

from focusmae.masking import Grid


def scorer_grid(pixels: torch.Tensor) -> Grid:
    """The grid of the scorer's tokens for pixels (B, 3, T, H, W): patches of 16 px, tubelets of two frames."""
    return Grid(max(1, pixels.shape[2] // 2), pixels.shape[3] // 16, pixels.shape[4] // 16)


def resample_scores(scores: torch.Tensor, given: Grid, wanted: Grid) -> torch.Tensor:
    """Scores (B, N) of grid ``given`` -> (B, N') of grid ``wanted``, interpolated linearly; the same if they agree."""
    if given == wanted:
        return scores
    fields = scores.float().view(-1, 1, *given)
    return F.interpolate(fields, size=tuple(wanted), mode="trilinear", align_corners=False).flatten(1)
