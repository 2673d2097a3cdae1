"""From the arrays of a comparison to pictures: every pane as uint8 frames (T, H, W, 3). Pure: arrays in, arrays out."""

from functools import cache

import numpy as np

from focusmae.errors import SettingsError

PAPER = (239, 237, 231)
EXPERT_COLOURS = ((64, 145, 108), (190, 92, 150), (126, 87, 194), (150, 140, 118))  # never the arms' orange and blue
# matplotlib's magma at nine even steps (CC0), interpolated between.
_MAGMA = np.array(
    [[0, 0, 4], [28, 16, 68], [79, 18, 123], [129, 37, 129], [181, 54, 122], [229, 80, 100], [251, 135, 97],
     [254, 194, 135], [252, 253, 191]], dtype=np.float64,
)  # fmt: skip


@cache
def _magma_table() -> np.ndarray:
    steps = np.linspace(0, 8, 256)
    return np.stack([np.interp(steps, np.arange(9), _MAGMA[:, c]) for c in range(3)], axis=1).round().astype(np.uint8)


def magma(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] of any shape -> uint8 colours (..., 3)."""
    return _magma_table()[(np.clip(values, 0, 1) * 255).round().astype(np.uint8)]


def to_bytes(frames: np.ndarray) -> np.ndarray:
    """Float frames in [0, 1] -> uint8."""
    return (np.clip(frames, 0, 1) * 255).round().astype(np.uint8)


def spread_tokens(values: np.ndarray, grid: tuple[int, int, int], shape: tuple[int, int, int]) -> np.ndarray:
    """One value per token (N,) or (N, C) -> one per pixel (T, H, W) or (T, H, W, C); ``shape`` is T, H, W."""
    field = values.reshape(*grid, *values.shape[1:])
    for axis, size in enumerate(shape):
        field = field[(slice(None),) * axis + (np.arange(size) * grid[axis] // size,)]
    return field


def mask_pane(frames: np.ndarray, visible: np.ndarray, grid: tuple[int, int, int]) -> np.ndarray:
    """Visible tokens show the picture, hidden ones are paper: uint8 (T, H, W, 3) from float frames in [0, 1]."""
    seen = np.zeros(int(np.prod(grid)), dtype=bool)
    seen[visible] = True
    return np.where(spread_tokens(seen, grid, frames.shape[:3])[..., None], to_bytes(frames), np.uint8(PAPER))


def error_pane(token_error: np.ndarray, grid: tuple[int, int, int], shape, scale: float) -> np.ndarray:
    """Root of the mean squared error per token on a common scale (``scale`` = the brightest root), magma."""
    root = np.sqrt(np.maximum(token_error, 0)) / max(scale, 1e-9)
    return magma(spread_tokens(root, grid, shape))


def error_scale(errors: list[np.ndarray]) -> float:
    """The common scale of several error maps: the 99th percentile of all root errors that are not zero."""
    roots = np.sqrt(np.concatenate([np.asarray(e).ravel() for e in errors]))
    roots = roots[roots > 0]
    return float(np.percentile(roots, 99)) if len(roots) else 1.0


def spotlight_pane(frames: np.ndarray, values: np.ndarray, grid: tuple[int, int, int]) -> np.ndarray:
    """The picture lit by values (N,): the largest in full light, the smallest nearly dark."""
    low, high = float(values.min()), float(values.max())
    light = (values - low) / (high - low) if high > low else np.ones_like(values)
    return to_bytes(frames * (0.12 + 0.88 * spread_tokens(light, grid, frames.shape[:3])[..., None]))


def experts_pane(frames: np.ndarray, gates: np.ndarray, grid: tuple[int, int, int]) -> np.ndarray:
    """The picture in grey, tinted by the experts' shares (N, E) of each token's score."""
    tint = spread_tokens(gates @ (np.array(EXPERT_COLOURS) / 255), grid, frames.shape[:3])
    return to_bytes(0.45 * frames.mean(-1, keepdims=True) + 0.55 * tint)


def outlines(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where segments meet: (lines, rim), each bool (T, S, S), from labels int (T, S, S).

    A line is two pixels wide, so that it survives a small pane; its rim, one more, is darkened to read on any ground.
    """
    lines = np.zeros(labels.shape, dtype=bool)
    down, right = labels[:, 1:] != labels[:, :-1], labels[:, :, 1:] != labels[:, :, :-1]
    lines[:, 1:] |= down
    lines[:, :-1] |= down
    lines[:, :, 1:] |= right
    lines[:, :, :-1] |= right
    rim = lines.copy()
    rim[:, 1:] |= lines[:, :-1]
    rim[:, :-1] |= lines[:, 1:]
    rim[:, :, 1:] |= lines[:, :, :-1]
    rim[:, :, :-1] |= lines[:, :, 1:]
    return lines, rim


def segments_pane(frames: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The frames with outlined segments: frames uint8 (T, S, S, 3), labels int (T, S, S) of the same size."""
    if frames.shape[:3] != labels.shape:
        raise SettingsError("Segments and frames differ in size; make the segments from the same view.")
    lines, rim = outlines(labels)
    return np.where(lines[..., None], np.uint8(255), np.where(rim[..., None], frames // 3, frames))


def panes(comparison) -> dict[str, np.ndarray]:
    """Every picture of a comparison by file name: uint8 (T, H, W, 3)."""
    frames, grid = comparison.pixels, tuple(comparison.grid)
    shape = frames.shape[:3]
    pictures = {
        "input": to_bytes(frames),
        "segments": segments_pane(comparison.view.frames, comparison.segments.labels),
        "importance": spotlight_pane(frames, comparison.scores, grid),
        "chance": spotlight_pane(frames, comparison.chance, grid),
        "experts": experts_pane(frames, comparison.gates, grid),
    }
    scale = error_scale([arm.token_error for arm in comparison.arms.values()])
    for name, arm in comparison.arms.items():
        pictures[f"{name}-mask"] = mask_pane(frames, arm.visible, grid)
        pictures[f"{name}-reconstruction"] = to_bytes(arm.pasted)
        pictures[f"{name}-decoder"] = to_bytes(arm.picture)
        pictures[f"{name}-error"] = error_pane(arm.token_error, grid, shape, scale)
    return pictures
