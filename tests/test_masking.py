"""Scores -> visible tokens: what must hold for every strategy, and the laws that the draws follow."""

import itertools
import math

import numpy as np
import pytest
import torch

from focusmae.errors import SettingsError
from focusmae.masking import (
    STRATEGIES,
    Grid,
    centre_scores,
    generator,
    grid_of,
    gumbel_noise,
    heldout_tokens,
    inclusion_probability,
    plackett_luce_log_prob,
    sample_visible,
    visible_count,
)

PHOTO, CLIP, SMALL = Grid(1, 14, 14), Grid(8, 14, 14), Grid(4, 5, 6)
FIXED = {"lattice", "top-k"}  # these do not depend on the seed


def scores_for(grid: Grid, batch: int = 1, sd: float = 1.0, seed: int = 7) -> torch.Tensor:
    return sd * torch.randn(batch, grid.tokens, generator=generator(seed))


def places(tokens: torch.Tensor, grid: Grid) -> torch.Tensor:
    """(M,) -> (M, 3) float coordinates t, h, w."""
    return torch.stack(torch.unravel_index(tokens, tuple(grid)), dim=1).float()


def enumerated_order_probability(scores: list[float], order: tuple[int, ...]) -> float:
    """Plackett-Luce from its definition: draw, remove, renormalise."""
    weights, probability = {i: math.exp(s) for i, s in enumerate(scores)}, 1.0
    for token in order:
        probability *= weights[token] / sum(weights.values())
        del weights[token]
    return probability


# ---- grids, counts, seeds


def test_grid_of_knows_photos_and_clips_and_refuses_the_rest():
    assert grid_of(196) == PHOTO and grid_of(1568) == CLIP
    assert grid_of(4) == Grid(1, 2, 2) and grid_of(32) == Grid(8, 2, 2)
    assert CLIP.tokens == 1568
    for wrong in (0, -4, 7, 197):
        with pytest.raises(SettingsError, match="tokens form no known grid"):
            grid_of(wrong)


def test_visible_count_is_not_misled_by_binary_fractions():
    assert [visible_count(196, keep) for keep in (0.1, 0.25, 0.75, 1.0)] == [19, 49, 147, 196]
    assert visible_count(1568, 0.9) == 1411
    assert int(100 * 0.29) == 28 and visible_count(100, 0.29) == 29
    assert visible_count(196, 0.001) == 1
    for wrong in (0, -0.1, 1.01, math.nan, math.inf):
        with pytest.raises(SettingsError, match="keep ratio"):
            visible_count(196, wrong)


def test_a_seed_is_a_whole_number():
    assert generator(3).initial_seed() == 3 and generator(np.int64(3)).initial_seed() == 3
    for wrong in (-1, 2**63, 1.5, "1", None):
        with pytest.raises(SettingsError, match="seed"):
            generator(wrong)


def test_gumbel_noise_has_the_law_of_gumbel():
    noise = gumbel_noise(200, 1000, generator(0))
    assert noise.dtype == torch.float32 and noise.shape == (200, 1000) and noise.isfinite().all()
    assert abs(float(noise.mean()) - 0.5772) < 0.01
    assert abs(float(noise.std()) - math.pi / math.sqrt(6)) < 0.01


# ---- what holds for every strategy


@pytest.mark.parametrize("keep", [0.01, 0.25, 0.5, 0.88])
@pytest.mark.parametrize("grid", [PHOTO, CLIP, SMALL], ids=str)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_keeps_exactly_k_tokens_and_none_that_is_held_out(strategy, grid, keep):
    scores, heldout = scores_for(grid, batch=2), heldout_tokens(grid, 0.1, seed=1)
    visible = sample_visible(scores, keep, generator(3), strategy, grid, heldout)
    assert visible.dtype == torch.int64 and visible.shape == (2, visible_count(grid.tokens, keep))
    assert (visible.diff(dim=1) > 0).all()  # ascending and unique
    assert visible.min() >= 0 and visible.max() < grid.tokens
    assert not torch.isin(visible, heldout).any()
    again = sample_visible(scores, keep, generator(3), strategy, grid, heldout)
    assert torch.equal(visible, again)
    other = sample_visible(scores, keep, generator(4), strategy, grid, heldout)
    assert torch.equal(visible, other) == (strategy in FIXED)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_can_keep_everything_and_takes_held_out_tokens_per_row(strategy):
    everything = sample_visible(scores_for(SMALL), 1.0, generator(0), strategy, SMALL)
    assert torch.equal(everything[0], torch.arange(120))
    # Held-out tokens anywhere, and so many that only one choice is left.
    rows = torch.stack([torch.randperm(120, generator=generator(seed))[:60] for seed in (0, 1)])
    visible = sample_visible(scores_for(SMALL, batch=2), 0.5, generator(0), strategy, SMALL, rows)
    for row, withheld in zip(visible, rows, strict=True):
        assert sorted(row.tolist() + withheld.tolist()) == list(range(120))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_leaves_the_generator_in_the_same_state(strategy):
    source, reference = generator(5), generator(5)
    sample_visible(scores_for(PHOTO), 0.3, source, strategy)
    gumbel_noise(1, 196, reference)
    assert torch.equal(source.get_state(), reference.get_state())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_scores_may_be_minus_infinity_or_of_half_precision(strategy):
    scores = torch.full((1, 196), -math.inf)
    scores[0, :100] = scores_for(PHOTO)[0, :100]
    needy = STRATEGIES[strategy].needs != "nothing"
    visible = sample_visible(scores, 0.5, generator(0), strategy)
    if needy and strategy != "hide":
        assert visible.max() < 100  # 98 of the 100 that have a score
        everything = sample_visible(scores, 0.75, generator(0), strategy)
        assert set(range(100)) <= set(everything[0].tolist())  # the other 47 only because they are needed
    nothing = sample_visible(torch.full((1, 196), -math.inf), 0.5, generator(0), strategy)
    assert torch.equal(nothing, sample_visible(torch.zeros(1, 196), 0.5, generator(0), strategy))
    assert sample_visible(scores_for(PHOTO).half(), 0.5, generator(0), strategy).shape == (1, 98)


# ---- common random numbers


@pytest.mark.parametrize("constant", [0.0, -3.7, 1e6])
@pytest.mark.parametrize("grid", [PHOTO, CLIP], ids=str)
def test_scores_without_preference_make_the_arms_identical_draw_by_draw(grid, constant):
    scores = torch.full((3, grid.tokens), constant)
    for seed in range(5):
        heldout = heldout_tokens(grid, 0.1, seed)
        draws = {
            name: sample_visible(scores, 0.25, generator(seed), name, grid, heldout)
            for name in ("random", "select", "shuffled", "prior", "spread", "blue-noise")
        }
        for name in ("select", "shuffled", "prior"):
            assert torch.equal(draws[name], draws["random"])
        assert torch.equal(draws["spread"], draws["blue-noise"])


def test_hide_is_the_complement_of_select():
    scores = scores_for(PHOTO, batch=4)
    shown = sample_visible(scores, 0.75, generator(0), "select")
    left = sample_visible(scores, 0.25, generator(0), "hide")
    assert torch.equal(torch.cat([shown, left], dim=1).sort(dim=1).values, torch.arange(196).expand(4, -1))


def test_a_photo_has_no_tubes_and_a_clip_nothing_else():
    assert torch.equal(
        sample_visible(scores_for(PHOTO), 0.25, generator(0), "tube"),
        sample_visible(scores_for(PHOTO), 0.25, generator(0), "random"),
    )
    heldout = heldout_tokens(CLIP, 0.1, 0)
    columns = sample_visible(scores_for(CLIP), 0.25, generator(0), "tube", heldout=heldout).reshape(8, 49)
    assert (columns - columns[:1] == 196 * torch.arange(8)[:, None]).all()
    cut = sample_visible(scores_for(CLIP), 0.1, generator(0), "tube")[0]  # 156 = 19 columns of 8, and 4 more
    assert (cut % 196).bincount().bincount(minlength=9)[[4, 8]].tolist() == [1, 19]


# ---- the laws of the draws


def test_gumbel_top_k_draws_by_plackett_luce():
    scores, draws = [0.3, -1.0, 1.2, 0.0], 40_000
    visible = sample_visible(torch.tensor([scores]).expand(draws, -1), 0.5, generator(0))
    for pair in itertools.combinations(range(4), 2):
        expected = sum(enumerated_order_probability(scores, order) for order in itertools.permutations(pair))
        found = float((visible == torch.tensor(pair)).all(dim=1).float().mean())
        assert abs(found - expected) < 4 * math.sqrt(expected * (1 - expected) / draws)


def test_plackett_luce_log_prob_equals_enumeration_and_sums_to_one():
    scores = torch.tensor([0.3, -1.0, 1.2, 0.0], dtype=torch.float64, requires_grad=True)
    for count in (1, 2, 3, 4):
        orders = list(itertools.permutations(range(4), count))
        log_prob = plackett_luce_log_prob(scores.expand(len(orders), -1), torch.tensor(orders))
        expected = [enumerated_order_probability(scores.tolist(), order) for order in orders]
        torch.testing.assert_close(log_prob.exp(), torch.tensor(expected, dtype=torch.float64))
        # The total probability is 1 whatever the scores, so its gradient vanishes.
        (gradient,) = torch.autograd.grad(log_prob.exp().sum(), scores)
        torch.testing.assert_close(gradient, torch.zeros_like(gradient))
    assert torch.autograd.gradcheck(plackett_luce_log_prob, (scores[None], torch.tensor([[2, 0, 3]])))
    with pytest.raises(SettingsError, match="only once"):
        plackett_luce_log_prob(torch.zeros(1, 4), torch.tensor([[1, 1]]))


@pytest.mark.parametrize("keep", [0.1, 0.25, 0.75])
def test_inclusion_probability_agrees_with_ten_thousand_draws(keep):
    scores = scores_for(PHOTO, sd=2.0, seed=5)
    chance = inclusion_probability(scores, keep)
    drawn = torch.cat([sample_visible(scores.expand(1000, -1), keep, generator(seed)) for seed in range(10)])
    found = drawn.flatten().bincount(minlength=196) / 10_000
    assert (found - chance[0]).abs().max() < 0.02
    torch.testing.assert_close(chance.sum(), torch.tensor(float(visible_count(196, keep))))


def test_inclusion_probability_counts_the_held_out_share():
    scores, keep = scores_for(PHOTO, sd=2.0, seed=5), 0.25
    chance = inclusion_probability(scores, keep, heldout_share=0.1)
    draws = [
        sample_visible(scores.expand(10, -1), keep, generator(seed), heldout=heldout_tokens(PHOTO, 0.1, seed))
        for seed in range(500)
    ]
    found = torch.cat(draws).flatten().bincount(minlength=196) / 5000
    assert (found - chance[0]).abs().max() < 0.06  # the held-out tokens change only 500 times
    assert (found - chance[0]).square().mean().sqrt() < 0.02
    assert chance.max() <= 0.9 and abs(float(chance.sum()) - 49) < 1e-3


def test_inclusion_probability_at_its_limits():
    flat = inclusion_probability(torch.zeros(2, 196), 0.25)
    torch.testing.assert_close(flat, torch.full((2, 196), 0.25))
    torch.testing.assert_close(inclusion_probability(scores_for(PHOTO), 1.0), torch.ones(1, 196))
    steep = inclusion_probability(torch.linspace(0, -2000, 196)[None], 0.25)
    assert steep.isfinite().all() and abs(float(steep.sum()) - 49) < 1e-3 and (steep.diff() <= 0).all()
    half = torch.zeros(1, 196)
    half[0, 98:] = -math.inf
    assert inclusion_probability(half, 0.25)[0, [0, 97, 98, 195]].tolist() == pytest.approx([0.5, 0.5, 0, 0])
    assert inclusion_probability(half, 0.75)[0, [0, 97, 98, 195]].tolist() == pytest.approx([1, 1, 0.5, 0.5])
    with pytest.raises(SettingsError, match="too few tokens"):
        inclusion_probability(half, 0.95, heldout_share=0.1)


def test_top_k_takes_the_highest_scores_and_of_equals_the_first():
    assert sample_visible(torch.tensor([[1.0, 3, 2, 3]]), 0.5, generator(0), "top-k").tolist() == [[1, 3]]
    assert sample_visible(torch.zeros(1, 196), 0.25, generator(0), "top-k").tolist() == [list(range(49))]


# ---- spacing


def nearest_distance(visible: torch.Tensor, grid: Grid) -> float:
    """Mean distance in tokens from each visible token to the nearest other one."""
    points = places(visible, grid)
    distance = torch.cdist(points, points) + 1e9 * torch.eye(len(points))
    return float(distance.amin(dim=1).mean())


@pytest.mark.parametrize("grid", [PHOTO, CLIP], ids=str)
def test_spread_and_blue_noise_keep_their_distance(grid):
    scores = scores_for(grid)
    distance = {
        name: np.mean(
            [nearest_distance(sample_visible(scores, 0.1, generator(i), name)[0], grid) for i in range(4)]
        )
        for name in ("random", "select", "spread", "blue-noise")
    }
    assert distance["blue-noise"] > 1.2 * distance["random"]
    assert distance["spread"] > 1.2 * distance["select"]


def test_spread_still_follows_the_scores_and_blue_noise_hardly_prefers_the_border():
    scores = scores_for(PHOTO, sd=2.0)
    spread = sample_visible(scores.expand(200, -1), 0.1, generator(0), "spread")
    assert scores[0][spread].mean() > 1.0
    drawn = sample_visible(torch.zeros(1000, 196), 0.25, generator(0), "blue-noise")
    share = (drawn.flatten().bincount(minlength=196) / 1000 / 0.25).reshape(14, 14)
    assert share.max() < 2.4 and share.min() > 0.4 and 0.75 < share[1:-1, 1:-1].mean() < 1.05


def test_the_lattice_grows_from_the_centre_and_ignores_scores_and_noise():
    few = sample_visible(scores_for(PHOTO), 0.1, generator(0), "lattice")
    assert torch.equal(few, sample_visible(scores_for(PHOTO, seed=8), 0.1, generator(1), "lattice"))
    off_centre = places(few[0], PHOTO)[:, 1:] - 6.5
    assert off_centre.norm(dim=1).max() < 6 and off_centre.mean(dim=0).norm() < 0.6
    assert torch.pdist(off_centre).min() >= 2  # as far apart as the spacing says
    quarter = sample_visible(scores_for(PHOTO), 0.25, generator(0), "lattice")[0]
    assert torch.pdist(places(quarter, PHOTO)).min() > 1  # no two side by side while the grid has room
    clip = sample_visible(scores_for(CLIP), 0.1, generator(0), "lattice")[0]
    slices = [clip[clip // 196 == time] % 196 for time in range(8)]
    assert {len(tokens) for tokens in slices} == {19, 20}
    assert all(torch.pdist(places(tokens, PHOTO)).min() > 1 for tokens in slices)
    assert len({tuple(tokens.tolist()) for tokens in slices}) == 8


def test_centre_scores_fall_from_the_centre_alike_in_every_slice():
    scores = centre_scores(CLIP).reshape(8, 14, 14)
    assert torch.equal(scores, scores[:1].expand(8, -1, -1))
    torch.testing.assert_close(scores[0], scores[0].flip(0, 1))
    assert (scores[0, :7].diff(dim=0) > 0).all() and -4 < scores.min() < -3 and -0.1 < scores.max() <= 0


def test_heldout_tokens_are_stratified_columns_that_depend_on_the_seed_alone():
    counts = torch.zeros(196)
    for seed in range(300):
        tokens = heldout_tokens(PHOTO, 0.1, seed)
        assert tokens.dtype == torch.int64 and len(tokens) == 19 and (tokens.diff() > 0).all()
        assert torch.equal(tokens, heldout_tokens(PHOTO, 0.1, seed))
        clip = heldout_tokens(CLIP, 0.1, seed).reshape(8, 19)
        assert torch.equal(clip, tokens[None] + 196 * torch.arange(8)[:, None])
        y, x = places(tokens, PHOTO)[:, 1:].T
        quadrants = (2 * (y >= 7) + (x >= 7)).long().bincount(minlength=4)
        assert quadrants.min() >= 2 and quadrants.max() <= 8  # 4.75 each
        assert nearest_distance(tokens, PHOTO) > 1.9
        counts[tokens] += 1
    assert len({tuple(heldout_tokens(PHOTO, 0.1, seed).tolist()) for seed in range(100)}) > 90
    assert counts.min() > 10 and counts.max() < 55  # 29 expected: no place is favoured
    assert heldout_tokens(PHOTO, 0, 1).shape == (0,)
    assert len(heldout_tokens(PHOTO, 0.5, 1).unique()) == 98


# ---- refusals


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"strategy": "sideways"}, "Unknown strategy 'sideways': use one of random, blue-noise"),
        ({"keep": 0.0}, "keep ratio 0.0 is out of range"),
        ({"grid": CLIP}, "8 x 14 x 14 tokens does not fit scores for 196"),
        ({"scores": torch.full((1, 196), math.nan)}, "NaN"),
        ({"scores": torch.full((1, 196), math.inf)}, r"\+inf"),
        ({"scores": torch.zeros(196)}, "shape"),
        ({"scores": torch.zeros(1, 190)}, "190 tokens form no known grid"),
        ({"heldout": torch.tensor([196])}, "from 0 to 195"),
        ({"heldout": torch.zeros(3, 2, dtype=torch.int64)}, "shape"),
        ({"heldout": torch.arange(21), "keep": 0.9}, "0.9 leaves too few tokens while withholding 21 of 196"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(arguments, sentence):
    defaults = {"scores": torch.zeros(1, 196), "keep": 0.25, "generator": generator(0)}
    with pytest.raises(SettingsError, match=sentence):
        sample_visible(**(defaults | arguments))


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_a_held_out_share_is_below_one(share):
    with pytest.raises(SettingsError, match="held-out share"):
        heldout_tokens(PHOTO, share, 0)
