"""Predicts a class from any subset of tokens: the test of whether the visible ones hold what matters."""

import torch
from torch import nn

from focusmae.errors import SettingsError
from focusmae.masking import Grid
from focusmae.models.encoder import Encoder, EncoderConfig, initialise
from focusmae.models.origin import Origin
from focusmae.models.patches import SIDE


class TokenClassifier(nn.Module):
    """Encoder, mean over the tokens that are there, layer norm, linear head (MAE's ``global_pool`` fine-tuning).

    The mean, never the first patch token: after a draw that is merely the first survivor. Weights that were trained to
    answer from the class token do so (``pool`` "first"). ``weights`` says which file this is, ``notes`` what its
    reader had to assume. Some weights take one size or one number of frames alone, else they raise SettingsError.
    """

    origin: Origin | None = None
    notes: tuple[str, ...] = ()
    precision: str = "float32"

    def __init__(self, config: EncoderConfig, labels: list[str]):
        super().__init__()
        self.config, self.labels = config, list(labels)
        self.encoder = Encoder(config)
        self.fc_norm = nn.LayerNorm(config.width, eps=config.head_eps or config.eps)
        self.head = nn.Linear(config.width, len(self.labels))
        initialise(self)
        nn.init.normal_(self.head.weight, std=0.01)

    @property
    def weights(self) -> dict[str, str] | None:
        """{role, name, revision, sha256, licence} of the file; None for a model that was not loaded from one."""
        return self.origin and self.origin.row()

    @property
    def side(self) -> int:
        """Height and width in pixels that :meth:`grid` counts with, and the only ones that some weights take."""
        return self.config.side or SIDE

    def grid(self, frames: int) -> Grid:
        """Tokens per axis for 1 or 16 frames of ``side`` pixels. Raises SettingsError if the weights take others."""
        return self.encoder.grid(torch.empty(1, 3, frames, self.side, self.side, device="meta"))

    def logits(
        self,
        pixels: torch.Tensor,
        visible: torch.Tensor | None = None,
        gate: torch.Tensor | None = None,
        prompt: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Class logits (B, classes) of pixels (B, 3, T, H, W) in [0, 1].

        visible (B, K): only these tokens enter the blocks. gate (B, N): factors on the patch embeddings, 1 = as it was
        (``gate_factors`` makes them from scores). prompt (B, P): tokens repeated in front, with place and gate.
        """
        return self.head(self.fc_norm(self.pool(self._encode(pixels, visible, gate, prompt))))

    def features(self, pixels, visible=None, gate=None, prompt=None) -> torch.Tensor:
        """Patch tokens after the last block (B, K, D), repeated ones first; arguments as in :meth:`logits`."""
        return self._encode(pixels, visible, gate, prompt)[:, self.config.prefix :]

    def pool(self, encoded: torch.Tensor) -> torch.Tensor:
        """The encoder's output (B, prefix + K, D) -> what the head reads, (B, D)."""
        return encoded[:, 0] if self.config.pool == "first" else encoded[:, self.config.prefix :].mean(1)

    def head_logits(self, features: torch.Tensor) -> torch.Tensor:
        """Features (B, K, D) -> logits (B, classes).

        Raises SettingsError if these weights answer from more than the mean of the patch tokens.
        """
        if self.config.pool != "mean":
            raise SettingsError("These weights answer from more than their patch tokens; ask for a picture's logits.")
        return self.head(self.fc_norm(features.mean(1)))

    def _encode(self, pixels, visible, gate, prompt) -> torch.Tensor:
        tokens = self.encoder.embed(pixels, visible, gate)
        if prompt is not None:
            tokens = torch.cat([self.encoder.embed(pixels, prompt, gate), tokens], dim=1)
        return self.encoder(tokens)


def gate_factors(scores: torch.Tensor, plain: bool = False) -> torch.Tensor:
    """Scores (B, N) -> factors: 2 * sigmoid(score), so that an undecided score changes nothing.

    ``plain`` gives sigmoid(score), the form first proposed, which halves every embedding at the start.
    """
    factors = torch.sigmoid(scores)
    return factors if plain else 2 * factors


def prompt_tokens(scores: torch.Tensor, share: float = 0.1) -> torch.Tensor:
    """The top ``share`` of tokens by score, (B, P) ascending, to be repeated in front of the sequence."""
    count = max(1, int(scores.shape[1] * share + 1e-9))
    return scores.topk(count, dim=1).indices.sort(dim=1).values
