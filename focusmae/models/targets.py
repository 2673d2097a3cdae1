"""What a decoder was taught to predict, and how its patches become pixels again.

Four kinds are in use. Raw: ImageNet-normalised pixels (MAE's published decoders; ours) or pixels in [0, 1] (VideoMAE
with ``norm_pix_loss`` off). Normalised within each patch: MAE over all values of the patch together (He et al. 2022,
section 4.1, "reconstruction target"), VideoMAE per channel (Tong et al. 2022, as its code does). A normalised patch
has lost its mean and contrast, which the decoder never predicts: they are taken from the visible neighbours, as far
as these tell, or, if asked for, from the picture itself; then the hidden patches are no longer the model's knowledge.
"""

from dataclasses import dataclass

import torch

from focusmae.masking import Grid
from focusmae.models.fill import fill_cells, visible_cells
from focusmae.models.patches import patchify, unpatchify

EPS = 1e-6


@dataclass(frozen=True)
class Target:
    """``imagenet``: in ImageNet-normalised pixels, else in [0, 1]. ``per_patch``: normalised within each patch.

    ``channels``: number of groups that are normalised apart, 1 (all values together) or 3 (each colour).
    """

    imagenet: bool
    per_patch: bool = False
    channels: int = 1


TARGETS = {
    "imagenet": Target(imagenet=True),
    "unit": Target(imagenet=False),
    "imagenet-patch": Target(imagenet=True, per_patch=True),
    "unit-patch": Target(imagenet=False, per_patch=True, channels=3),
}


def to_picture(
    target: Target,
    patches: torch.Tensor,
    pixels: torch.Tensor,
    visible: torch.Tensor,
    grid: Grid,
    shape: tuple[int, int],
    normal: tuple[torch.Tensor, torch.Tensor],
    true_statistics: bool = False,
) -> torch.Tensor:
    """The decoder's patches (B, N, P) -> its picture (B, 3, T, H, W) in [0, 1].

    pixels (B, 3, T, H, W) in [0, 1] and visible (B, K) serve per-patch statistics alone, and of the hidden pixels
    nothing is read unless ``true_statistics``. shape: tubelet and patch; normal: mean and std (1, 3, 1, 1, 1).
    """
    mean, std = normal
    if target.per_patch:
        own = patchify((pixels - mean) / std if target.imagenet else pixels, *shape)
        middle, spread = patch_statistics(own, target.channels)
        if not true_statistics:
            middle, spread = guess_statistics(middle, spread, visible, grid)
        groups = patches.unflatten(2, (-1, target.channels))
        patches = (groups * spread.unsqueeze(2) + middle.unsqueeze(2)).flatten(2)
    picture = unpatchify(patches, grid, *shape)
    return (picture * std + mean if target.imagenet else picture).clamp(0, 1)


def patch_statistics(patches: torch.Tensor, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation, each (B, N, channels), of every patch (B, N, P), as the trainings computed them."""
    groups = patches.unflatten(2, (-1, channels))
    middle, variance = groups.mean(2), groups.var(2)
    return middle, (variance + EPS).sqrt() if channels == 1 else variance.sqrt() + EPS


def guess_statistics(
    middle: torch.Tensor, spread: torch.Tensor, visible: torch.Tensor, grid: Grid
) -> tuple[torch.Tensor, torch.Tensor]:
    """The statistics of hidden patches, interpolated harmonically from the visible ones, which keep their own.

    The spread is interpolated on a log scale, so that a flat patch beside a rich one makes a middling one.
    """
    known = visible_cells(visible, grid, 1).to(middle.dtype)
    cells = torch.cat([middle, spread.log()], 2).transpose(1, 2).unflatten(2, tuple(grid))
    guessed = fill_cells(cells * known, known).flatten(2).transpose(1, 2)
    middle, spread = guessed.chunk(2, 2)
    return middle, spread.exp()
