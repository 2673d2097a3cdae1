"""The arms of a comparison: one per strategy, through the same networks in one batch, judged by the same measures."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from focusmae.masking import STRATEGIES, Grid, generator, heldout_tokens, sample_visible, visible_count
from focusmae.metrics import agreement, bootstrap_interval, kl, mean_at, paste, psnr, ssim, token_mse
from focusmae.models.grids import resample_scores
from focusmae.prepared import Models, Prepared

HELDOUT_SHARE = 0.1
SSIM_STRIDE = 4  # frames; it is the slowest measure, and neighbouring frames say the same
TOKENS_AT_ONCE = 4 * 1568  # per batch, so that memory stays bounded whatever is asked for
PAIRED = ("heldout_mse", "picture_mse", "p_class", "agreement", "kl")


@dataclass
class Arm:
    """One strategy's outcome. Pictures are float32 (T, 224, 224, 3) in [0, 1].

    visible (K,) int64; picture: the decoder's own; pasted: with the visible tokens put back; token_error (N,): mean
    squared error of the decoder's picture at hidden tokens, 0 at visible ones; prediction: top five. Where the decoder
    predicts pixels normalised within each patch (``normalised``), ``picture_true`` is its picture with every patch's
    true mean and contrast, to look at; every measure is of ``picture``, which holds only what the decoder knew.
    """

    visible: np.ndarray
    picture: np.ndarray
    pasted: np.ndarray
    token_error: np.ndarray
    prediction: list[dict]
    metrics: dict[str, float]
    normalised: bool = False
    picture_true: np.ndarray | None = None


class Outcome(NamedTuple):
    """Tensors of one draw on the CPU: visible (K,), picture (3, T, H, W), probabilities (C,)."""

    visible: torch.Tensor
    picture: torch.Tensor
    probabilities: torch.Tensor


def held_out(grid: Grid, keep: float, seed: int) -> torch.Tensor:
    """Tokens (M,) that no strategy may see: a tenth of them, fewer where ``keep`` leaves less room."""
    cells = grid.h * grid.w
    room = (grid.tokens - visible_count(grid.tokens, keep)) // grid.t
    share = min(int(HELDOUT_SHARE * cells), room) / cells
    return heldout_tokens(grid, share, seed) if room else torch.empty(0, dtype=torch.int64)


def draw(
    prepared: Prepared, models: Models, strategy: str, keep: float, seed: int, grid: Grid | None = None
) -> torch.Tensor:
    """visible (1, K) of one strategy; equal seeds share noise and held-out tokens between all strategies.

    ``grid``: that of the network which is to see the tokens, where it is not the autoencoder's.
    """
    scores, grid = prepared.scores_for(STRATEGIES[strategy].needs, models), grid or prepared.grid
    scores = resample_scores(scores, prepared.grid, grid).cpu()
    return sample_visible(scores, keep, generator(seed), strategy, grid, held_out(grid, keep, seed))


def draw_all(
    prepared: Prepared, models: Models, strategies: tuple[str, ...], keep: float, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """visible (A, K) for the autoencoder, (A, K') for the classifier: the same unless their patches differ in size."""
    visible = torch.cat([draw(prepared, models, name, keep, seed) for name in strategies])
    grid = models.classifier.encoder.grid(prepared.pixels)
    if grid == prepared.grid:
        return visible, visible
    return visible, torch.cat([draw(prepared, models, name, keep, seed, grid) for name in strategies])


def reconstruct(
    prepared: Prepared, models: Models, visible: torch.Tensor, true_statistics: bool = False
) -> torch.Tensor:
    """The decoder's pictures (A, 3, T, H, W) on the CPU for visible (A, K)."""
    network = functools.partial(models.autoencoder.reconstruct, true_statistics=true_statistics)
    return torch.cat(list(_batched(prepared, visible, network)))


def predict(prepared: Prepared, models: Models, visible: torch.Tensor) -> torch.Tensor:
    """Class probabilities (A, C) on the CPU from the visible tokens (A, K) alone."""
    return torch.cat(list(_batched(prepared, visible, models.classifier.logits))).softmax(-1)


def _batched(prepared: Prepared, visible: torch.Tensor, network) -> Iterator[torch.Tensor]:
    for part in visible.split(max(1, TOKENS_AT_ONCE // prepared.grid.tokens)):
        with torch.inference_mode():
            pixels = prepared.pixels.expand(len(part), -1, -1, -1, -1)
            yield network(pixels, part.to(pixels.device)).float().cpu()


def judge(prepared: Prepared, outcome: Outcome, unseen: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    """The errors (1, N) of every token and the measures of one draw.

    heldout_mse is over tokens that no arm sees, picture_mse over the whole pasted picture: both are the same pixels for
    every arm. p_class is the probability of the class that the full view names.
    """
    pixels, full = prepared.pixels.float().cpu(), prepared.full.cpu()
    picture, seen, said = outcome.picture[None], outcome.visible[None], outcome.probabilities[None]
    errors = token_mse(pixels, picture, prepared.grid)
    # Tokens are equal in size, so the error of the pasted picture is that of its hidden tokens over all tokens.
    figures = {"picture_mse": errors.scatter(1, seen, 0.0).mean().item()}
    if len(unseen):
        figures["heldout_mse"] = mean_at(errors, unseen).item()
    figures["p_class"] = said[0, full.argmax()].item()
    figures["agreement"] = agreement(full, said).item()
    figures["kl"] = kl(full, said).item()
    return errors, figures


def make_arm(prepared: Prepared, outcome: Outcome, unseen: torch.Tensor, labels: list[str]) -> Arm:
    """Everything that is shown of one draw; PSNR and SSIM (of every fourth frame) are of the pasted picture."""
    errors, metrics = judge(prepared, outcome, unseen)
    pixels, picture, seen = prepared.pixels.float().cpu(), outcome.picture[None], outcome.visible[None]
    pasted = paste(pixels, picture, seen, prepared.grid)
    metrics["psnr"] = psnr(pixels, pasted).item()
    metrics["ssim"] = ssim(pixels[:, :, ::SSIM_STRIDE], pasted[:, :, ::SSIM_STRIDE]).item()
    return Arm(
        visible=outcome.visible.numpy(),
        picture=to_frames(picture),
        pasted=to_frames(pasted),
        token_error=errors.scatter(1, seen, 0.0)[0].numpy(),
        prediction=top_labels(outcome.probabilities, labels),
        metrics=metrics,
    )


def evidence(
    prepared: Prepared, models: Models, strategies: tuple[str, ...], keep: float, seeds: range
) -> Iterator[list[dict[str, float]]]:
    """For each seed the measures of every strategy, in order; a generator, so that it can be stopped in between."""
    for seed in seeds:
        visible, read = draw_all(prepared, models, strategies, keep, seed)
        pictures, said = reconstruct(prepared, models, visible), predict(prepared, models, read)
        unseen = held_out(prepared.grid, keep, seed)
        yield [
            judge(prepared, Outcome(*row), unseen)[1]
            for row in zip(visible, pictures, said, strict=True)
        ]


def paired_differences(rows: list[list[dict[str, float]]]) -> dict[str, dict]:
    """Second strategy minus first over the seeds: {metric: {mean_difference, low, high, seeds}}; {} for one seed."""
    if len(rows) < 2 or len(rows[0]) < 2:
        return {}
    table = {}
    for metric in PAIRED:
        if metric in rows[0][0]:
            mean, low, high = bootstrap_interval([row[1][metric] - row[0][metric] for row in rows])
            table[metric] = {"mean_difference": mean, "low": low, "high": high, "seeds": len(rows)}
    return table


def readable(label: str) -> str:
    """A label as people write it: folders say gas_pump."""
    return label.replace("_", " ")


def top_labels(probabilities: torch.Tensor, labels: list[str], count: int = 5) -> list[dict]:
    """The likeliest labels: [{label, probability}], likeliest first."""
    values, places = probabilities.topk(min(count, len(labels)))
    rows = zip(values.tolist(), places.tolist(), strict=True)
    return [{"label": readable(labels[place]), "probability": value} for value, place in rows]


def to_frames(pixels: torch.Tensor) -> np.ndarray:
    """(1, 3, T, H, W) -> float32 (T, H, W, 3)."""
    return pixels[0].permute(1, 2, 3, 0).contiguous().numpy()
