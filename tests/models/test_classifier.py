"""The classifier on tiny networks: subsets, gates, prompts, and what it may see."""

import pytest
import torch

from focusmae.models.classifier import TokenClassifier, gate_factors, prompt_tokens
from tests.tiny import (
    ENCODERS,
    change_tokens,
    hidden_of,
    make_classifier,
    random_pixels,
    random_visible,
)

SIDE = 64
EVERY_CASE = pytest.mark.parametrize("kind, frames", [("mae", 1), ("videomae", 16), ("ours", 1), ("ours", 16)])


def setup(kind: str, frames: int, batch: int = 2):
    model, pixels = make_classifier(kind), random_pixels(batch, frames, SIDE)
    return model, pixels, model.encoder.grid(pixels).tokens


@EVERY_CASE
@torch.inference_mode()
def test_all_tokens_named_is_all_tokens(kind, frames):
    model, pixels, tokens = setup(kind, frames)
    full = model.logits(pixels)
    assert full.shape == (2, 3) and model.labels == ["cat", "dog", "owl"]
    everything = torch.arange(tokens).expand(2, -1)
    torch.testing.assert_close(model.logits(pixels, everything), full, rtol=0, atol=1e-5)
    few = model.logits(pixels, random_visible(2, tokens, 4))
    assert not torch.allclose(few, full, atol=1e-3)


@EVERY_CASE
@torch.inference_mode()
def test_hidden_pixels_never_matter_and_visible_ones_do(kind, frames):
    model, pixels, tokens = setup(kind, frames)
    tubelet = ENCODERS[kind].tubelet if frames > 1 else 1
    visible = random_visible(2, tokens, tokens // 4)
    said = model.logits(pixels, visible)
    hidden = change_tokens(pixels, hidden_of(visible, tokens), SIDE, tubelet)
    assert torch.equal(model.logits(hidden, visible), said)
    seen = change_tokens(pixels, visible[:, :1], SIDE, tubelet)
    assert not torch.allclose(model.logits(seen, visible), said, atol=1e-4)


@EVERY_CASE
@torch.inference_mode()
def test_gate(kind, frames):
    model, pixels, tokens = setup(kind, frames)
    full, ones = model.logits(pixels), torch.ones(2, tokens)
    assert torch.equal(model.logits(pixels, gate=ones), full)
    assert not torch.allclose(model.logits(pixels, gate=0 * ones), full, atol=1e-3)
    # A shut token is empty, not misplaced; and it tells nothing of its pixels.
    places = model.encoder.positions(model.encoder.grid(pixels)).expand(2, -1, -1)
    assert torch.equal(model.encoder.embed(pixels, gate=0 * ones), places)
    shut = ones.clone()
    shut[:, 3] = 0
    changed = change_tokens(pixels, torch.full((2, 1), 3), SIDE, ENCODERS[kind].tubelet if frames > 1 else 1)
    assert torch.equal(model.logits(pixels, gate=shut), model.logits(changed, gate=shut))
    # Of a subset, only its own gates count.
    visible = random_visible(2, tokens, 4)
    elsewhere = torch.zeros(2, tokens).scatter_(1, visible, 1.0)
    assert torch.equal(model.logits(pixels, visible, gate=elsewhere), model.logits(pixels, visible))


def test_gate_factors():
    scores = torch.tensor([[0.0, -50.0, 50.0, 1.0]])
    expected = torch.tensor([[1.0, 0.0, 2.0, 2 / (1 + torch.e**-1)]])
    torch.testing.assert_close(gate_factors(scores), expected)
    torch.testing.assert_close(gate_factors(scores, plain=True), expected / 2)


@EVERY_CASE
@torch.inference_mode()
def test_prompt_repeats_tokens_in_front(kind, frames):
    model, pixels, tokens = setup(kind, frames)
    prompt = random_visible(2, tokens, 3)
    plain, longer = model.features(pixels), model.features(pixels, prompt=prompt)
    assert plain.shape == (2, tokens, 24) and longer.shape == (2, tokens + 3, 24)
    assert not torch.allclose(model.logits(pixels, prompt=prompt), model.logits(pixels), atol=1e-4)
    # A repeated token is its copy, position included.
    copies = longer[:, 3:].gather(1, prompt.unsqueeze(-1).expand(-1, -1, 24))
    torch.testing.assert_close(longer[:, :3], copies, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_repeating_every_token_changes_nothing():
    model, pixels, tokens = setup("ours", 1)  # attention and mean are averages: twice everything is the same average
    everything = torch.arange(tokens).expand(2, -1)
    torch.testing.assert_close(model.logits(pixels, prompt=everything), model.logits(pixels), rtol=0, atol=1e-5)


def test_prompt_tokens_are_the_highest():
    scores = torch.zeros(2, 196)
    scores[0, 40:59], scores[1, [3, 190]] = 1.0, 5.0
    chosen = prompt_tokens(scores)
    assert chosen.shape == (2, 19) and chosen[0].tolist() == list(range(40, 59))
    assert {3, 190} <= set(chosen[1].tolist()) and (chosen.diff(dim=1) > 0).all()
    assert prompt_tokens(torch.zeros(1, 4)).shape == (1, 1)


@torch.inference_mode()
def test_a_batch_equals_single_calls_and_order_is_irrelevant():
    model, pixels, tokens = setup("ours", 16, batch=3)
    visible = random_visible(3, tokens, 9)
    together = model.logits(pixels, visible)
    for number in range(3):
        alone = model.logits(pixels[number : number + 1], visible[number : number + 1].flip(1))
        torch.testing.assert_close(together[number : number + 1], alone, rtol=0, atol=1e-5)


@EVERY_CASE
def test_every_weight_gets_a_gradient(kind, frames):
    torch.manual_seed(0)
    model = TokenClassifier(ENCODERS[kind], ["cat", "dog"])
    _, pixels, tokens = setup(kind, frames)
    logits = model.logits(pixels, random_visible(2, tokens, tokens // 2))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name
