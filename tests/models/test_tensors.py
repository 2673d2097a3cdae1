"""Files of weights: read without running them, refused in one sentence when they are broken or hold more."""

import argparse
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from focusmae.errors import WeightsError
from focusmae.models.tensors import read_tensors
from tests.tiny import is_one_sentence

TENSORS = {"a.weight": torch.rand(40, 50), "a.bias": torch.rand(40)}


def refused(path) -> str:
    with pytest.raises(WeightsError) as error:
        read_tensors(path)
    text = str(error.value)
    assert is_one_sentence(text) and path.name in text and str(path.parent) not in text
    return text


def holds(path) -> bool:
    found = read_tensors(path).values
    return found.keys() == TENSORS.keys() and all(torch.equal(found[key], TENSORS[key]) for key in TENSORS)


@pytest.mark.parametrize("nest", [lambda t: t, lambda t: {"model": t}, lambda t: {"state_dict": t, "epoch": 3},
                                  lambda t: {"module": t}, lambda t: {"model": {"module": t}}])  # fmt: skip
@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.bin"])
@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files(tmp_path, nest, name, zipped):
    torch.save(nest(TENSORS), tmp_path / name, _use_new_zipfile_serialization=zipped)
    assert holds(tmp_path / name)


def test_safetensors_and_their_metadata(tmp_path):
    save_file(TENSORS, tmp_path / "a.safetensors", metadata={"kind": "x"})
    assert holds(tmp_path / "a.safetensors") and read_tensors(tmp_path / "a.safetensors").metadata == {"kind": "x"}


def test_the_training_command_travels_along(tmp_path):
    torch.save({"model": TENSORS, "args": argparse.Namespace(model="vit", lr=0.1)}, tmp_path / "a.pth")
    assert read_tensors(tmp_path / "a.pth").arguments == {"model": "vit", "lr": 0.1}
    torch.save({"model": TENSORS, "args": {"model": "vit"}}, tmp_path / "a.pth")
    assert read_tensors(tmp_path / "a.pth").arguments == {}


class Evil:
    """Leaves a trace if anybody unpickles it."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_not_run(tmp_path, zipped):
    trace, path = tmp_path / "trace", tmp_path / "evil.pth"
    torch.save({"model": TENSORS, "x": Evil(trace)}, path, _use_new_zipfile_serialization=zipped)
    assert "more than weights" in refused(path) and not trace.exists()
    path.write_bytes(pickle.dumps(Evil(trace)))
    refused(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())
    assert trace.exists()  # it would have


def test_a_whole_module_is_no_table_of_weights(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    assert "more than weights" in refused(tmp_path / "module.pth")


@pytest.mark.parametrize("content", [[1, 2], {}, {"model": {}}, {"model": {"a": 1}}, {"epoch": 3}, "text", None])
def test_files_without_weights(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    assert "no table of weights" in refused(tmp_path / "a.pth")


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
def test_truncated(tmp_path, zipped, share):
    path = tmp_path / "a.pth"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "damaged" in refused(path)


@pytest.mark.parametrize("name", ["a.pth", "a.bin", "a.safetensors", "a"])
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + bytes(99), b"\x80\x02}q\x00.", b"\xff" * 5000])
def test_anything_else(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name)


def test_missing(tmp_path):
    for name in ("a.pth", "a.safetensors"):
        assert "no weights file" in refused(tmp_path / name)
