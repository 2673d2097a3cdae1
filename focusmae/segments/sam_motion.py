"""What moves from frame to frame, from the colours alone: cuts, and how far each mask has gone.

SAM answers a prompt; it does not look for what has moved on. So the prompts that carry a mask to the next frame are
first put where its colours went: block matching (Jain and Jain 1981), with the mask as the block.
"""

import numpy as np
import torch
from torch.nn import functional as F

from focusmae.segments.regions import shrink

CELLS = 64  # cells along a frame for the search
REACH = 6  # cells a mask may move between two frames, about a tenth of the side
EFFORT = 0.4  # grey levels (of 255) that a move must gain for every cell, so that what is flat stays
BINS = 8  # along each colour axis
# How much colours (share of the pixels) and layout (grey levels) change at a cut. On 28 clips of DAVIS and others no
# cut is seen where there is none (420 pairs of frames); of 200 pairs of two clips 7, all much alike, are taken for one.
CUT, CUT_LAYOUT = 0.4, 22.0


def cuts(frames: np.ndarray) -> list[bool]:
    """For each of the frames uint8 (T, S, S, 3) whether a new shot begins there; False for the first.

    At a cut both the colour histogram and the layout change: a pan keeps the one, a flash the other.
    """
    small = shrink(frames, CELLS, CELLS)
    index = (small.astype(np.int64) * BINS) >> 8
    index = (index[..., 0] * BINS + index[..., 1]) * BINS + index[..., 2]
    colours = np.stack([np.bincount(frame.ravel(), minlength=BINS**3) for frame in index]) / CELLS**2
    changed = np.abs(np.diff(colours, axis=0)).sum(1) / 2
    blocks = shrink(small, 8, 8).astype(np.float64)
    moved = np.abs(np.diff(blocks, axis=0)).mean((1, 2, 3))
    return [False, *((changed > CUT) & (moved > CUT_LAYOUT)).tolist()]


def colours(frame: np.ndarray, device: torch.device | str) -> torch.Tensor:
    """One frame uint8 (S, S, 3) for :func:`moves`: (3, CELLS, CELLS) float32."""
    return torch.from_numpy(shrink(frame[None], CELLS, CELLS)[0]).to(device).permute(2, 0, 1).float()


def moves(before: torch.Tensor, now: torch.Tensor, shapes: torch.Tensor) -> torch.Tensor:
    """How far each mask (n, r, r) bool on the frame before has moved: (n, 2) int64 x, y in cells of the frame.

    before, now: from :func:`colours`.
    """
    size = 2 * REACH + 1
    around = F.pad(now[None], (REACH,) * 4, mode="replicate")
    around = F.unfold(around, CELLS).view(3, -1, size**2)  # (3, cells, moves): the same cell after every move
    error = (around - before.flatten(1)[..., None]).abs().mean(0)
    weight = F.adaptive_avg_pool2d(shapes[:, None].float(), CELLS).flatten(1)
    mean = weight @ error / weight.sum(1, keepdim=True).clamp_min(1e-6)
    steps = torch.arange(-REACH, REACH + 1, device=now.device)
    y, x = (axis.flatten() for axis in torch.meshgrid(steps, steps, indexing="ij"))
    best = (mean + EFFORT * torch.hypot(x.float(), y.float())).argmin(1)
    return torch.stack([x[best], y[best]], 1)


def shifted(logits: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """Logits (n, r, r) moved by (n, 2) cells x, y; what comes in from outside is like the frame's border."""
    size = logits.shape[-1]
    by = torch.round(by.float() * size / CELLS).long()
    places = torch.arange(size, device=logits.device)
    x, y = ((places[None] - by[:, axis, None]).clamp(0, size - 1) for axis in (0, 1))
    rows = torch.arange(len(logits), device=logits.device)[:, None, None]
    return logits[rows, y[:, :, None], x[:, None, :]]


def innermost(shapes: torch.Tensor) -> torch.Tensor:
    """A pixel of each mask (n, r, r) far from its border: (n, 2) float32 x, y in [0, 1]; of the whole if it is empty.

    The frame's border counts as the mask's. A square is fitted in by bisection, on a raster of CELLS, since a GPU has
    no distance transform to offer.
    """
    size = shapes.shape[-1]
    cells = min(size, CELLS)
    core = (F.adaptive_avg_pool2d(shapes[:, None].float(), cells) > 0.5).float()
    step = cells // 4
    while step:
        # Eroded by a square, one axis after the other.
        outside = F.max_pool2d(F.pad(1 - core, (step,) * 4, value=1.0), (1, 2 * step + 1), stride=1)
        eroded = 1 - F.max_pool2d(outside, (2 * step + 1, 1), stride=1)
        core = torch.where(eroded.flatten(1).any(1)[:, None, None, None], eroded, core)
        step //= 2
    inner = F.interpolate(core, (size, size), mode="nearest")[:, 0]
    index = (shapes * (1 + inner)).flatten(1).argmax(1)
    return torch.stack([(index % size + 0.5) / size, (index // size + 0.5) / size], 1)
