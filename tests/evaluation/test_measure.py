"""One input: the shortcuts give what the long way gives, and every draw is the protocol's."""

import dataclasses

import numpy as np
import pytest
import torch

from focusmae.errors import SettingsError
from focusmae.evaluation.contenders import Networks, Reader, fingerprint
from focusmae.evaluation.measure import average_precision, measure, noise_seed
from focusmae.evaluation.plan import Plan, read_shares
from focusmae.evaluation.protocol import ARMS, DEFAULT_ARMS, KEEPS, PRIMARY
from focusmae.evaluation.sources import Case, Sources
from focusmae.masking import STRATEGIES, generator, sample_visible
from focusmae.metrics import mean_at, token_mse
from focusmae.segments.base import SegmentMap
from tests.evaluation.fakes import COLOURS, GRID, ColourClassifier, networks, picture
from tests.tiny import is_one_sentence, make_autoencoder, make_classifier, random_pixels, random_visible


def a_case(number: int = 1, name: str = "Green_Thing", labels=("green thing",)) -> Case:
    frame, _ = picture(number, COLOURS[name])
    pixels = torch.from_numpy(frame).permute(2, 0, 1).float()[None, :, None] / 255
    whole = SegmentMap(np.ones((1, 224, 224)), np.ones(1), "test")
    return Case("a.png", "image", f"{number:064x}", pixels, whole, whole, labels)


@pytest.mark.parametrize("kind", ["mae", "videomae", "ours"])
def test_reading_once_is_reading_every_time(kind):
    model = make_classifier(kind)
    pixels = random_pixels(frames=1 if kind == "mae" else 4)
    reader = Reader(model, pixels)
    visible = random_visible(5, reader.grid.tokens, 3)
    with torch.no_grad():
        expected = model.logits(pixels.expand(5, -1, -1, -1, -1), visible).softmax(-1)
        full = model.logits(pixels).softmax(-1)[0]
    assert torch.allclose(reader(visible), expected, atol=1e-6) and torch.allclose(reader.full, full, atol=1e-6)
    assert torch.allclose(reader.features, model.features(pixels), atol=1e-6)


def test_activation_is_what_a_token_adds():
    """In a world where logits are a mean over the tokens, exactly that: (weights of the class - mean) x token."""
    reader = Reader(ColourClassifier(), a_case().pixels)
    found = reader.activation(1)
    direct = reader.features @ torch.tensor([-1.0, 2.0, -1.0])
    direct = (direct - direct.mean()) / direct.std()
    assert torch.allclose(found, direct, atol=1e-4) and found.shape == (1, GRID.tokens)
    assert torch.equal(Reader(ColourClassifier(), torch.full((1, 3, 1, 224, 224), 128 / 255)).activation(0), found * 0)


def test_a_network_that_answers_from_its_class_token_has_activations_too():
    model = make_classifier("mae")
    model.config = dataclasses.replace(model.config, pool="first")
    found = Reader(model, random_pixels()).activation(2)
    assert found.shape == (1, 16) and found.std() == pytest.approx(1, abs=1e-4)


def test_figures_are_means_over_the_protocols_draws():
    """The long way round for one arm: draw, look, average."""
    case, nets = a_case(), networks(strength=3.0)
    plan = Plan(keeps=(0.1,), curve=(), seeds=6, picture_seeds=2, strategies=("select",), scorers=("colour",))
    row = measure(case, nets, plan)
    noise = noise_seed(case.sha256, 0)
    scores = 3.0 * nets.classifier.encoder.embed(case.pixels).abs().sum(-1)
    visible = sample_visible(scores.expand(6, -1), 0.1, generator(noise), "select", GRID)
    said = nets.classifier.head(
        torch.stack([nets.classifier.encoder.embed(case.pixels)[0, v].mean(0) for v in visible])
    ).softmax(-1)
    figures = row["draws"]["0.1"]["select"]
    assert figures["p_true"] == pytest.approx(said[:, 1].mean().item(), abs=1e-6)
    assert figures["top1"] == pytest.approx((said.argmax(1) == 1).float().mean().item())
    assert row["label"] == "green thing" == row["said"] and row["full"]["top1"] == 1

    from focusmae.arms import held_out

    unseen = torch.stack([held_out(GRID, 0.1, noise + number) for number in range(2)])
    drawn = sample_visible(scores.expand(2, -1), 0.1, generator(noise), "select", GRID, unseen)
    assert not any(set(a.tolist()) & set(b.tolist()) for a, b in zip(drawn, unseen, strict=True))
    pixels = case.pixels.expand(2, -1, -1, -1, -1)
    errors = token_mse(pixels, nets.autoencoder.reconstruct(pixels, drawn), GRID)
    assert figures["heldout_mse"] == pytest.approx(mean_at(errors, unseen).mean().item(), rel=1e-5)
    hidden = errors.scatter(1, drawn, 0.0)
    assert figures["picture_mse"] == pytest.approx(hidden.mean().item(), rel=1e-5)


def test_arms_share_their_noise_and_inputs_do_not():
    assert noise_seed("a", 0) != noise_seed("b", 0) != noise_seed("b", 1) and 0 <= noise_seed("a", 0) < 2**62
    first = sample_visible(torch.zeros(4, 196), 0.1, generator(3), "random", GRID)[0]
    alone = sample_visible(torch.zeros(1, 196), 0.1, generator(3), "random", GRID)[0]
    assert torch.equal(first, alone)  # what the panels show is the first draw that was measured


def test_without_a_label_nothing_is_claimed_about_it():
    plan = Plan(keeps=(0.1,), curve=(), seeds=2, picture_seeds=0, scorers=("colour",))
    row = measure(a_case(labels=("holiday",)), networks(), plan)
    assert row["label"] is None and "oracle" not in row["draws"]["0.1"] and "wrong" in row["draws"]["0.1"]
    assert set(row["draws"]["0.1"]["select"]) == {"agreement", "kl", "p_class", "steered"}


def test_the_wrong_class_is_neither_true_nor_said():
    reader = Reader(ColourClassifier(), a_case().pixels)
    for number in range(10):
        case = dataclasses.replace(a_case(), sha256=f"{number:012x}" + "0" * 52)
        assert Sources(case, networks(), reader, truth=0).wrong == 2  # 1 is said
        assert Sources(case, networks(), reader, truth=1).wrong in (0, 2)


def test_a_clip_is_measured_too():
    case = dataclasses.replace(a_case(), kind="clip", pixels=a_case().pixels.expand(-1, -1, 16, -1, -1).contiguous())
    whole = SegmentMap(np.ones((16, 224, 224)), np.ones(1), "test")
    case = dataclasses.replace(case, segments=whole, foreign=whole)
    plan = Plan(
        keeps=(0.1,), curve=(), seeds=2, picture_seeds=1, scorers=("colour",), strategies=("tube", "spread", "select")
    )
    row = measure(case, networks(), plan)
    assert set(row["draws"]["0.1"]) == {"random", "tube", "spread", "select"}
    assert row["draws"]["0.1"]["select"]["top1"] == 1 and row["draws"]["0.1"]["tube"]["heldout_mse"] > 0
    assert row["draws"]["0.1"]["tube"]["linear_mse"] >= 0


def test_average_precision():
    positive = np.array([True, False, True, False])
    assert average_precision(np.array([4.0, 3.0, 2.0, 1.0]), positive) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.array([4.0, 1.0, 3.0, 2.0]), positive) == 1
    assert average_precision(np.zeros(4), positive) == 0.5  # nothing known: the share of positives
    assert average_precision(np.array([1.0, 2.0]), np.array([True, False])) == 0.5


def test_judges_that_are_none():
    classifier = ColourClassifier()
    with pytest.raises(SettingsError, match="classifier itself") as caught:
        networks(judge=ColourClassifier())
    assert is_one_sentence(str(caught.value))
    scorers = networks().scorers
    other = ColourClassifier(sharpness=5.0)
    with pytest.raises(SettingsError, match="features"):
        Networks(make_autoencoder(), other, scorers, judge=classifier)
    assert fingerprint(classifier) != fingerprint(other) and fingerprint(classifier) == fingerprint(ColourClassifier())


def test_the_protocol_is_complete():
    assert [(claim.metric, claim.keep) for claim in PRIMARY] == [("top1", 0.1), ("p_true", 0.1), ("heldout_mse", 0.25)]
    assert all(claim.keep in KEEPS and claim.strategy in DEFAULT_ARMS for claim in PRIMARY)
    assert all(arm.strategy in STRATEGIES for arm in ARMS.values())
    assert set(DEFAULT_ARMS) >= {
        "random", "tube", "prior", "select", "shallow", "shuffled", "centre", "blue-noise", "lattice", "spread",
        "activation", "top-k", "inverse", "oracle",
    }  # fmt: skip
    assert "knows the label" in ARMS["oracle"].title


def test_further_scorers_become_arms():
    plan = Plan(strategies=("select", "shallow"), scorers=("embedded", "mlp"))
    arms = plan.arms(("embedded", "mlp"))
    assert list(arms) == ["random", "select", "mlp"] and arms["mlp"].source == "mlp"
    assert "shallow" in plan.arms(("embedded", "shallow"))


@pytest.mark.parametrize(
    "change, said",
    [
        ({"strategies": ("best",)}, "best"), ({"keeps": ()}, "keep"), ({"keeps": (0.0,)}, "keep"),
        ({"curve": (1.5,)}, "keep"), ({"seeds": 0}, "Draws"), ({"picture_seeds": -1}, "Draws"),
        ({"limit": 0}, "limit"), ({"seed": -1}, "seed"), ({"models": "huge"}, "huge"),
        ({"segmenter": "scissors"}, "scissors"), ({"part": "all"}, "all"), ({"scorers": ()}, "scorer"),
        ({"scorers": ("a", "a")}, "scorer"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used(change, said):
    with pytest.raises(SettingsError, match=said) as caught:
        dataclasses.replace(Plan(), **change).check()
    assert is_one_sentence(str(caught.value))


def test_shares_as_people_type_them():
    assert read_shares("0.1, .25") == (0.1, 0.25) and read_shares("") == ()
    with pytest.raises(SettingsError, match="half"):
        read_shares("0.1,half")
