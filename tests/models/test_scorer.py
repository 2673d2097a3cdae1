"""The mixture of experts: its start, its gates, and that each expert knows its own descriptors alone."""

import pytest
import torch

from focusmae.models.scorer import (
    COVERAGE,
    WISH,
    MoEScorer,
    ScorerConfig,
    SegmentPrior,
    balance_losses,
    prior_scores,
    segment_means,
)
from focusmae.segments.descriptors import DESCRIPTORS, EXPERTS
from tests.tiny import make_scorer

N = 12
MOTION, MOTION_EXPERT = DESCRIPTORS.index("motion"), list(EXPERTS).index("motion")


def inputs(batch: int = 2, seed: int = 0):
    """tokens (B, N, 24), descriptors (B, N, 16) of a clip, owners (B, N) in 0..3."""
    noise = torch.Generator().manual_seed(seed)
    tokens = torch.randn(batch, N, 24, generator=noise)
    descriptors = 0.1 + 0.9 * torch.rand(batch, N, len(DESCRIPTORS), generator=noise)
    return tokens, descriptors, torch.randint(4, (batch, N), generator=noise)


def opinions(scorer, tokens, descriptors, owners) -> dict[str, torch.Tensor]:
    """What each expert says (B, N), listened to in a real forward pass."""
    heard = {}
    hooks = [
        expert.register_forward_hook(lambda _module, _inputs, output, name=name: heard.update({name: output[..., 0]}))
        for name, expert in scorer.experts.items()
    ]
    scorer(tokens, descriptors, owners)
    for hook in hooks:
        hook.remove()
    assert list(heard) == list(EXPERTS)
    return heard


def test_an_untrained_scorer_is_the_segment_prior():
    torch.manual_seed(3)
    scorer = MoEScorer(ScorerConfig(token_width=24, width=16, heads=2))
    tokens, descriptors, owners = inputs()
    scores, gates = scorer(tokens, descriptors, owners)
    assert torch.equal(scores, 2 * descriptors[..., COVERAGE] + 4 * descriptors[..., WISH])
    assert torch.equal(SegmentPrior()(None, descriptors, owners).scores, scores)
    assert scores.shape == (2, N) and gates.shape == (2, N, len(EXPERTS))


def test_a_trained_scorer_is_not():
    tokens, descriptors, owners = inputs()
    scores, _ = make_scorer()(tokens, descriptors, owners)
    assert not torch.allclose(scores, prior_scores(descriptors), atol=1e-2)


def test_gates_are_shares():
    gates = make_scorer()(*inputs()).gates
    torch.testing.assert_close(gates.sum(-1), torch.ones(2, N))
    assert gates.min() > 0
    prior = SegmentPrior()(*inputs()).gates
    assert torch.equal(prior.sum(-1), torch.ones(2, N)) and (prior[..., 0] == 1).all()


def test_the_motion_expert_is_silent_on_photos_alone():
    tokens, descriptors, owners = inputs()
    descriptors[0, :, MOTION] = 0  # the first input is a photo, the second a clip, in one batch
    gates = make_scorer()(tokens, descriptors, owners).gates
    assert (gates[0, :, MOTION_EXPERT] == 0).all() and (gates[1, :, MOTION_EXPERT] > 0).all()
    torch.testing.assert_close(gates.sum(-1), torch.ones(2, N))


def test_a_clip_in_which_one_token_moves_has_a_motion_expert_everywhere():
    tokens, descriptors, owners = inputs(1)
    descriptors[0, 1:, MOTION] = 0
    assert (make_scorer()(tokens, descriptors, owners).gates[..., MOTION_EXPERT] > 0).all()


@pytest.mark.parametrize("name", DESCRIPTORS)
@torch.inference_mode()
def test_experts_see_their_own_descriptors_alone(name):
    scorer, (tokens, descriptors, owners), index = make_scorer(), inputs(), DESCRIPTORS.index(name)
    before = opinions(scorer, tokens, descriptors, owners)
    changed = descriptors.clone()
    changed[..., index] += 0.5
    after = opinions(scorer, tokens, changed, owners)
    for expert, own in EXPERTS.items():
        if index in own and index != WISH:  # a text works through the prior alone
            assert not torch.allclose(after[expert], before[expert], atol=1e-5), expert
        else:
            assert torch.equal(after[expert], before[expert]), expert


@torch.inference_mode()
def test_the_context_expert_needs_no_segments():
    scorer, (tokens, descriptors, owners) = make_scorer(), inputs()
    before = opinions(scorer, tokens, descriptors, owners)
    after = opinions(scorer, tokens, torch.zeros_like(descriptors), torch.zeros_like(owners))
    assert torch.equal(after["context"], before["context"])
    assert not torch.allclose(after["object"], before["object"], atol=1e-4)
    other = opinions(scorer, tokens.flip(2), descriptors, owners)
    assert not torch.allclose(other["context"], before["context"], atol=1e-4)


def test_every_descriptor_belongs_to_one_expert():
    assert list(EXPERTS) == ["object", "detail", "motion", "context"] and EXPERTS["context"] == ()
    assert sorted(index for own in EXPERTS.values() for index in own) == list(range(len(DESCRIPTORS)))
    assert len(DESCRIPTORS) == 16


@torch.inference_mode()
def test_tokens_are_mixed_within_an_input_and_never_between_inputs():
    scorer, (tokens, descriptors, owners) = make_scorer(), inputs()
    owners[0] = torch.arange(N)  # no shared segment: what passes between tokens passes through the block
    before = scorer(tokens, descriptors, owners).scores
    changed = tokens.clone()
    changed[0, 0] = changed[0, 0].flip(0)
    after = scorer(changed, descriptors, owners).scores
    assert ((after - before)[0, 1:].abs() > 1e-7).all()
    assert torch.equal(after[1], before[1])


@torch.inference_mode()
def test_the_object_expert_knows_the_segments_tokens():
    scorer, (tokens, descriptors, owners) = make_scorer(), inputs(1)
    owners[0] = torch.arange(N) // 6
    apart = opinions(scorer, tokens, descriptors, owners)
    joined = opinions(scorer, tokens, descriptors, torch.zeros_like(owners))
    assert not torch.allclose(apart["object"], joined["object"], atol=1e-5)
    for name in ("detail", "motion", "context"):
        assert torch.equal(apart[name], joined[name])


@torch.inference_mode()
def test_temperature_divides_what_the_experts_add_to_the_prior():
    scorer, given = make_scorer(), inputs()
    prior = prior_scores(given[1])
    added = scorer(*given).scores - prior
    assert added.abs().max() > 0
    scorer.temperature.fill_(0.5)
    torch.testing.assert_close(scorer(*given).scores, prior + 2 * added)


def test_every_weight_gets_a_gradient():
    scorer = make_scorer().train()
    scores, gates = scorer(*inputs())
    (scores.square().mean() + balance_losses(gates)[0]).backward()
    for name, parameter in scorer.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_balance_is_one_when_even_and_the_number_of_experts_when_collapsed():
    even = torch.full((3, N, 4), 0.25)
    balance, entropy = balance_losses(even)
    assert balance.item() == pytest.approx(1) and entropy.item() == pytest.approx(1.3862944)
    turns = torch.nn.functional.one_hot(torch.arange(N) % 4, 4).float().expand(3, -1, -1)
    assert balance_losses(turns)[0].item() == pytest.approx(1)
    collapsed = torch.zeros(3, N, 4)
    collapsed[..., 2] = 1
    balance, entropy = balance_losses(collapsed)
    assert balance.item() == pytest.approx(4) and entropy.item() == pytest.approx(0)


def test_balance_pushes_towards_even_gates():
    logits = torch.tensor([3.0, 0.0, 0.0, 0.0]).expand(2, N, 4).clone().requires_grad_()
    balance_losses(logits.softmax(-1))[0].backward()
    assert (logits.grad[..., 0] > 0).all() and (logits.grad[..., 1:] < 0).all()


def test_segment_means_against_a_loop():
    tokens, _, owners = inputs(3)
    expected = torch.empty_like(tokens)
    for b in range(3):
        for n in range(N):
            expected[b, n] = tokens[b, owners[b] == owners[b, n]].mean(0)
    torch.testing.assert_close(segment_means(tokens, owners), expected)
