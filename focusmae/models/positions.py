"""The fixed position tables. MAE's and VideoMAE's are both called "sin-cos" and differ in layout: never mix them up.

* ``mae_table``: 2-D; the first half of the channels encodes x, the second y; within a half [sin | cos] side by side.
  (He et al. 2022; facebookresearch/mae, ``get_2d_sincos_pos_embed``.)
* ``videomae_table``: 1-D over the raster index, sin at even and cos at odd channels. (Tong et al. 2022.)
* ``space_time_table``: ours, for one network that takes photos and clips: MAE's table of the place plus a
  one-dimensional table of the time, so that a photo's tokens are those of a clip's first tubelet.
"""

import numpy as np
import torch

from focusmae.masking import Grid


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
