"""Models that are small enough for tests to be quick, randomly initialised from a seed; and what a message must be."""

import re

import torch
from torch import nn

from focusmae.models.autoencoder import AutoencoderConfig, MaskedAutoencoder
from focusmae.models.classifier import TokenClassifier
from focusmae.models.encoder import EncoderConfig
from focusmae.models.scorer import MoEScorer, ScorerConfig

SHAPE = {"width": 24, "depth": 2, "heads": 2}
ENCODERS = {
    "mae": EncoderConfig(**SHAPE, tubelet=1, positions="mae", class_token=True),
    "videomae": EncoderConfig(**SHAPE, positions="videomae"),
    "ours": EncoderConfig(**SHAPE),
}


def randomise(model: nn.Module, seed: int = 0, strength: float = 0.1) -> nn.Module:
    """Add noise to every weight, those that start at zero included, so that nothing is equal by being zero."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(strength * torch.randn(parameter.shape, generator=noise))
    return model.eval()


def autoencoder_config(kind: str = "ours") -> AutoencoderConfig:
    """``kind``: a key of ENCODERS; "ours" has the harmonic fill and the retouch, as the shipped model does."""
    return AutoencoderConfig(
        ENCODERS[kind],
        decoder_width=16,
        decoder_depth=1,
        decoder_heads=2,
        fill="harmonic" if kind == "ours" else "none",
        retouch=(4, 6, 5) if kind == "ours" else (),
    )


def make_autoencoder(kind: str = "ours", seed: int = 0) -> MaskedAutoencoder:
    return randomise(MaskedAutoencoder(autoencoder_config(kind)), seed)


def make_classifier(kind: str = "ours", labels=("cat", "dog", "owl"), seed: int = 0) -> TokenClassifier:
    return randomise(TokenClassifier(ENCODERS[kind], list(labels)), seed)


def make_scorer(seed: int = 0, **config) -> MoEScorer:
    return randomise(MoEScorer(ScorerConfig(**{"token_width": 24, "width": 16, "heads": 2, **config})), seed)


def random_pixels(batch: int = 1, frames: int = 1, side: int = 64, seed: int = 0) -> torch.Tensor:
    """(batch, 3, frames, side, side) in [0, 1]."""
    return torch.rand(batch, 3, frames, side, side, generator=torch.Generator().manual_seed(seed))


def random_visible(batch: int, tokens: int, count: int, seed: int = 0) -> torch.Tensor:
    """(batch, count) distinct tokens, ascending."""
    noise = torch.rand(batch, tokens, generator=torch.Generator().manual_seed(seed))
    return noise.argsort(1)[:, :count].sort(1).values


def change_tokens(pixels: torch.Tensor, tokens: torch.Tensor, side: int, tubelet: int, patch: int = 16):
    """A copy of ``pixels`` with the pixels of ``tokens`` (B, M) inverted, found by plain arithmetic."""
    changed = pixels.clone()
    for row, chosen in zip(changed, tokens.tolist(), strict=True):
        for token in chosen:
            t, place = divmod(token, (side // patch) ** 2)
            y, x = (patch * v for v in divmod(place, side // patch))
            area = (slice(None), slice(tubelet * t, tubelet * (t + 1)), slice(y, y + patch), slice(x, x + patch))
            row[area] = 1 - row[area]
    return changed


def hidden_of(visible: torch.Tensor, tokens: int) -> torch.Tensor:
    """The tokens (B, N - K) that are not visible."""
    rest = torch.ones(len(visible), tokens, dtype=torch.bool).scatter_(1, visible, False)
    return rest.nonzero()[:, 1].view(len(visible), -1)


def is_one_sentence(text: str) -> bool:
    """One line, one full stop at its end, and no second sentence in it."""
    return bool(text) and text == text.strip() and "\n" not in text and text[-1] == "." and (
        re.search(r"[.!?] [A-Z]", text) is None
    )  # fmt: skip
