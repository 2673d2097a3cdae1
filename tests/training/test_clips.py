"""Arms that differ in nothing but the tokens of a step: order, windows, draws, and what they learn."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from focusmae.models.checkpoints import save_model
from focusmae.models.classifier import TokenClassifier
from focusmae.models.encoder import EncoderConfig
from focusmae.training.clips import ARMS, EqualShares, Task, Windows, begin, cut, tokens
from focusmae.training.data import crop, read_ahead, step_generator
from tests.tiny import SHAPE, make_autoencoder, make_classifier

ENCODER = EncoderConfig(**SHAPE, final_norm=False)
LABELS = [0] * 7 + [1] * 2 + [2]


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    for number in range(2):
        views = torch.full((3, 16, 3, 224, 224), 60 + 120 * number, dtype=torch.uint8)
        views += torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1, 1)
        save_file({"views": views, "scores": 9 * torch.randn(3, 1568, generator=step_generator(number))},
                  folder / f"{number}.safetensors")  # fmt: skip
    return [folder / f"{number}.safetensors" for number in range(2)]


def test_every_label_comes_equally_often():
    steps = list(EqualShares(LABELS, 6, 0, 7, seed=1))
    drawn = [number for batch in steps for number, _ in batch]
    assert all(sorted(LABELS[number] for number, _ in batch) == [0, 0, 1, 1, 2, 2] for batch in steps)
    common = [number for number in drawn if LABELS[number] == 0]
    assert sorted(common[:7]) == list(range(7)) and sorted(common[7:14]) == list(range(7)) != common[7:14]
    assert [place for batch in steps for _, place in batch] == list(range(42))
    assert list(EqualShares(LABELS, 6, 3, 7, seed=1)) == steps[3:]  # resumed
    assert list(EqualShares(LABELS, 6, 0, 7, seed=2)) != steps
    halves = [list(EqualShares(LABELS, 3, 0, 7, seed=1, rank=rank, world=2)) for rank in range(2)]
    assert [a + b for a, b in zip(*halves, strict=True)] == steps  # on two devices the same clips


def test_windows_come_with_their_scores(stores):
    windows = Windows(stores, [1, 0], seed=3)
    seen = set()
    for place in range(12):
        views, label, scores = windows[place % 2, place]
        again = windows[place % 2, place]
        assert torch.equal(again[0], views) and views.shape == (16, 3, 224, 224) and label == 1 - place % 2
        number = int(views[0, 0, 0, 0]) - 60 - 120 * (place % 2)
        seen.add(number)
        assert torch.equal(scores, 9 * torch.randn(3, 1568, generator=step_generator(place % 2))[number])
    assert seen == {0, 1, 2}
    batch = next(read_ahead(windows, EqualShares([1, 0], 2, 0, 1, seed=0)))
    assert batch[0].shape == (2, 16, 3, 224, 224) and batch[2].shape == (2, 1568)


def test_cuts_are_those_of_photos():
    """By another way the same pixels as ``data.crop``."""
    rough = torch.rand(2, 2, 3, 28, 28, generator=step_generator(4)).flatten(0, 1)
    windows = (F.interpolate(rough, (224, 224), mode="bilinear") * 255).byte().unflatten(0, (2, 2))
    boxes, flips = torch.tensor([[8.0, 20, 216, 200], [0, 0, 224, 224]]) / 224, torch.tensor([True, False])
    found = cut(windows, boxes, flips)
    expected = crop(windows.flatten(0, 1), boxes.repeat_interleave(2, 0), flips.repeat_interleave(2))
    different = (found - expected.unflatten(0, (2, 2)).transpose(1, 2)).abs()
    assert different[..., 2:-2, 2:-2].max() < 0.01  # at its border a cut knows nothing of what lies outside


def test_what_an_arm_sees():
    scores = torch.randn(2, 1568, generator=step_generator(1))
    seen = {arm: tokens(arm, scores, 0.1, step_generator(2)) for arm in ARMS}
    assert seen["all"] is None and seen["focus"].shape == seen["random"].shape == (2, 156)
    assert torch.equal(tokens("focus", 0 * scores, 0.1, step_generator(2)), seen["random"])  # the same noise
    mean = {arm: scores.gather(1, seen[arm]).mean() for arm in ("focus", "random")}
    assert mean["focus"] > mean["random"] + 0.5


@pytest.mark.parametrize("arm", ARMS)
def test_the_loss_can_be_learned(arm, stores):
    windows = Windows(stores, [0, 1], seed=0)
    batch = next(read_ahead(windows, EqualShares([0, 1], 2, 0, 1, seed=0)))
    torch.manual_seed(0)
    task = Task(TokenClassifier(ENCODER, ["a", "b"]), arm, 0.1, seed=0)
    optimizer, losses = torch.optim.AdamW(task.parameters(), lr=3e-3), []
    for _ in range(8 if arm != "all" else 3):  # ten times dearer
        loss, _ = task(0, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < (0.8 if arm != "all" else 0.95) * losses[0]


@pytest.mark.parametrize("make", [make_autoencoder, make_classifier])
def test_all_begin_from_the_same_encoder(make, tmp_path):
    path = tmp_path / "start.safetensors"
    source = make()
    save_model(source, path)
    one, two = begin(str(path), ["x", "y", "z"], 5), begin(str(path), ["x", "y", "z"], 5)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    mine, theirs = one.encoder.state_dict(), source.half().float().encoder.state_dict()
    assert all(torch.equal(value, mine[name]) for name, value in theirs.items() if not name.startswith("norm."))
    assert one.labels == ["x", "y", "z"] and one.training
