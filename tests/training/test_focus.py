"""Training through a scorer: what it draws, what reaches its weights, and that scores move with the picture."""

import copy

import pytest
import torch

from focusmae.errors import SettingsError
from focusmae.masking import Grid
from focusmae.models.checkpoints import load_model
from focusmae.models.classifier import TokenClassifier, gate_factors, prompt_tokens
from focusmae.models.encoder import EncoderConfig
from focusmae.models.load import Scorer, load_scorer
from focusmae.models.scorer import SegmentPrior
from focusmae.segments.base import load_segmenter
from focusmae.training import classifier, loop
from focusmae.training.data import Item, crop, glide_boxes, random_boxes, step_generator
from focusmae.training.focus import WAYS, Focus, FocusReader, move_scores
from tests.tiny import SHAPE, is_one_sentence, make_classifier, make_scorer

ENCODER = EncoderConfig(**SHAPE, final_norm=False)
WHOLE = torch.tensor([0.0, 0.0, 1.0, 1.0])


def tiny_scorer() -> Scorer:
    trunk = make_classifier(seed=3).requires_grad_(False)
    return Scorer("tiny", make_scorer(seed=4).requires_grad_(False), trunk, trunk)


@pytest.fixture(scope="module")
def batch(folder):
    """Two photos of different labels, with their segments."""
    paths = sorted(folder.rglob("*.png"))[1:5:3]
    reader = FocusReader([Item(path, path.parent.name) for path in paths], ["cat", "person"], 0,
                         load_segmenter("superpixels"))  # fmt: skip
    photos, labels, descriptors, owners = zip(*(reader[place] for place in range(2)), strict=True)
    assert labels == (0, 1) and descriptors[0].shape == (196, 16) and owners[0].shape == (196,)
    return torch.stack(photos), torch.tensor(labels), torch.stack(descriptors), torch.stack(owners)


def test_scores_move_as_the_picture_does():
    """Where the scores are a picture's own grey, the moved scores are the grey of the cut."""
    ramp = (torch.arange(224).float() + torch.arange(224).view(-1, 1) * 0.5).expand(3, 3, -1, -1) * 0.7
    boxes, flips = random_boxes(3, step_generator(1), 0.4), torch.tensor([False, True, False])

    def tokens(pictures):
        return pictures[:, 0].unflatten(1, (14, 16)).unflatten(3, (14, 16)).mean((2, 4)).flatten(1)

    cut = tokens(crop(ramp.round().byte(), boxes, flips) * 255)
    moved = move_scores(tokens(ramp), boxes.unsqueeze(1), flips)
    inner = [14 * y + x for y in range(1, 13) for x in range(1, 13)]  # at the border there is nothing to look at
    assert (moved - cut)[:, inner].abs().max() < 1
    slices = torch.stack([tokens(ramp), tokens(ramp) + 100], 1).flatten(1)
    twice = move_scores(slices, boxes.unsqueeze(1).expand(-1, 2, -1), flips)
    assert torch.allclose(twice[:, :196], moved, atol=1e-3) and torch.allclose(twice[:, 196:], moved + 100, atol=1e-3)
    assert torch.allclose(move_scores(slices, WHOLE.expand(3, 2, 4)), slices, atol=1e-3)
    glide = glide_boxes(3, step_generator(2)).unflatten(1, (8, 2)).mean(2)
    assert move_scores(tokens(ramp), glide).shape == (3, 8 * 196)


@pytest.mark.parametrize("kind", ["image", "clip"])
@pytest.mark.parametrize("how", WAYS)
def test_the_loss_can_be_learned(how, kind, batch):
    torch.manual_seed(0)
    focus = Focus(how, tiny_scorer())
    task = classifier.Task(TokenClassifier(ENCODER, ["a", "b"]), kind, steps=100, seed=0, budget=400, focus=focus)
    frozen = copy.deepcopy(focus._scorer.network.state_dict())
    optimizer = torch.optim.AdamW(task.parameters(), lr=3e-3)
    losses = []
    for _ in range(20 if kind == "image" else 8):
        loss, figures = task(0, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0] and figures["visible"] <= classifier.GRIDS[kind].tokens
    assert (figures["visible"] == classifier.GRIDS[kind].tokens) == (how != "select")
    # Only the gate trains the scorer, and only a copy of it.
    assert all(torch.equal(value, frozen[name]) for name, value in focus._scorer.network.state_dict().items())
    assert any(name.startswith("focus.") for name, _ in task.named_parameters()) == (how == "gate")


def test_the_gate_reaches_every_expert(batch):
    focus = Focus("gate", tiny_scorer())
    task = classifier.Task(make_classifier(labels=["a", "b"]).train(), "image", 100, seed=0, budget=400, focus=focus)
    task(0, batch)[0].backward()
    for name, parameter in focus.network.named_parameters():
        if not name.startswith("experts.motion"):  # photos do not move
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert all(parameter.grad is None for parameter in focus._scorer.photo_trunk.parameters())


def test_the_arguments_are_those_of_the_method():
    scores, draws, grid = torch.randn(2, 196, generator=step_generator(5)), step_generator(6), Grid(1, 14, 14)
    given = {how: Focus(how, tiny_scorer()).arguments(scores, 0.1, draws, grid) for how in WAYS}
    assert [list(each) for each in given.values()] == [["visible"], ["gate"], ["prompt"]]
    assert given["select"]["visible"].shape == (2, 19)
    assert torch.equal(given["gate"]["gate"], gate_factors(scores))
    assert torch.equal(given["prompt"]["prompt"], prompt_tokens(scores))


def test_select_sees_what_scores_high(batch):
    """A sure scorer leaves no choice: the tokens drawn are those of the highest scores."""
    focus = Focus("select", tiny_scorer())
    scores = 1e3 * torch.randn(2, 196, generator=step_generator(7))
    visible = focus.arguments(scores, 0.1, step_generator(8), Grid(1, 14, 14))["visible"]
    assert torch.equal(visible, scores.topk(19).indices.sort(1).values)


@pytest.mark.parametrize("how, figures", [("select", {"select_10", "select_25"}), ("gate", {"gate"})])
def test_training_from_end_to_end(how, figures, folder, tmp_path):
    found = classifier.train([folder], tmp_path, steps=2, batch=2, focus=how, config=ENCODER)
    assert set(found) == {"top1_10", "top1_25", "top1_100"} | figures and all(0 <= v <= 1 for v in found.values())
    assert load_model(tmp_path / "classifier-image.safetensors", "classifier").labels == ["cat", "person"]
    trained = tmp_path / "scorer-gate.safetensors"
    assert trained.exists() == (how == "gate")
    if how == "gate":  # a scorer as any other
        after, before = load_scorer(trained).network.state_dict(), load_scorer().network.state_dict()
        assert after.keys() == before.keys() and any(not torch.equal(after[key], before[key]) for key in after)


def test_a_step_may_keep_every_token(batch, monkeypatch):
    monkeypatch.setattr(classifier, "keep_count", lambda *_: 196)
    task = classifier.Task(make_classifier(labels=["a", "b"]), "image", steps=1, seed=0, budget=400)
    assert task(0, batch[:2])[1]["visible"] == 196


def test_another_focus_in_the_same_folder_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0)
    classifier.train([folder], tmp_path, steps=1, batch=2, config=ENCODER)
    with pytest.raises(SettingsError, match="another") as error:
        classifier.train([folder], tmp_path, steps=1, batch=2, focus="prompt", config=ENCODER)
    assert is_one_sentence(str(error.value))


@pytest.mark.parametrize("how, network", [("stare", None), ("gate", SegmentPrior())])
def test_what_is_no_focus(how, network):
    scorer = Scorer("prior", network) if network else tiny_scorer()
    with pytest.raises(SettingsError) as error:
        Focus(how, scorer)
    assert is_one_sentence(str(error.value))
