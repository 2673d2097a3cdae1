"""Pictures to flat patches and back, in the order that both MAE and VideoMAE use for their targets.

MAE flattens a patch as (row, column, channel), VideoMAE a tubelet as (frame, row, column, channel); with a tubelet of
one frame the second is the first, so one pair of functions serves both. (MAE: He et al. 2022, section 3 and its
``patchify``; VideoMAE: Tong et al. 2022, its ``b (t h w) (p0 p1 p2 c)``.)
"""

import torch

from focusmae.errors import SettingsError
from focusmae.masking import Grid

SIDE = 224  # pixels per side of the pictures that nearly all weights were trained on


def grid_for(frames: int, height: int, width: int, tubelet: int, patch: int) -> Grid:
    """Tokens per axis for ``frames`` x ``height`` x ``width`` pixels; a single frame counts as one whole tubelet.

    Raises SettingsError if the sizes are not multiples of the patch or the tubelet.
    """
    if height % patch or width % patch or (frames > 1 and frames % tubelet):
        raise SettingsError(
            f"A picture of {frames} x {height} x {width} does not divide into patches of {patch} px and tubelets of "
            f"{tubelet} frames; use multiples of them, as 1 or 16 frames of 224 x 224."
        )
    return Grid(1 if frames == 1 else frames // tubelet, height // patch, width // patch)


def patchify(pixels: torch.Tensor, tubelet: int, patch: int) -> torch.Tensor:
    """(B, C, T, H, W) -> (B, N, tubelet * patch * patch * C), tokens in raster order t, h, w."""
    b, c, t, h, w = pixels.shape
    x = pixels.reshape(b, c, t // tubelet, tubelet, h // patch, patch, w // patch, patch)
    return x.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(b, -1, tubelet * patch * patch * c)


def unpatchify(patches: torch.Tensor, grid: Grid, tubelet: int, patch: int) -> torch.Tensor:
    """Inverse of :func:`patchify`: (B, N, P) -> (B, C, T, H, W) with T = grid.t * tubelet."""
    b, _, size = patches.shape
    c = size // (tubelet * patch * patch)
    x = patches.reshape(b, grid.t, grid.h, grid.w, tubelet, patch, patch, c)
    return x.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(b, c, grid.t * tubelet, grid.h * patch, grid.w * patch)


def gather_tokens(tokens: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """(B, N, D) at (B, K) -> (B, K, D), without copying the indices D times."""
    return torch.gather(tokens, 1, indices.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
