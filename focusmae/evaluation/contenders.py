"""The networks that are compared, and what is asked of them: class probabilities from many subsets at once, scores."""

import hashlib
from dataclasses import dataclass, field

import torch

from focusmae.errors import SettingsError
from focusmae.models.autoencoder import MaskedAutoencoder
from focusmae.models.classifier import TokenClassifier
from focusmae.models.load import Scorer, load_classifier, load_scorer
from focusmae.prepared import load_models

TOKENS_AT_ONCE, TOKENS_AT_ONCE_GPU = 4096, 2**19


@dataclass
class Networks:
    """The networks for one kind of input. ``scorers``: by name, the first is FocusMAE's; ``judge``: may be None."""

    autoencoder: MaskedAutoencoder
    classifier: TokenClassifier
    scorers: dict[str, Scorer]
    judge: TokenClassifier | None = None
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        if self.judge is not None and fingerprint(self.judge) == fingerprint(self.classifier):
            raise SettingsError("The judge is the classifier itself; give another one, never used for a score.")
        trunks = [trunk for s in self.scorers.values() for trunk in (s.photo_trunk, s.clip_trunk) if trunk is not None]
        if self.judge is not None and fingerprint(self.judge) in map(fingerprint, trunks):
            raise SettingsError("A scorer reads the judge's features; give a judge never used for a score.")

    def weights(self) -> list[dict]:
        """One row per network: role, name, what its file says, and a hash of all its weights, which rows depend on."""
        rows = [("autoencoder", self.autoencoder), ("classifier", self.classifier), ("judge", self.judge)]
        rows += [(f"scorer {name}", scorer) for name, scorer in self.scorers.items()]
        return [
            {
                **(getattr(network, "weights", None) or {}),
                "role": role,
                "name": self.names.get(role, role),
                "fingerprint": fingerprint(network),
            }
            for role, network in rows
            if network is not None
        ]


def load_networks(
    kind: str, models: str, autoencoder: str, classifier: str, judge: str, scorers: tuple[str, ...]
) -> Networks:
    """The networks for ``kind`` "image" or "clip", by names or files; "" is what ``models`` says, and no judge.

    Raises SettingsError or WeightsError.
    """
    loaded = load_models(models, kind, autoencoder, classifier)
    names = {"autoencoder": loaded.names["autoencoder"], "classifier": loaded.names["classifier"], "judge": judge}
    names |= {f"scorer {name}": name for name in map(_short, scorers)}
    return Networks(
        loaded.autoencoder,
        loaded.classifier,
        {_short(name): load_scorer(name) for name in scorers},
        load_classifier(judge) if judge else None,
        {role: _short(name) for role, name in names.items()},
    )


def fingerprint(network) -> str:
    """Hash of everything that a network, or a scorer with its trunks, computes with: 16 hexadecimal digits."""
    if isinstance(network, Scorer):
        parts = [fingerprint(each) for each in (network.network, network.photo_trunk, network.clip_trunk) if each]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
    digest = hashlib.sha256(repr((type(network).__name__, getattr(network, "config", None))).encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


class Reader:
    """One input as a classifier reads it: every token is embedded once, then any subset of them is classified."""

    def __init__(self, classifier: TokenClassifier, pixels: torch.Tensor):
        self.classifier, self.pixels, self.grid = classifier, pixels, classifier.encoder.grid(pixels)
        self.embedded = classifier.encoder.embed(pixels)
        self._encoded = classifier.encoder(self.embedded)
        self.features = self._encoded[:, classifier.config.prefix :]
        self.full = self._logits(self._encoded).softmax(-1)[0].float().cpu()

    def __call__(self, visible: torch.Tensor) -> torch.Tensor:
        """Class probabilities (M, C) on the CPU from visible (M, K) alone."""
        most = TOKENS_AT_ONCE_GPU if self.embedded.is_cuda else TOKENS_AT_ONCE
        said = []
        for part in visible.to(self.embedded.device).split(max(1, most // visible.shape[1])):
            encoded = self.classifier.encoder(self.embedded[0][part])
            said.append(self._logits(encoded).softmax(-1).float().cpu())
        return torch.cat(said)

    def _logits(self, encoded: torch.Tensor) -> torch.Tensor:
        return self.classifier.head(self.classifier.fc_norm(self.classifier.pool(encoded)))

    def activation(self, number: int) -> torch.Tensor:
        """What each token adds to the class ``number`` above the others, (1, N): gradient times token.

        Where the last layers are a mean, a norm and a linear map, the tokens are those after the last block, and this
        is class activation mapping (Zhou et al., CVPR 2016) with the norm taken into account; a network that answers
        from its class token is followed down to the embedded tokens. Mean 0 and standard deviation 1.
        """
        last = self.classifier.config.pool == "mean"
        with torch.enable_grad():
            leaf = (self._encoded if last else self.embedded).detach().clone().requires_grad_()
            logits = self._logits(leaf if last else self.classifier.encoder(leaf))[0]
            (slope,) = torch.autograd.grad(logits[number] - logits.mean(), leaf)
        worth = (slope * leaf.detach()).sum(-1)[:, -self.features.shape[1] :].float().cpu()
        worth = worth - worth.mean()
        return worth / worth.std().clamp_min(1e-12)


def scorer_tokens(scorer: Scorer, reader: Reader) -> torch.Tensor | None:
    """What the scorer reads of the input, taken from the classifier's own pass where its trunk is that classifier."""
    if scorer.trunk(reader.pixels) is not reader.classifier:
        return scorer.tokens(reader.pixels)
    return reader.embedded if scorer.network.config.reads == "embeddings" else reader.features


def _short(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".safetensors")
