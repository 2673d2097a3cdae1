"""Numbers that compare pictures, predictions and arms, and the trivial fills that any model has to beat.

The errors of two different masks are measured on different tokens and cannot be compared. What can: errors on
held-out tokens that no strategy may see, the whole picture with the visible pixels pasted in, and the
prediction.

Pictures are (B, 3, T, H, W) float in [0, 1] with T = 1 for photos and T = 2 * grid.t for clips; tokens are in
raster order t, h, w; everything stays on the device of its input unless said otherwise.
"""

import math

import numpy as np
import torch
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.spatial import QhullError
from scipy.stats import bootstrap
from torch import Tensor

from focusmae.errors import SettingsError

PSNR_CEILING = 100.0  # dB, for equal pictures: keeps means finite and JSON valid
RESAMPLES = 10_000
_SSIM_SIGMA, _SSIM_RADIUS = 1.5, 5  # the 11 x 11 Gaussian window of Wang et al. 2004
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2


def token_mse(pixels: Tensor, picture: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Mean squared error of each token over its patch (photo) or tubelet (clip), all channels: (B, N).

    ``picture`` is taken as it is, not clipped to [0, 1].
    """
    _same_shape(pixels, picture)
    (t, h, w), (depth, height, width) = grid, _token_size(pixels, grid)
    squared = (pixels - picture) ** 2
    blocks = squared.reshape(len(pixels), pixels.shape[1], t, depth, h, height, w, width)
    return blocks.mean(dim=(1, 3, 5, 7)).flatten(1)


def mean_at(values: Tensor, tokens: Tensor) -> Tensor:
    """Mean of ``values`` (B, N) over some tokens, (M,) or (B, M) int64, as the held-out ones: (B,)."""
    tokens = tokens.to(values.device).expand(len(values), -1)
    return values.gather(1, tokens).mean(dim=1)


def coverage(foreground: Tensor, visible: Tensor) -> Tensor:
    """Share of the visible tokens that is foreground: (B,) in [0, 1].

    Args:
        foreground: (B, N) bool, or float in [0, 1] for tokens that are partly foreground. Use a mask that did
            not drive the draw; judging a draw by its own segments is circular.
        visible: (B, K) int64.
    """
    return mean_at(foreground.float(), visible)


def paste(pixels: Tensor, picture: Tensor, visible: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """The true pixels at the visible tokens, ``picture`` elsewhere: (B, 3, T, H, W).

    Args:
        visible: (B, K) int64.
    """
    _same_shape(pixels, picture)
    return torch.where(visible_pixels(pixels, visible, grid), pixels, picture)


def visible_pixels(pixels: Tensor, visible: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Which pixels lie in a visible token: (B, 1, T, H, W) bool, for ``pixels`` of that size."""
    size = _token_size(pixels, grid)
    seen = torch.zeros(len(pixels), math.prod(grid), dtype=torch.bool, device=pixels.device)
    seen = seen.scatter_(1, visible.to(pixels.device), True).reshape(-1, 1, *grid)
    for axis, repeats in enumerate(size, start=2):
        seen = seen.repeat_interleave(repeats, dim=axis)
    return seen


def psnr(pixels: Tensor, picture: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, (B,): ``picture`` clipped to [0, 1], peak 1.

    From one mean squared error over all pixels of an input; at most ``PSNR_CEILING``, that of equal pictures.
    """
    _same_shape(pixels, picture)
    error = ((pixels - picture.clamp(0, 1)) ** 2).flatten(1).mean(dim=1)
    return -10 * torch.log10(error.clamp(min=10 ** (-PSNR_CEILING / 10)))


def ssim(pixels: Tensor, picture: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004), (B,) in [-1, 1]: the mean over whole frames and channels.

    Gaussian window of 11 x 11, sigma 1.5, population covariance, range 1, ``picture`` clipped to [0, 1]:
    equal to ``skimage.metrics.structural_similarity`` with these settings, in half of its time. Frames need
    at least 11 pixels a side.
    """
    _same_shape(pixels, picture)
    if min(pixels.shape[-2:]) <= 2 * _SSIM_RADIUS:
        raise SettingsError(f"SSIM needs frames of at least {2 * _SSIM_RADIUS + 1} pixels a side.")
    frames = [video.transpose(1, 2).flatten(0, 1) for video in (pixels, picture.clamp(0, 1))]
    # One frame at a time: what fits into the processor's cache is several times quicker.
    values = torch.stack([_ssim_of_frame(x, y) for x, y in zip(*frames, strict=True)])
    return values.reshape(len(pixels), -1).mean(dim=1)


def _ssim_of_frame(x: Tensor, y: Tensor) -> Tensor:
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    xx, yy, xy = mean_x * mean_x, mean_y * mean_y, mean_x * mean_y
    variances = _window_mean(x * x + y * y) - xx - yy
    covariance = _window_mean(x * y) - xy
    similarity = (2 * xy + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    return (similarity / ((xx + yy + _SSIM_C1) * (variances + _SSIM_C2))).mean()


def _window_mean(image: Tensor) -> Tensor:
    """Gaussian mean around every pixel whose window lies inside: (..., H - 10, W - 10)."""
    offsets = range(-_SSIM_RADIUS, _SSIM_RADIUS + 1)
    weights = [math.exp(-(offset**2) / (2 * _SSIM_SIGMA**2)) for offset in offsets]
    for axis in (-1, -2):
        length = image.shape[axis] - 2 * _SSIM_RADIUS
        total = image.narrow(axis, 0, length) * (weights[0] / sum(weights))
        for start in range(1, len(weights)):
            total.add_(image.narrow(axis, start, length), alpha=weights[start] / sum(weights))
        image = total
    return image


def kl(p: Tensor, q: Tensor) -> Tensor:
    """Kullback-Leibler divergence KL(p || q) in nats, (B,), of probabilities (B, C); p is the full view's.

    Probabilities below 1e-12 count as 1e-12, so that the result is finite.
    """
    p, q = p.double(), q.double()
    return (p * (p.clamp(min=1e-12).log() - q.clamp(min=1e-12).log())).sum(dim=-1).to(torch.float32)


def agreement(p: Tensor, q: Tensor) -> Tensor:
    """1 where the likeliest class of p (B, C) and of q (B, C) is the same, else 0: (B,) float32."""
    return (p.argmax(dim=-1) == q.argmax(dim=-1)).float()


def bootstrap_interval(differences) -> tuple[float, float, float]:
    """Mean of paired differences with its 95 % bootstrap interval: (mean, low, high).

    Bias-corrected and accelerated (BCa, Efron 1987), 10,000 resamples, always the same random numbers. Where
    BCa is undefined (very few or almost equal differences) the percentile interval; equal differences have no
    width.

    Args:
        differences: (n,) finite numbers, n >= 2: one per seed of one input, or one per input (its mean over
            seeds), never seeds x inputs.

    Raises:
        SettingsError: fewer than two differences, or a number that is not finite.
    """
    values = np.asarray(differences, dtype=np.float64).reshape(-1)
    if len(values) < 2:
        raise SettingsError("An interval needs at least two differences: use more seeds or more inputs.")
    if not np.isfinite(values).all():
        raise SettingsError("An interval needs finite differences: at least one of them is NaN or infinite.")
    mean = float(values.mean())
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        return mean, mean, mean
    for method in ("BCa", "percentile"):
        with np.errstate(all="ignore"):
            interval = bootstrap(
                (values,),
                _mean,
                n_resamples=RESAMPLES,
                method=method,
                batch=max(1, 2_000_000 // len(values)),
                rng=np.random.default_rng(0),
            ).confidence_interval
        low, high = float(interval.low), float(interval.high)
        if math.isfinite(low) and math.isfinite(high):
            break
    return mean, low, high


def _mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    return values.mean(axis=axis)


def visible_mean_fill(pixels: Tensor, visible: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """The trivial baseline: the mean colour of the input's visible pixels everywhere. (B, 3, T, H, W)."""
    seen = visible_pixels(pixels, visible, grid)
    colour = (pixels * seen).sum(dim=(2, 3, 4), keepdim=True) / seen.sum(dim=(2, 3, 4), keepdim=True)
    return colour.expand_as(pixels).clone()


def linear_fill(pixels: Tensor, visible: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """The yardstick baseline: hidden pixels interpolated linearly from the visible ones. (B, 3, T, H, W).

    Delaunay triangulation of the visible pixels, each triangle filled linearly, outside their convex hull the
    nearest visible pixel. In the plane only: each time slice of a clip (a pair of frames with the same mask)
    by itself; a slice without visible tokens repeats the filled frames of the nearest slice that has some. On
    the CPU, about 0.1 s per photo and 0.5 s per clip. Visible pixels are returned as they are.
    """
    t, places = grid[0], grid[1] * grid[2]
    depth = _token_size(pixels, grid)[0]
    seen = visible_pixels(pixels, visible, grid)[:, 0, ::depth].cpu().numpy()
    ring = _token_borders(pixels, grid)
    result = pixels.detach().cpu().double().numpy().copy()
    for row, tokens in enumerate(visible.cpu().tolist()):
        sighted = sorted({token // places for token in tokens})
        for time in sighted:
            _fill_plane(result[row, :, time * depth : (time + 1) * depth], seen[row, time], ring)
        for time in set(range(t)) - set(sighted):
            source = min(sighted, key=lambda other: abs(other - time)) * depth
            result[row, :, time * depth : (time + 1) * depth] = result[row, :, source : source + depth]
    return torch.from_numpy(result).to(pixels.device, pixels.dtype)


def _fill_plane(frames: np.ndarray, seen: np.ndarray, ring: np.ndarray) -> None:
    """Fill the hidden pixels of frames (3, depth, H, W) in place; seen and ring are (H, W) bool."""
    if seen.all():
        return
    # Triangles over hidden pixels have their corners on the rims of visible tokens; the rest only costs time.
    corners, hidden = np.argwhere(seen & ring), np.argwhere(~seen)
    known = np.moveaxis(frames[..., seen & ring], -1, 0)
    try:
        filled = LinearNDInterpolator(corners, known)(hidden)
    except QhullError:  # a few pixels on one line span no triangle
        filled = np.full((len(hidden), *known.shape[1:]), np.nan)
    outside = np.isnan(filled.reshape(len(hidden), -1)).any(axis=1)
    if outside.any():
        filled[outside] = NearestNDInterpolator(corners, known)(hidden[outside])
    frames[..., ~seen] = np.moveaxis(filled, 0, -1)


def _token_borders(pixels: Tensor, grid: tuple[int, int, int]) -> np.ndarray:
    """(H, W) bool: the outermost pixels of every token."""
    _, height, width = _token_size(pixels, grid)
    rows, columns = np.arange(pixels.shape[3]) % height, np.arange(pixels.shape[4]) % width
    return np.isin(rows, (0, height - 1))[:, None] | np.isin(columns, (0, width - 1))[None]


def _token_size(pixels: Tensor, grid: tuple[int, int, int]) -> tuple[int, int, int]:
    """Pixels per token along T, H, W."""
    shape = tuple(pixels.shape[2:])
    if pixels.ndim != 5 or any(size % tokens for size, tokens in zip(shape, grid, strict=True)):
        raise SettingsError(
            f"A picture of {tuple(pixels.shape)} cannot be cut into {' x '.join(map(str, grid))} tokens: "
            "use (B, 3, T, H, W) with multiples of the grid."
        )
    return tuple(size // tokens for size, tokens in zip(shape, grid, strict=True))


def _same_shape(pixels: Tensor, picture: Tensor) -> None:
    if pixels.shape != picture.shape:
        raise SettingsError(
            "The two pictures must have the same shape, "
            f"but have {tuple(pixels.shape)} and {tuple(picture.shape)}."
        )
