"""Predicts a class from any subset of tokens: the test of whether the visible ones hold what matters."""

import functools

import torch
from torch import nn

from focusmae.models.encoder import Encoder, EncoderConfig, initialise


class TokenClassifier(nn.Module):
    """Encoder, mean over the tokens that are there, layer norm, linear head (MAE's ``global_pool`` fine-tuning).

    The mean, never the first token: after a draw the first token is merely the first survivor.
    """

    def __init__(self, config: EncoderConfig, labels: list[str]):
        super().__init__()
        self.config, self.labels = config, list(labels)
        self.encoder = Encoder(config)
        self.fc_norm = functools.partial(nn.LayerNorm, eps=config.eps)(config.width)
        self.head = nn.Linear(config.width, len(self.labels))
        initialise(self)
        nn.init.normal_(self.head.weight, std=0.01)

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
        return self.head_logits(self.features(pixels, visible, gate, prompt))

    def features(self, pixels, visible=None, gate=None, prompt=None) -> torch.Tensor:
        """Tokens after the last block (B, K, D), repeated ones first; arguments as in :meth:`logits`."""
        tokens = self.encoder.embed(pixels, visible, gate)
        if prompt is not None:
            tokens = torch.cat([self.encoder.embed(pixels, prompt, gate), tokens], dim=1)
        tokens = self.encoder(tokens)
        return tokens[:, 1:] if self.config.class_token else tokens

    def head_logits(self, features: torch.Tensor) -> torch.Tensor:
        """Features (B, K, D) -> logits (B, classes)."""
        return self.head(self.fc_norm(features.mean(1)))


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


