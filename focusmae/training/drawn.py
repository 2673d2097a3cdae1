"""Two ways to train the scorer on what its own draws lead to, beside the distillation of training/worth.py.

policy: REINFORCE with a leave-one-out baseline (Kool et al. 2019) on the Plackett-Luce probability of the draw; the
reward is the log-probability of the true class from the drawn tokens alone, so it improves just what the page shows.
adamae: the published loss of AdaMAE (Bandara et al., CVPR 2023, eq. 3): the log-probabilities of the masked tokens,
weighted by the reconstruction error there; it asks for visible tokens where the error is high.
"""

import torch
from torch import nn

from focusmae.masking import gumbel_noise, plackett_luce_log_prob, visible_count
from focusmae.metrics import token_mse
from focusmae.models.autoencoder import MaskedAutoencoder
from focusmae.models.classifier import TokenClassifier
from focusmae.models.scorer import MoEScorer, balance_losses
from focusmae.training.data import PHOTO_GRID, step_generator
from focusmae.training.worth import choose, score_rows

DRAWS = 4
KEEP = 0.1
BALANCE = 0.02
LOWEST_REWARD = -6.0  # nats; a sure wrong answer should not outweigh everything else in a batch


class Policy(nn.Module):
    """-advantage x log P(drawn order), averaged; four draws of every input judge each other."""

    def __init__(self, model: MoEScorer, rows: dict, judges: dict[str, TokenClassifier], seed: int, batch: int):
        super().__init__()
        self.model, self.rows, self.seed, self.batch = model, rows, seed, batch
        self._judges = judges  # in a dict, so that the frozen networks are neither trained nor saved

    def forward(self, step: int, _batch) -> tuple[torch.Tensor, dict]:
        draws = step_generator(self.seed, step)
        kind, rows, chosen = choose(self.rows, step, self.batch, draws)
        scores, gates = score_rows(self.model, rows, chosen)
        repeated = scores.repeat_interleave(DRAWS, 0)
        noise = gumbel_noise(*repeated.shape, draws).to(repeated)
        order = (repeated.detach() + noise).topk(visible_count(scores.shape[1], KEEP)).indices
        embedded = rows["embeddings"][chosen].to(scores.device).float().repeat_interleave(DRAWS, 0)
        truth = rows["label"][chosen].to(scores.device).repeat_interleave(DRAWS)
        reward = _reward(self._judges[kind], embedded, order, truth).view(-1, DRAWS)
        advantage = (reward - reward.mean(1, keepdim=True)) * DRAWS / (DRAWS - 1)
        probability = plackett_luce_log_prob(repeated, order)
        balance, entropy = balance_losses(gates)
        loss = -(advantage.flatten() * probability).mean() / order.shape[1] + BALANCE * balance
        return loss, {f"{kind}_reward": reward.mean(), "balance": balance.detach(), "gate_entropy": entropy.detach()}


@torch.no_grad()
def _reward(judge: TokenClassifier, embedded: torch.Tensor, order: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Log-probability (B,) of ``truth`` from the drawn tokens; embeddings know their places, so order is free."""
    tokens = embedded.gather(1, order.unsqueeze(-1).expand(-1, -1, embedded.shape[-1]))
    features = judge.encoder(tokens)
    features = features[:, 1:] if judge.config.class_token else features
    said = judge.head_logits(features).log_softmax(-1)
    return said.gather(1, truth[:, None])[:, 0].clamp_min(LOWEST_REWARD)


class AdaMAE(nn.Module):
    """-mean over masked tokens of log softmax(scores) x error of the frozen autoencoder there; photos alone."""

    def __init__(self, model: MoEScorer, rows: dict, autoencoder: MaskedAutoencoder, seed: int, batch: int):
        super().__init__()
        self.model, self.rows, self.seed, self.batch = model, rows, seed, batch
        self._frozen = {"autoencoder": autoencoder}

    def forward(self, step: int, _batch) -> tuple[torch.Tensor, dict]:
        draws, rows = step_generator(self.seed, step), self.rows["photo"]
        chosen = torch.randint(len(rows["label"]), (self.batch,), generator=draws)
        scores, gates = score_rows(self.model, rows, chosen)
        noise = gumbel_noise(*scores.shape, draws).to(scores)
        visible = (scores.detach() + noise).topk(visible_count(scores.shape[1], KEEP)).indices.sort(1).values
        pixels = (rows["picture"][chosen].float() / 255).unsqueeze(2).to(scores.device)
        with torch.no_grad():
            error = token_mse(pixels, self._frozen["autoencoder"].reconstruct(pixels, visible), PHOTO_GRID)
        masked = torch.ones_like(scores).scatter(1, visible, 0.0)
        loss = -(masked * error * scores.log_softmax(-1)).sum() / masked.sum()
        balance, entropy = balance_losses(gates)
        figures = {"error": error.mean(), "balance": balance.detach(), "gate_entropy": entropy.detach()}
        return loss + BALANCE * balance, figures
