"""The position tables. MAE's and VideoMAE's are both called "sin-cos" and differ in layout: never mix them up.

No setting chooses between them: a checkpoint that brings a table is used with that table, whatever is in it (MAE's
files all do, and fine-tuning changes it); one that brings none and cuts clips into tubelets has VideoMAE's.

* ``mae_table``: 2-D; the first half of the channels encodes x, the second y; within a half [sin | cos] side by side.
  (He et al. 2022; facebookresearch/mae, ``get_2d_sincos_pos_embed``.)
* ``videomae_table``: 1-D over the raster index, sin at even and cos at odd channels. (Tong et al. 2022.)
* ``space_time_table``: ours, for one network that takes photos and clips: MAE's table of the place plus a
  one-dimensional table of the time, so that a photo's tokens are those of a clip's first tubelet.
"""

import numpy as np
import torch
from torch import nn

from focusmae.masking import Grid

GIVEN, NONE = "given", "none"


def _angles(positions: np.ndarray, count: int) -> np.ndarray:
    """(M,) positions -> (M, count) angles, frequencies 10000^(-i / count)."""
    frequencies = 10000.0 ** (-np.arange(count, dtype=np.float64) / count)
    return positions[:, None].astype(np.float64) * frequencies[None]


def _side_by_side(positions: np.ndarray, width: int) -> np.ndarray:
    angles = _angles(positions, width // 2)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def mae_table(width: int, grid: Grid) -> torch.Tensor:
    """MAE's table: (h * w, width) float32; ``width`` must be a multiple of 4."""
    y, x = np.meshgrid(np.arange(grid.h), np.arange(grid.w), indexing="ij")
    halves = [_side_by_side(axis.reshape(-1), width // 2) for axis in (x, y)]
    return torch.from_numpy(np.concatenate(halves, axis=1)).float()


def videomae_table(width: int, grid: Grid) -> torch.Tensor:
    """VideoMAE's table: (t * h * w, width) float32, interleaved sin and cos."""
    angles = _angles(np.arange(grid.tokens), width // 2)
    return torch.from_numpy(np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(grid.tokens, width)).float()


def space_time_table(width: int, grid: Grid) -> torch.Tensor:
    """Place plus time: (t * h * w, width) float32."""
    place = mae_table(width, grid)
    time = torch.from_numpy(_side_by_side(np.arange(grid.t), width)).float()
    return (time[:, None] + place[None]).reshape(grid.tokens, width)


TABLES = {"mae": mae_table, "videomae": videomae_table, "space-time": space_time_table}


class Positions(nn.Module):
    """The positions of an encoder or a decoder: grid -> (N, width).

    ``kind`` names a table of TABLES, computed once per grid, or is NONE, or GIVEN: then the checkpoint's own table, (1,
    prefix + N, width), is a part of the weights and fits ``grid`` alone (Encoder.grid sees to it). ``prefix`` rows of
    it belong to the class and register tokens, which a computed table leaves where they are.
    """

    def __init__(self, kind: str, width: int, grid: Grid | None = None, prefix: int = 0):
        super().__init__()
        self.kind, self.width, self.prefix = kind, width, prefix
        if kind == GIVEN:
            self.table = nn.Parameter(torch.zeros(1, prefix + grid.tokens, width), requires_grad=False)
        self._computed: dict[tuple, torch.Tensor] = {}

    def forward(self, grid: Grid, like: torch.Tensor | None = None) -> torch.Tensor:
        """(N, width) on the device of ``like``."""
        if self.kind == GIVEN:
            return self.table[0, self.prefix :]
        key = (grid, None if like is None else like.device)
        if key not in self._computed:
            none = self.kind == NONE  # as in a few of timm's ViTs
            table = torch.zeros(grid.tokens, self.width) if none else TABLES[self.kind](self.width, grid)
            self._computed[key] = table if like is None else table.to(like.device)
        return self._computed[key]

    def first(self) -> torch.Tensor | float:
        """What is added to class and register tokens: (1, prefix, width), or 0 where the table has no rows for them."""
        return self.table[:, : self.prefix] if self.kind == GIVEN and self.prefix else 0.0
