"""The teacher: it learns, comes back from its file as it was, and a classifier believes it more than the labels."""

import pytest
import torch

from focusmae.errors import SettingsError, WeightsError
from focusmae.models.checkpoints import save_model
from focusmae.models.classifier import TokenClassifier
from focusmae.models.encoder import EncoderConfig
from focusmae.training import classifier, loop, teacher
from focusmae.training.data import crop, read_photo
from tests.tiny import SHAPE, is_one_sentence, make_classifier

ENCODER = EncoderConfig(**SHAPE, final_norm=False)
WIDTHS = (8, 8, 16)
WHOLE = torch.tensor([[0.0, 0.0, 1.0, 1.0]])


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("teacher")
    figures = teacher.train([folder], out, steps=20, batch=4, widths=WIDTHS)
    return out / "teacher.safetensors", figures


def test_it_learns_a_handful_of_photos(folder, trained):
    path, figures = trained
    assert set(figures) == {"top1"} and 0 <= figures["top1"] <= 1
    found = teacher.load_teacher(path, ["cat", "person"])
    assert not found.training and not any(weight.requires_grad for weight in found.parameters())
    for label, name in enumerate(("cat", "person")):
        for photo in sorted((folder / name).glob("*.png"))[:2]:
            assert found(read_photo(photo)[None], WHOLE).argmax() == label


def test_it_sees_the_cut_and_not_the_rest(folder, trained):
    found = teacher.load_teacher(trained[0], ["cat", "person"])
    photo = read_photo(sorted(folder.rglob("*.png"))[0])[None]
    box, flip = torch.tensor([[0.25, 0.5, 0.75, 1.0]]), torch.tensor([True])
    cut = (crop(photo, box, flip) * 255).round().to(torch.uint8)
    torch.testing.assert_close(found(photo, box, flip), found(cut, WHOLE), rtol=0, atol=0.05)
    painted = photo.clone()
    painted[..., :100, :] = 0
    torch.testing.assert_close(found(painted, box), found(photo, box))
    assert not torch.allclose(found(painted, WHOLE), found(photo, WHOLE), atol=1e-3)


def test_other_files_and_other_labels_are_refused(trained, tmp_path):
    with pytest.raises(SettingsError) as caught:
        teacher.load_teacher(trained[0], ["cat", "dog"])
    assert is_one_sentence(str(caught.value))
    save_model(make_classifier(), tmp_path / "classifier.safetensors")
    with pytest.raises(WeightsError) as caught:
        teacher.load_teacher(tmp_path / "classifier.safetensors", ["cat", "person"])
    assert is_one_sentence(str(caught.value))


class Contrary(torch.nn.Module):
    """Says the other class of two for sure."""

    def __init__(self, labels: torch.Tensor):
        super().__init__()
        self.labels, self.boxes = labels, []

    def forward(self, photos, boxes, flips=None):
        self.boxes.append(boxes)
        return 20.0 * (torch.nn.functional.one_hot(1 - self.labels, 2) - 0.5)


@pytest.mark.parametrize("kind", ["image", "clip"])
def test_a_classifier_believes_its_teacher_more_than_the_labels(kind, folder):
    torch.manual_seed(0)
    labels = torch.tensor([0, 1])
    model, contrary = TokenClassifier(ENCODER, ["a", "b"]), Contrary(labels)
    task = classifier.Task(model, kind, steps=100, seed=0, budget=400, teacher=contrary)
    assert not any("teacher" in name for name, _ in task.named_parameters())
    photos = torch.stack([read_photo(path) for path in sorted(folder.rglob("*.png"))[1:5:3]])
    optimizer = torch.optim.AdamW(task.parameters(), lr=3e-3)
    for _ in range(20):
        loss, figures = task(0, (photos, labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert figures["top1"] == 0 and all(boxes.shape == (2, 4) for boxes in contrary.boxes)


def test_the_command_takes_a_teacher(folder, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0)
    run = {"steps": 2, "batch": 2, "config": ENCODER}
    classifier.train([folder], tmp_path / "a", teacher=trained[0], **run)
    with pytest.raises(SettingsError, match="teacher"):  # a run goes on with its own teacher alone
        classifier.train([folder], tmp_path / "a", **run)
