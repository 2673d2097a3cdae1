"""Training on the scorer's own draws: on inputs where only a few tokens decide, these come to be preferred."""

from types import SimpleNamespace

import pytest
import torch

from focusmae.models.scorer import MoEScorer, ScorerConfig
from focusmae.training.drawn import AdaMAE, Policy

N, WIDTH, TELLING = 196, 16, slice(40, 60)


@pytest.fixture
def rows() -> dict:
    """Eight photos' rows: the telling tokens carry the class in their first channel, the others noise."""
    torch.manual_seed(0)
    tokens = 0.3 * torch.randn(8, N, WIDTH)
    tokens[:, TELLING, 0] += 3.0
    photo = {
        "features": tokens, "embeddings": tokens.clone(), "descriptors": torch.zeros(8, N, 16),
        "owners": torch.zeros(8, N, dtype=torch.int16), "label": torch.zeros(8, dtype=torch.int64),
        "picture": torch.randint(0, 256, (8, 3, 224, 224), dtype=torch.uint8),
    }  # fmt: skip
    return {"photo": photo, "clip": {}}


class Judge:
    """Knows class 0 by the first channel of the mean token."""

    config = SimpleNamespace(class_token=False)

    def encoder(self, tokens):
        return tokens

    def head_logits(self, features):
        evidence = features.mean(1)[:, 0]
        return torch.stack([4 * evidence - 2, torch.zeros_like(evidence)], dim=1)


class Autoencoder:
    """Wrong at the telling tokens alone."""

    def reconstruct(self, pixels, visible):
        wrong = torch.zeros(N)
        wrong[TELLING] = 1.0
        wrong = wrong.view(1, 1, 1, 14, 14).repeat_interleave(16, 3).repeat_interleave(16, 4)
        return pixels + wrong


def preference(task, model, rows, steps: int = 40) -> tuple[float, float]:
    """Mean score of the telling tokens above the others', before and after training."""

    def gap() -> float:
        with torch.no_grad():
            photo = rows["photo"]
            scores = model(photo["features"], photo["descriptors"], photo["owners"].long()).scores
        telling = torch.zeros(N, dtype=torch.bool)
        telling[TELLING] = True
        return float(scores[:, telling].mean() - scores[:, ~telling].mean())

    before, optimizer = gap(), torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(steps):
        loss, figures = task(step, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(torch.isfinite(torch.as_tensor(value)) for value in figures.values())
    return before, gap()


def test_policy_prefers_the_tokens_that_tell_the_class(rows):
    torch.manual_seed(0)
    model = MoEScorer(ScorerConfig(token_width=WIDTH, width=16))
    before, after = preference(Policy(model, rows, {"photo": Judge()}, 0, 8), model, rows)
    assert before == 0.0 and after > 0.5


def test_policy_learns_nothing_where_every_draw_is_rewarded_alike(rows):
    torch.manual_seed(0)
    rows["photo"]["embeddings"] = torch.ones_like(rows["photo"]["embeddings"])
    model = MoEScorer(ScorerConfig(token_width=WIDTH, width=16))
    task = Policy(model, rows, {"photo": Judge()}, 0, 8)
    assert preference(task, model, rows)[1] == pytest.approx(0.0, abs=1e-5)


def test_adamae_prefers_the_tokens_with_large_errors(rows):
    torch.manual_seed(0)
    model = MoEScorer(ScorerConfig(token_width=WIDTH, width=16))
    before, after = preference(AdaMAE(model, rows, Autoencoder(), 0, 8), model, rows)
    assert before == 0.0 and after > 0.5


def test_frozen_networks_are_not_saved_with_the_task(rows):
    model = MoEScorer(ScorerConfig(token_width=WIDTH, width=16))
    assert all(key.startswith("model.") for key in Policy(model, rows, {"photo": Judge()}, 0, 8).state_dict())
