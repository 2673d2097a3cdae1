"""Weights files: what is written is what is read, and everything else is refused in one sentence."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from focusmae.errors import WeightsError
from focusmae.models.checkpoints import load_model, parameters, save_model, transfer_encoder
from tests.tiny import (
    is_one_sentence,
    make_autoencoder,
    make_classifier,
    make_scorer,
    random_pixels,
    random_visible,
)

MODELS = {
    "autoencoder": make_autoencoder,
    "classifier": make_classifier,
    "scorer": lambda: make_scorer(reads="embeddings"),
}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "deep" / "model.safetensors"
    save_model(make_classifier(), path, data="some photos", steps="7")
    return path


def refused(path, kind: str = "classifier") -> str:
    with pytest.raises(WeightsError) as error:
        load_model(path, kind)
    text = str(error.value)
    assert is_one_sentence(text) and path.name in text and str(path.parent) not in text
    return text


@pytest.mark.parametrize("kind", MODELS)
def test_round_trip(kind, tmp_path):
    model, path = MODELS[kind](), tmp_path / "model.safetensors"
    save_model(model, path)
    again = load_model(path, kind)
    assert type(again) is type(model) and again.config == model.config and not again.training
    before, after = model.state_dict(), again.state_dict()
    assert list(before) == list(after)
    for name, value in after.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, before[name], rtol=2**-11, atol=1e-7)
        assert torch.equal(value, before[name].half().float())
    assert not any(p.requires_grad for p in again.parameters()) and parameters(again) == parameters(model)


def test_the_same_answers_after_a_round_trip(tmp_path):
    model, path = make_autoencoder(), tmp_path / "model.safetensors"
    save_model(model, path)
    pixels, visible = random_pixels(1, 1), random_visible(1, 16, 4)
    with torch.inference_mode():
        before, after = model.reconstruct(pixels, visible), load_model(path, "autoencoder").reconstruct(pixels, visible)
    torch.testing.assert_close(after, before, rtol=0, atol=0.01)


def test_labels_and_metadata_travel_along(saved):
    assert load_model(saved, "classifier").labels == ["cat", "dog", "owl"]
    with safe_open(saved, framework="pt") as file:
        about = file.metadata()
    assert about["data"] == "some photos" and about["steps"] == "7" and about["kind"] == "classifier"
    assert list(saved.parent.iterdir()) == [saved]


def test_missing(tmp_path):
    assert "assets/weights" in refused(tmp_path / "nothing.safetensors")


def test_a_folder(tmp_path):
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    refused(folder)


@pytest.mark.parametrize("content", [b"", b"certainly no weights", bytes(1000), b"\xff" * 4096])
def test_damaged(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert "damaged" in refused(path)


@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
def test_truncated(saved, share):
    saved.write_bytes(saved.read_bytes()[: int(saved.stat().st_size * share)])
    assert "damaged" in refused(saved)


def test_another_kind(saved):
    text = refused(saved, "scorer")
    assert "classifier" in text and "scorer" in text


def rewrite(path, tensors=None, **metadata):
    """Replace tensors or metadata of a weights file; None removes an entry of the metadata."""
    with safe_open(path, framework="pt") as file:
        about = {**file.metadata(), **metadata}
    tensors = load_file(path) if tensors is None else tensors
    save_file(tensors, path, metadata={k: v for k, v in about.items() if v is not None})


def test_a_surplus_a_missing_and_a_misshapen_tensor(saved):
    tensors = load_file(saved)
    rewrite(saved, {**tensors, "surplus": torch.zeros(3)})
    assert "does not fit" in refused(saved)
    rewrite(saved, {k: v for k, v in tensors.items() if k != "head.bias"})
    assert "does not fit" in refused(saved)
    rewrite(saved, {**tensors, "head.bias": torch.zeros(4)})
    assert "does not fit" in refused(saved)
    rewrite(saved, tensors)
    load_model(saved, "classifier")


@pytest.mark.parametrize("config", [None, "no JSON", "[]", '{"width": 24}', '{"labels": ["a"], "wings": 2}'])
def test_a_description_that_describes_nothing(saved, config):
    rewrite(saved, config=config)
    refused(saved)


def test_a_file_without_metadata(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    refused(path)


def test_a_wrong_size_in_the_description(saved):
    with safe_open(saved, framework="pt") as file:
        config = json.loads(file.metadata()["config"])
    rewrite(saved, config=json.dumps({**config, "width": 48}))
    assert "does not fit" in refused(saved)


def test_transfer_of_the_encoder():
    source, target = make_autoencoder(seed=1), make_classifier(seed=2)
    head = target.head.weight.clone()
    transfer_encoder(source, target)
    own = target.encoder.state_dict()
    for name, value in source.encoder.state_dict().items():
        if not name.startswith("norm."):
            assert torch.equal(own[name], value), name
    assert torch.equal(target.head.weight, head)


def test_transfer_between_different_shapes():
    with pytest.raises(WeightsError) as error:
        transfer_encoder(make_autoencoder("mae"), make_classifier("ours"))
    assert is_one_sentence(str(error.value))
