"""From scores to visible tokens: the step of the method where focus enters.

Every strategy keeps exactly K = int(N * keep) tokens. All of them draw with the same Gumbel noise (common
random numbers): ``random`` takes the K largest noises, ``select`` the K largest of scores + noise, which is a
draw without replacement from softmax(scores) (Gumbel-top-k, the Plackett-Luce law; FocusMAE's and AdaMAE's
code draws with ``torch.multinomial``, which has the same law). Equal seeds therefore share the luck, and a
difference between two strategies is due to the scores.

Tokens are in raster order t, h, w; ``visible`` are indices (B, K) int64, ascending.
"""

import math
import operator
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from focusmae.errors import SettingsError
from focusmae.spacing import lattice, repelled_draw, stratified_cells
from focusmae.strategies import STRATEGIES

CLIP_SLICES = 8  # time slices of a clip: 16 frames in tubelets of 2
CENTRE_WIDTH = 0.5  # standard deviation of the centre prior, as a share of half the picture's side
_HELDOUT_STREAM = 0x4E1D  # keeps the held-out tokens independent of the noise of the same seed
_NEVER = 1e3  # logits; more than noise (< 40) and repulsion (< 220) can ever make up for


class Grid(NamedTuple):
    """Tokens per axis: (1, 14, 14) for a photo, (8, 14, 14) for a clip."""

    t: int
    h: int
    w: int

    @property
    def tokens(self) -> int:
        """Their total number N = t * h * w."""
        return self.t * self.h * self.w


def grid_of(n: int) -> Grid:
    """The grid that has ``n`` tokens: 196 -> (1, 14, 14), 1568 -> (8, 14, 14), else (1, s, s) or (8, s, s).

    No number is both s^2 and 8 s^2, so the answer is unique. Raises SettingsError for any other number.
    """
    for slices in (1, CLIP_SLICES):
        side = math.isqrt(max(n, 0) // slices)
        if side > 0 and slices * side * side == n:
            return Grid(slices, side, side)
    raise SettingsError(
        f"{n} tokens form no known grid: a photo has s x s and a clip {CLIP_SLICES} x s x s, as 196 or 1568."
    )


def visible_count(n: int, keep: float) -> int:
    """K = int(n * keep), at least 1. ``keep`` in (0, 1], else SettingsError."""
    if not 0 < keep <= 1:
        raise SettingsError(f"The keep ratio {keep} is out of range: use a number above 0 and up to 1.")
    return max(1, int(n * keep + 1e-9))  # 0.29 * 100 is 28.999999999999996 in binary


def generator(seed: int) -> torch.Generator:
    """A CPU random generator for ``seed``, an integer from 0 to 2^63 - 1, else SettingsError."""
    return torch.Generator().manual_seed(_checked_seed(seed))


def gumbel_noise(batch: int, n: int, generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise (batch, n) float32 on the CPU, always finite."""
    uniform = torch.rand(batch, n, generator=generator, dtype=torch.float64)
    return -torch.log(-torch.log(uniform.clamp_(min=1e-300))).float()


def centre_scores(grid: Grid) -> Tensor:
    """The centre prior as logits (N,) float32: 0 in the middle of the picture, about -4 in its corners.

    A Gaussian, its standard deviation half of the distance from the centre to the side; alike at all times.
    """
    t, h, w = grid
    y, x = (((2 * torch.arange(size) + 1) / size - 1) ** 2 for size in (h, w))
    return (-(y[:, None] + x[None]) / (2 * CENTRE_WIDTH**2)).flatten().repeat(t)


def heldout_tokens(grid: Grid, share: float, seed: int) -> Tensor:
    """Tokens that no strategy may see, so that all strategies can be judged on the same hidden pixels.

    Spatially stratified, and independent of scores and of the noise of the same seed. On clips whole columns
    (every time slice of a place) are held out, so that tubes stay tubes.

    Args:
        share: of the places, in [0, 1); 0.1 of a 14 x 14 grid are 19 places.
        seed: an integer from 0 to 2^63 - 1.

    Returns:
        (M,) int64 ascending, M = int(share * h * w) * t; empty for share 0.
    """
    _check_share(share)
    t, h, w = grid
    rng = np.random.default_rng([_HELDOUT_STREAM, _checked_seed(seed)])
    places = torch.from_numpy(stratified_cells(h, w, int(share * h * w + 1e-9), rng))
    return (torch.arange(t)[:, None] * (h * w) + places[None]).flatten()


def inclusion_probability(scores: Tensor, keep: float, heldout_share: float = 0.0) -> Tensor:
    """The chance of each token to be visible under ``select``: 1 - exp(-w t), w = exp(score), summing to K.

    Drawing without replacement is a race of exponential clocks with rates w that ends when K tokens have
    arrived; t is the time at which K are expected (found by bisection in float64). The race really ends at a
    random time close to t, so the form is accurate to O(1/N). Softmax is not this chance: it sums to 1 and is
    proportional to w, while a strong token can be visible at most once.

    Args:
        scores: (B, N) logits, -inf allowed (drawn only when the others do not suffice).
        keep: in (0, 1].
        heldout_share: h, when a random share h of the tokens is withheld; the chance is then
            (1 - h)(1 - exp(-w t)).

    Returns:
        (B, N) float32 in [0, 1] on the scores' device, each row sums to K.
    """
    logits = _checked_scores(scores)
    n = logits.shape[1]
    _check_share(heldout_share)
    target = visible_count(n, keep) / (1 - heldout_share)
    if target > n + 1e-6:
        raise SettingsError(_too_many(keep, f"a share of {heldout_share} for testing"))

    possible = logits.isfinite()
    finite = possible.sum(dim=1, keepdim=True)
    # Between these two values of log t the expected number of arrivals passes the target.
    low = math.log(target) - torch.logsumexp(logits, dim=1, keepdim=True)
    high = torch.maximum(5 - logits.masked_fill(~possible, math.inf).amin(dim=1, keepdim=True), low)
    for _ in range(60):
        middle = (low + high) / 2
        few = -torch.expm1(-torch.exp(logits + middle)).sum(dim=1, keepdim=True) < target
        low, high = torch.where(few, middle, low), torch.where(few, high, middle)
    chance = -torch.expm1(-torch.exp(logits + high))
    spare = (target - finite) / (n - finite).clamp(min=1)  # where tokens of score -inf are needed too
    chance = torch.where(finite > target, chance, torch.where(possible, 1.0, spare))
    return (chance * (1 - heldout_share)).to(scores.device, torch.float32)


def plackett_luce_log_prob(scores: Tensor, order: Tensor) -> Tensor:
    """Log-probability that a draw without replacement from softmax(scores) yields ``order``; differentiable.

    log P = sum_j [s_{a_j} - logsumexp over the tokens not drawn before j]. The order of a Gumbel-top-k draw
    is ``(scores + noise).topk(K).indices``.

    Args:
        scores: (B, N) float logits, finite.
        order: (B, K) int64, tokens in the order in which they were drawn, no token twice.

    Returns:
        (B,) log-probability in the scores' dtype.
    """
    rest = torch.ones_like(scores, dtype=torch.bool).scatter_(1, order, False)
    if int(rest.sum()) != scores.shape[0] * (scores.shape[1] - order.shape[1]):
        raise SettingsError("An order of draws may name each token only once.")
    # Tokens by rising rank: those never drawn, then the drawn ones from last to first; a running sum from the
    # left is then, at each drawn token, the sum over everything that was still in the urn.
    urn = torch.cat([rest.nonzero()[:, 1].reshape(scores.shape[0], -1), order.flip(1)], dim=1)
    ranked = scores.gather(1, urn)
    return (ranked - ranked.logcumsumexp(dim=1))[:, rest.shape[1] - order.shape[1] :].sum(dim=1)


class _Draw(NamedTuple):
    """What a strategy may use: scores and noise (B, N) float64, allowed (B, N) bool, K, and the grid."""

    scores: Tensor
    noise: Tensor
    allowed: Tensor
    count: int
    grid: Grid


def _largest(values: Tensor, draw: _Draw) -> Tensor:
    """The K largest allowed values of each row, (B, K); of equal values the lower index."""
    values = values.masked_fill(~draw.allowed, -math.inf)
    return values.sort(dim=1, descending=True, stable=True).indices[:, : draw.count]


def _random(draw: _Draw) -> Tensor:
    return _largest(draw.noise, draw)


def _select(draw: _Draw) -> Tensor:
    return _largest(draw.scores + draw.noise, draw)


def _top_k(draw: _Draw) -> Tensor:
    return _largest(draw.scores, draw)


def _centre(draw: _Draw) -> Tensor:
    return _largest(centre_scores(draw.grid).double() + draw.noise, draw)


def _hide(draw: _Draw) -> Tensor:
    # Held-out tokens are hidden first, then those drawn first; what is left over at the end is visible.
    values = (draw.scores + draw.noise).masked_fill(~draw.allowed, math.inf)
    order = values.sort(dim=1, descending=True, stable=True).indices
    return order[:, order.shape[1] - draw.count :]


def _tube(draw: _Draw) -> Tensor:
    # One noise per column; tokens rank by column, then by time, so that only the last column may be cut.
    t, places = draw.grid.t, draw.grid.h * draw.grid.w
    columns = draw.noise[:, :places].sort(dim=1, descending=True, stable=True).indices
    rank = torch.empty_like(columns).scatter_(1, columns, torch.arange(places).expand_as(columns))
    position = rank[:, None, :] * t + torch.arange(t)[None, :, None]
    return _largest(-position.flatten(1).double(), draw)


def _repelled(values: Tensor, draw: _Draw) -> Tensor:
    values = values.masked_fill(~draw.allowed, -math.inf)
    return torch.from_numpy(repelled_draw(values.numpy(), draw.count, draw.grid))


def _spread(draw: _Draw) -> Tensor:
    return _repelled(draw.scores + draw.noise, draw)


def _blue_noise(draw: _Draw) -> Tensor:
    return _repelled(draw.noise, draw)


def _lattice(draw: _Draw) -> Tensor:
    taken = [tuple(row.logical_not().nonzero().flatten().tolist()) for row in draw.allowed]
    return torch.tensor([lattice(draw.grid, draw.count, row) for row in taken])


_CHOOSE: dict[str, Callable[[_Draw], Tensor]] = {
    "random": _random,
    "blue-noise": _blue_noise,
    "lattice": _lattice,
    "tube": _tube,
    "centre": _centre,
    "select": _select,
    "spread": _spread,
    "hide": _hide,
    "top-k": _top_k,
    "shuffled": _select,
    "prior": _select,
}


def sample_visible(
    scores: Tensor,
    keep: float,
    generator: torch.Generator,
    strategy: str = "select",
    grid: Grid | None = None,
    heldout: Tensor | None = None,
) -> Tensor:
    """Choose the visible tokens.

    The noise is drawn first and has the shape of ``scores`` under every strategy, so generators in equal
    states give all strategies the same noise. Everything is computed on the CPU in float64; constant scores
    make ``select`` equal to ``random`` draw by draw.

    Args:
        scores: (B, N) logits, any device and dtype; -inf for tokens that are drawn only when the others do
            not suffice. Strategies that need nothing ignore the values.
        keep: share of visible tokens, in (0, 1].
        generator: a CPU generator; advanced by B * N numbers.
        strategy: a name of ``STRATEGIES``.
        grid: tokens per axis; by default ``grid_of(N)``.
        heldout: (M,) or (B, M) int64, tokens that stay hidden under every strategy.

    Returns:
        visible: (B, K) int64, ascending, on the scores' device.

    Raises:
        SettingsError: unknown strategy, keep outside (0, 1], NaN or +inf scores, a grid of another size,
            held-out tokens that do not exist, or fewer than K tokens left beside the held-out ones.
    """
    if strategy not in STRATEGIES:
        raise SettingsError(f"Unknown strategy {strategy!r}: use one of {', '.join(STRATEGIES)}.")
    logits = _checked_scores(scores)
    batch, n = logits.shape
    grid = grid_of(n) if grid is None else Grid(*grid)
    if grid.tokens != n:
        raise SettingsError(
            f"A grid of {' x '.join(map(str, grid))} tokens does not fit scores for {n} tokens."
        )
    count = visible_count(n, keep)
    noise = gumbel_noise(batch, n, generator).double()
    allowed = _allowed(heldout, batch, n)
    left = int(allowed.sum(dim=1).amin())
    if left < count:
        raise SettingsError(_too_many(keep, f"{n - left} of {n} tokens for testing"))

    # Finite from here on: -inf becomes a score that no luck makes up for, but drawn at random where needed.
    lowest = logits.masked_fill(logits.isinf(), math.inf).amin(dim=1, keepdim=True)
    logits = torch.where(logits.isinf(), lowest * 1.001 - _NEVER, logits)
    chosen = _CHOOSE[strategy](_Draw(logits, noise, allowed, count, grid))
    return chosen.sort(dim=1).values.to(scores.device)


def _checked_seed(seed: int) -> int:
    try:
        value = operator.index(seed)
    except TypeError:
        value = -1
    if not 0 <= value < 2**63:
        raise SettingsError(f"The seed {seed!r} is out of range: use a whole number from 0 to {2**63 - 1}.")
    return value


def _check_share(share: float) -> None:
    if not 0 <= share < 1:
        raise SettingsError(f"The held-out share {share} is out of range: use a number from 0 to below 1.")


def _checked_scores(scores: Tensor) -> Tensor:
    """Scores as (B, N) float64 on the CPU, each row shifted to a maximum of 0 (a row of -inf becomes 0)."""
    if scores.ndim != 2 or 0 in scores.shape:
        raise SettingsError(f"Scores must have the shape (B, N), one per token, not {tuple(scores.shape)}.")
    logits = scores.detach().cpu().double()
    if bool((logits.isnan() | (logits == math.inf)).any()):
        raise SettingsError("Scores must be numbers or -inf: at least one of them is NaN or +inf.")
    highest = logits.amax(dim=1, keepdim=True)
    return torch.where(highest == -math.inf, 0.0, logits - highest)


def _allowed(heldout: Tensor | None, batch: int, n: int) -> Tensor:
    """(B, N) bool: False at the held-out tokens."""
    allowed = torch.ones(batch, n, dtype=torch.bool)
    if heldout is None or heldout.numel() == 0:
        return allowed
    heldout = heldout.cpu().long()
    if heldout.shape[:-1] not in ((), (batch,)):
        raise SettingsError(
            f"Held-out tokens must have the shape (M,) or ({batch}, M), not {tuple(heldout.shape)}."
        )
    if int(heldout.min()) < 0 or int(heldout.max()) >= n:
        raise SettingsError(f"Held-out tokens must be from 0 to {n - 1}, the tokens of this grid.")
    return allowed.scatter_(1, heldout.expand(batch, -1), False)


def _too_many(keep: float, withheld: str) -> str:
    return f"A keep ratio of {keep} leaves too few tokens while withholding {withheld}: lower one of the two."
