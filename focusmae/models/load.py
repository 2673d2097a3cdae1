"""A name or a path -> a model that is ready to use. Each file is read once; at most a few models stay in memory.

Every format is told by the file itself: ours by its metadata, timm's by its config.json, all others by their keys.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from focusmae import device as devices
from focusmae import hub
from focusmae.errors import WeightsError
from focusmae.hub.cache import read_config
from focusmae.hub.registry import folder_weights
from focusmae.masking import Grid
from focusmae.models.autoencoder import MaskedAutoencoder
from focusmae.models.checkpoints import own_model
from focusmae.models.classifier import TokenClassifier
from focusmae.models.grids import scorer_grid
from focusmae.models.official import official_model
from focusmae.models.origin import Origin, stamp
from focusmae.models.resident import LARGE, Resident, weight_bytes
from focusmae.models.scorer import MoEScorer, Scores, SegmentPrior
from focusmae.models.tensors import read_tensors
from focusmae.models.timm_vit import is_timm, timm_model
from focusmae.precision import lighten, wanted
from focusmae.segments.base import SegmentMap
from focusmae.segments.descriptors import describe, token_segments

Progress = Callable[[int, int], None] | None
_RESIDENT = Resident()


def load_autoencoder(
    name_or_path: str | Path = "embedded", device=None, progress: Progress = None
) -> MaskedAutoencoder:
    """The autoencoder of that name, file or folder (as the Hub's), for evaluation.

    progress: called with bytes done and bytes in total while weights are fetched; what it raises stops the download.
    Raises SettingsError or WeightsError; models that are in use stay as they are.
    """
    return _load("autoencoder", name_or_path, device, progress)


def load_classifier(
    name_or_path: str | Path = "embedded-image", device=None, progress: Progress = None
) -> TokenClassifier:
    """The classifier of that name, file or folder, for evaluation; as :func:`load_autoencoder`."""
    return _load("classifier", name_or_path, device, progress)


@dataclass(frozen=True)
class Scorer:
    """A scorer with the encoders that it reads from: (pixels, segments) -> Scores.

    The trunk for photos is the embedded photo classifier's encoder, for clips the clip classifier's.
    """

    name: str
    network: MoEScorer | SegmentPrior
    photo_trunk: TokenClassifier | None = None
    clip_trunk: TokenClassifier | None = None

    @property
    def weights(self) -> dict[str, str] | None:
        """{role, name, revision, sha256, licence} of the network's file; None for the segment prior, which has none."""
        origin = getattr(self.network, "origin", None)
        return origin and origin.row()

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
        grid = scorer_grid(pixels)
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


def _load(role: str, name_or_path: str | Path, device, progress: Progress = None) -> torch.nn.Module:
    weights = hub.find(role, name_or_path)
    path, config, origin = _local(role, weights) if isinstance(weights, Path) else _fetched(role, weights, progress)
    where = torch.device(device or devices.setup())
    precision = wanted(where)
    key = (role, origin, json.dumps(config, sort_keys=True), str(where), precision)
    return _RESIDENT.get(key, lambda: _make(path, role, config, origin, precision).to(where))


def _make(path: Path, role: str, config: dict | None, origin: Origin, precision: str) -> torch.nn.Module:
    tensors = read_tensors(path)
    if "kind" in tensors.metadata or role == "scorer":
        model = own_model(tensors, origin.name, role)
    elif is_timm(config):
        model = timm_model(tensors, config, origin.name, role)
    else:
        model = official_model(tensors, config, origin.name, role)
    model.origin = origin
    return lighten(model, precision) if weight_bytes(model) >= LARGE else model


def _fetched(role: str, weights: hub.Weights, progress: Progress) -> tuple[Path, dict | None, Origin]:
    found = hub.fetch(weights, progress)
    path = found.path.resolve()
    origin = Origin(role, weights.name, found.revision, weights.licence, path, stamp(path), found.sha256)
    return path, found.config, origin


def _local(role: str, place: Path) -> tuple[Path, dict | None, Origin]:
    path = (folder_weights(place) if place.is_dir() else place).resolve()
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path.name}; the shipped ones are in assets/weights.")
    changed = stamp(path)
    content = hub.sha256(path) if changed[1] < LARGE else None
    origin = Origin(role, place.name, "local", "unknown", path, changed, content)
    return path, read_config(path.parent, place.name), origin
