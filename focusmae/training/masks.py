"""The masks that training draws: mostly the protocol's, partly clustered ones, so that a decoder knows both kinds."""

import math

import torch
import torch.nn.functional as F

from focusmae.masking import Grid, sample_visible


def random_keep(usual: float, generator: torch.Generator, usual_share: float = 0.6) -> float:
    """The protocol's keep ratio most of the time, else log-uniform between 6 % and 60 % (the page has a slider)."""
    a, b = torch.rand(2, generator=generator).tolist()
    return usual if a < usual_share else math.exp(math.log(0.06) + b * (math.log(0.6) - math.log(0.06)))


def clustered_scores(batch: int, grid: Grid, generator: torch.Generator, strength: float = 2.0) -> torch.Tensor:
    """Smooth random score fields (B, N), standard deviation ``strength``: what importance looks like to a decoder."""
    coarse = torch.randn(batch, 1, max(1, grid.t // 4), 4, 4, generator=generator)
    fields = F.interpolate(coarse, size=tuple(grid), mode="trilinear", align_corners=True).flatten(1)
    return strength * (fields - fields.mean(1, keepdim=True)) / fields.std(1, keepdim=True).clamp_min(1e-6)


def training_mask(batch: int, grid: Grid, keep: float, generator: torch.Generator) -> torch.Tensor:
    """visible (B, K): 70 % of the draws uniform (on clips, half of those tubes), 30 % clustered."""
    kind = torch.rand((), generator=generator).item()
    scores = torch.zeros(batch, grid.tokens)
    strategy = "tube" if grid.t > 1 and kind < 0.35 else "random"
    if kind >= 0.7:
        scores, strategy = clustered_scores(batch, grid, generator), "select"
    return sample_visible(scores, keep, generator, strategy, grid=grid)
