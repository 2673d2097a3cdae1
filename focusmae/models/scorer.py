"""Mixture of experts: token features and segment descriptors -> one importance score per token.

Four experts, each with its own descriptors (segments/descriptors.py): object, detail, motion, and context, which sees
tokens alone and so survives a missing segmenter. A transformer block mixes the tokens first: in AdaMAE's ablation a
scorer without mixing is worse than random (Bandara et al., CVPR 2023, table on the sampling network). Gates are dense
and soft; a top-2 view is for display only. Their answer stands on top of the segment prior (2 * coverage, FocusMAE's
delta = 2; Basu et al., CVPR 2024) and starts at zero, so an untrained scorer is that prior.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from focusmae.models.encoder import make_blocks
from focusmae.segments.descriptors import DESCRIPTORS, EXPERTS

PRIOR_WEIGHT = 2.0
WISH_WEIGHT = 4.0
COVERAGE, WISH = DESCRIPTORS.index("coverage"), DESCRIPTORS.index("text_affinity")


class Scores(NamedTuple):
    """scores (B, N) logits; gates (B, N, E) shares of the experts that sum to 1."""

    scores: torch.Tensor
    gates: torch.Tensor


@dataclass(frozen=True)
class ScorerConfig:
    """``reads`` "features": the trunk's last block; "embeddings": the patch embeddings alone (the shallow variant).

    ``compares``: the experts also see each token beside the mean of all, as products. A token matters if it speaks for
    what the whole picture shows, and a class activation is just such a product.
    """

    token_width: int = 192
    width: int = 64
    heads: int = 4
    reads: str = "features"
    compares: bool = False


class MoEScorer(nn.Module):
    """tokens (B, N, D), descriptors (B, N, 16), token_segments (B, N) int64 -> Scores."""

    def __init__(self, config: ScorerConfig):
        super().__init__()
        self.config = config
        width = config.width
        self.token_norm = nn.LayerNorm(config.token_width)
        self.token_in = nn.Linear(config.token_width, width)
        self.segment_in = nn.Linear(config.token_width, width)
        self.mix = make_blocks(width, 1, config.heads, mlp_ratio=2.0)
        self.norm = nn.LayerNorm(width)
        self.router = nn.Linear(width + len(DESCRIPTORS), len(EXPERTS))
        seen = 2 * width if config.compares else width
        if config.compares:
            self.whole_in = nn.Sequential(
                nn.Linear(config.token_width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
            )
            self.part_in = nn.Linear(config.token_width, width)
        self.experts = nn.ModuleDict(
            {name: _expert(seen + len(own) + (width if name == "object" else 0)) for name, own in EXPERTS.items()}
        )
        self.register_buffer("temperature", torch.tensor(1.0))

    def forward(self, tokens: torch.Tensor, descriptors: torch.Tensor, token_segments: torch.Tensor) -> Scores:
        prior = prior_scores(descriptors)
        descriptors = descriptors.clone()
        descriptors[..., WISH] = 0
        tokens = self.token_norm(tokens)
        mixed = nn.functional.gelu(self.token_in(tokens))
        for block in self.mix:
            mixed = block(mixed)
        mixed = self.norm(mixed)
        shared = [mixed]
        if self.config.compares:
            shared.append(self.part_in(tokens) * self.whole_in(tokens.mean(1, keepdim=True)))
        segment = nn.functional.gelu(self.segment_in(segment_means(tokens, token_segments)))
        opinions = []
        for name, own in EXPERTS.items():
            parts = [*shared, descriptors[..., list(own)]] + ([segment] if name == "object" else [])
            opinions.append(self.experts[name](torch.cat(parts, dim=-1)).squeeze(-1))
        gates = self.gates(mixed, descriptors)
        learned = (gates * torch.stack(opinions, dim=-1)).sum(-1)
        return Scores(prior + learned / self.temperature, gates)

    def gates(self, mixed: torch.Tensor, descriptors: torch.Tensor) -> torch.Tensor:
        """Router softmax (B, N, E); the motion expert is silent where nothing moves in time, as on every photo."""
        logits = self.router(torch.cat([mixed, descriptors], dim=-1))
        still = descriptors[..., DESCRIPTORS.index("motion")].abs().amax(1) == 0
        silent = torch.zeros_like(logits)
        silent[..., list(EXPERTS).index("motion")] = still.to(logits.dtype).unsqueeze(1) * -1e4
        return (logits + silent).softmax(-1)


class SegmentPrior(nn.Module):
    """The prior without a network: score = 2 * coverage (FocusMAE's region bonus, delta = 2)."""

    def forward(self, tokens: torch.Tensor, descriptors: torch.Tensor, token_segments: torch.Tensor) -> Scores:
        scores = prior_scores(descriptors)
        gates = scores.new_zeros(*scores.shape, len(EXPERTS))
        gates[..., list(EXPERTS).index("object")] = 1.0
        return Scores(scores, gates)


def prior_scores(descriptors: torch.Tensor) -> torch.Tensor:
    """The segment prior (B, N) of descriptors (B, N, 16): 2 * coverage, and 4 * affinity to a visitor's text.

    No training data hold wishes, so what a text does is fixed here and the experts do not see it.
    """
    return PRIOR_WEIGHT * descriptors[..., COVERAGE] + WISH_WEIGHT * descriptors[..., WISH]


def balance_losses(gates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(load balance, entropy) of gates (B, N, E) over a batch of inputs.

    Load balance = E * sum_e f_e * P_e (Shazeer et al. 2017; Fedus et al. 2021): 1 when even, E when one expert does
    everything. f is the share of tokens whose largest gate is e (no gradient), P the mean gate.
    """
    experts = gates.shape[-1]
    flat = gates.reshape(-1, experts)
    chosen = torch.nn.functional.one_hot(flat.argmax(-1), experts).float().mean(0)
    entropy = -(flat * flat.clamp_min(1e-9).log()).sum(-1).mean()
    return experts * (chosen * flat.mean(0)).sum(), entropy


def segment_means(tokens: torch.Tensor, token_segments: torch.Tensor) -> torch.Tensor:
    """Mean of the tokens (B, N, D) over each token's own segment (B, N) int64; segment 0 counts as one segment."""
    b, n, d = tokens.shape
    count = int(token_segments.max()) + 1
    index = token_segments + torch.arange(b, device=tokens.device).unsqueeze(1) * count
    flat = index.reshape(-1)
    sums = tokens.new_zeros(b * count, d).index_add_(0, flat, tokens.reshape(-1, d))
    sizes = tokens.new_zeros(b * count).index_add_(0, flat, tokens.new_ones(b * n))
    return (sums / sizes.clamp_min(1).unsqueeze(1))[flat].view(b, n, d)


def _expert(inputs: int, hidden: int = 96) -> nn.Sequential:
    last = nn.Linear(hidden, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), last)
