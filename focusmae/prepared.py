"""What is computed once per input and kept: the view, its segments, its scores, and the prediction from all tokens."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import skimage.data
import torch

from focusmae import device, hub
from focusmae.errors import SettingsError
from focusmae.masking import Grid
from focusmae.media import View, open_media
from focusmae.models.autoencoder import MaskedAutoencoder
from focusmae.models.classifier import TokenClassifier
from focusmae.models.encoder import EncoderConfig
from focusmae.models.grids import resample_scores, scorer_grid
from focusmae.models.load import Scorer, load_autoencoder, load_classifier, load_scorer
from focusmae.segmenting import Found
from focusmae.segments.base import SegmentMap, load_segmenter
from focusmae.segments.descriptors import membership, token_segments
from focusmae.segments.kept import Kept
from focusmae.settings import MODELS

SCORER = "embedded"
EMBEDDED = {
    "image": {"autoencoder": "embedded", "classifier": "embedded-image"},
    "clip": {"autoencoder": "embedded", "classifier": "embedded-clip"},
}
OFFICIAL = {
    "image": {"autoencoder": "mae-base", "classifier": "vit-base"},
    "clip": {"autoencoder": "videomae-base", "classifier": "videomae-base-kinetics"},
}
KEPT_INPUTS = 8


class Models(NamedTuple):
    """The three networks of one comparison and their names."""

    autoencoder: MaskedAutoencoder
    classifier: TokenClassifier
    scorer: Scorer
    names: dict[str, str]

    def weights(self) -> list[dict]:
        """One entry per file in use: role, name, revision, sha256, licence."""
        return [model.weights for model in (self.autoencoder, self.classifier, self.scorer) if model.weights]


def model_names(models: str, kind: str, autoencoder: str = "", classifier: str = "") -> dict[str, str]:
    """Role -> name or path for ``kind`` "image" or "clip". "auto" is official where its files are here already.

    Raises SettingsError for a choice that there is not.
    """
    if models not in MODELS:
        raise SettingsError(f"There is no choice of models called {models!r}; use one of {', '.join(MODELS)}.")
    names = {}
    for role, chosen in (("autoencoder", autoencoder), ("classifier", classifier)):
        ready = models == "official" or models == "auto" and hub.here(hub.find(role, OFFICIAL[kind][role]))
        names[role] = chosen or (OFFICIAL if ready else EMBEDDED)[kind][role]
    return {**names, "scorer": SCORER}


def load_models(models: str, kind: str, autoencoder: str = "", classifier: str = "") -> Models:
    """The networks for ``kind`` "image" or "clip". Raises SettingsError or WeightsError."""
    names = model_names(models, kind, autoencoder, classifier)
    loaded = load_autoencoder(names["autoencoder"]), load_classifier(names["classifier"])
    for model, (role, name) in zip(loaded, names.items(), strict=False):
        if not serves(model.encoder.config, kind):
            thing, other = ("photos", "clip") if kind == "clip" else ("clips", "photo")
            raise SettingsError(
                f"{Path(name).name} works on {thing} alone; for a {other} choose {OFFICIAL[kind][role]} or "
                f"{EMBEDDED[kind][role]} as {role}."
            )
    return Models(*loaded, load_scorer(names["scorer"]), names)


def serves(encoder: EncoderConfig, kind: str) -> bool:
    """Whether an encoder takes inputs of ``kind``: patches of one frame are for photos, VideoMAE's for clips."""
    return encoder.positions == "space-time" or (encoder.tubelet == 1) == (kind == "image")


@dataclass
class Prepared:
    """One view, fit for any draw: pixels (1, 3, T, 224, 224) on the models' device, scores (1, N), gates (1, N, E).

    ``grid`` is the autoencoder's; the scorer's own 14 x 14 tokens are resampled to it where it has others.
    """

    view: View
    pixels: torch.Tensor
    grid: Grid
    found: Found
    token_segment: torch.Tensor
    scores: torch.Tensor
    gates: torch.Tensor
    full: torch.Tensor
    _others: dict[str, torch.Tensor]
    wish: torch.Tensor | float = 0.0

    @property
    def segments(self) -> SegmentMap:
        return self.found.segments

    def focused(self, focus: tuple[tuple[int, float], ...]) -> "Prepared":
        """The same view with a visitor's own weights: every pair (segment id, change) adds to its tokens' scores.

        A token gets its share of the change: whole in the token that holds most of the segment, so that one smaller
        than a token can be raised too. The controls (nothing, shuffled) stay as they were. Raises SettingsError for a
        segment that there is not.
        """
        wish, shares = torch.zeros_like(self.scores), torch.from_numpy(membership(self.segments, self.grid))
        for number, change in focus:
            if not 1 <= number <= self.segments.count:
                raise SettingsError(f"There is no segment {number}; this view has {self.segments.count}.")
            share = shares[:, number].to(wish)
            wish[0] += change * share / share.max().clamp_min(1e-9)
        return dataclasses.replace(self, scores=self.scores + wish, wish=wish, _others={})

    def scores_for(self, need: str, models: Models) -> torch.Tensor:
        """Scores (1, N) by what a strategy needs: "nothing", "scores", "shuffled" or "prior"; made on first use."""
        if need == "scores":
            return self.scores
        if need not in self._others:
            self._others[need] = self._make(need, models)
        return self._others[need]

    def _make(self, need: str, models: Models) -> torch.Tensor:
        if need == "prior":
            return self._fitted(load_scorer("prior")(self.pixels, self.segments).scores) + self.wish
        if need == "shuffled":
            return self._fitted(models.scorer(self.pixels, foreign_segments(self.view)).scores)
        return torch.zeros_like(self.scores)

    def _fitted(self, scores: torch.Tensor) -> torch.Tensor:
        return resample_scores(scores, scorer_grid(self.pixels), self.grid)


def pixels_of(view: View) -> torch.Tensor:
    """The view as the models take it, on their device."""
    return view.pixels(224).to(device.setup())


@torch.inference_mode()
def prepare(view: View, pixels: torch.Tensor, found: Found, models: Models) -> Prepared:
    """Scores and full prediction; one pass of the small encoder serves both where they share it."""
    segments = found.segments
    grid, glance = models.autoencoder.encoder.grid(pixels), scorer_grid(pixels)
    tokens = models.scorer.tokens(pixels)
    scores, gates = models.scorer(pixels, segments, tokens)
    scores = resample_scores(scores, glance, grid)
    gates = torch.stack([resample_scores(share, glance, grid) for share in gates.unbind(-1)], dim=-1)
    shared = models.scorer.trunk(pixels) is models.classifier and models.scorer.network.config.reads == "features"
    logits = models.classifier.head_logits(tokens) if shared else models.classifier.logits(pixels)
    owners = token_segments(segments, grid)
    return Prepared(view, pixels, grid, found, owners, scores, gates, logits.softmax(-1), {})


def foreign_segments(view: View) -> SegmentMap:
    """Segments of another picture, for the shuffled control: a bundled photograph's, never the view's own."""
    frames = len(view.frames)
    for name in ("coffee", "chelsea"):
        other = open_media(getattr(skimage.data, name)()).view()
        if view.frames.shape[0] > 1 or not _same_picture(other, view):
            found = load_segmenter("superpixels")(other)
            return SegmentMap(np.repeat(found.labels, frames, axis=0), found.quality, f"another picture's ({name})")
    raise SettingsError("No other picture is at hand for the shuffled control.")


def _same_picture(a: View, b: View) -> bool:
    return float((a.pixels(32) - b.pixels(32)).abs().mean()) < 0.05


class Cache:
    """The last few inputs, and their segments apart from that; bounded, and safe to share (keys hash the content)."""

    def __init__(self, size: int = KEPT_INPUTS):
        self.prepared: Kept[Prepared] = Kept(size)
        self.segments: Kept[Found] = Kept(2 * size)
