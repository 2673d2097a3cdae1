"""A name or a path -> a model that is ready to use. Each file is read once; at most a few models stay in memory."""

import functools
from dataclasses import dataclass
from pathlib import Path

import torch

from focusmae import device as devices
from focusmae import hub
from focusmae.masking import Grid
from focusmae.models.autoencoder import MaskedAutoencoder
from focusmae.models.checkpoints import load_model
from focusmae.models.classifier import TokenClassifier
from focusmae.models.scorer import MoEScorer, Scores, SegmentPrior
from focusmae.segments.base import SegmentMap
from focusmae.segments.descriptors import describe, token_segments

RESIDENT = 8  # models kept in memory


def load_autoencoder(name_or_path: str | Path = "embedded", device=None) -> MaskedAutoencoder:
    """The autoencoder of that name or file, for evaluation. Raises SettingsError or WeightsError."""
    return _load("autoencoder", name_or_path, device)


def load_classifier(name_or_path: str | Path = "embedded-image", device=None) -> TokenClassifier:
    """The classifier of that name or file, for evaluation. Raises SettingsError or WeightsError."""
    return _load("classifier", name_or_path, device)


@dataclass(frozen=True)
class Scorer:
    """A scorer with the encoders that it reads from: (pixels, segments) -> Scores.

    The trunk for photos is the embedded photo classifier's encoder, for clips the clip classifier's.
    """

    name: str
    network: MoEScorer | SegmentPrior
    photo_trunk: TokenClassifier | None = None
    clip_trunk: TokenClassifier | None = None

    def trunk(self, pixels: torch.Tensor) -> TokenClassifier | None:
        """The classifier whose tokens are read for these pixels (B, 3, T, H, W); None for the segment prior."""
        return self.photo_trunk if pixels.shape[2] == 1 else self.clip_trunk

    def tokens(self, pixels: torch.Tensor) -> torch.Tensor | None:
        """What the network reads: deep features of all tokens, or their embeddings (shallow), (B, N, D)."""
        trunk = self.trunk(pixels)
        if trunk is None:
            return None
        if self.network.config.reads == "embeddings":
            return trunk.encoder.embed(pixels)
        return trunk.features(pixels)

    @torch.inference_mode()
    def __call__(self, pixels: torch.Tensor, segments: SegmentMap, tokens: torch.Tensor | None = None) -> Scores:
        """Scores (scores (1, N), gates (1, N, 4)) of one input: pixels (1, 3, T, H, W) in [0, 1] and its segments.

        ``tokens`` spares the trunk when they are known already (see :meth:`tokens`).
        """
        grid = _grid(pixels)
        where = next(iter(self.network.parameters()), pixels).device
        descriptors, owners = (x.to(where) for x in segment_inputs(pixels, segments, grid))
        tokens = self.tokens(pixels.to(where)) if tokens is None else tokens
        return self.network(tokens, descriptors.unsqueeze(0), owners.unsqueeze(0))


def segment_inputs(
    pixels: torch.Tensor, segments: SegmentMap, grid: Grid
) -> tuple[torch.Tensor, torch.Tensor]:
    """Descriptors (N, 16) and majority segments (N,) of one input."""
    frames = (pixels[0].permute(1, 2, 3, 0) * 255).round().byte().cpu().numpy()
    return describe(segments, frames, grid), token_segments(segments, grid)


def load_scorer(name_or_path: str | Path = "embedded", device=None) -> Scorer:
    """The scorer "embedded", "shallow", "prior" (no network), or of a file. Raises SettingsError or WeightsError."""
    if str(name_or_path) == "prior":
        return Scorer("prior", SegmentPrior())
    network = _load("scorer", name_or_path, device)
    photo, clip = load_classifier("embedded-image", device), load_classifier("embedded-clip", device)
    return Scorer(str(name_or_path), network, photo, clip)


def _grid(pixels: torch.Tensor) -> Grid:
    return Grid(1 if pixels.shape[2] == 1 else pixels.shape[2] // 2, pixels.shape[3] // 16, pixels.shape[4] // 16)


def _load(role: str, name_or_path: str | Path, device) -> torch.nn.Module:
    found = hub.find(role, name_or_path)
    path = found if isinstance(found, Path) else found.path
    return _read(role, path.resolve(), hub.sha256(path), str(device or devices.setup()))


@functools.lru_cache(maxsize=RESIDENT)
def _read(role: str, path: Path, _content: str, device: str) -> torch.nn.Module:
    return load_model(path, role).to(device)
