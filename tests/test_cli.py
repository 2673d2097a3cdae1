"""The command line: one JSON object or a short table on stdout; for bad input one line on stderr and status 2."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from focusmae.__main__ import main
from focusmae.models.checkpoints import load_model
from focusmae.training.data import read_items

ROOT = Path(__file__).resolve().parent.parent


def run(capsys, *arguments) -> tuple[int, str, str]:
    status = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def refused(capsys, *arguments) -> str:
    """The one line with which bad input is answered."""
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.endswith("\n") and err.count("\n") == 1 and len(err) < 400 and "Traceback" not in err
    return err.strip()


def test_json_is_one_object_and_nothing_else(capsys, photo_file):
    status, out, err = run(
        capsys, "compare", photo_file, "--json", "--keep", "0.1", "--seed", 3, "--strategies", "select"
    )
    assert (status, err) == (0, "") and out.count("\n") == 1
    result = json.loads(out)
    assert result["settings"]["keep"] == 0.1 and result["settings"]["seed"] == 3
    assert list(result["strategies"]) == ["select"] and len(result["strategies"]["select"]["visible"]) == 19


def test_all_options_reach_the_comparison(capsys, photo_file, tmp_path):
    options = {
        "keep": 0.2, "seed": 7, "seeds": 2, "strategies": "random, lattice", "models": "embedded",
        "segmenter": "superpixels", "text": "a face", "clips": 2, "crops": 3, "seconds": 1.5, "focus": "2:+3.5",
        "autoencoder": "embedded", "classifier": "embedded-image", "out": tmp_path / "out",
    }  # fmt: skip
    status, out, _ = run(
        capsys, "compare", photo_file, "--json", *(x for k, v in options.items() for x in (f"--{k}", v))
    )
    result = json.loads(out)
    expected = {**options, "strategies": ["random", "lattice"], "focus": [[2, 3.5]]}
    expected |= {"start": None, "checkpoint": None, "clicks": []}
    del expected["out"]
    assert status == 0 and result["settings"] == expected and result["paired"]
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == result


def test_the_table(capsys, photo_file, tmp_path):
    status, out, err = run(capsys, "compare", photo_file, "--out", tmp_path, "--seeds", 2)
    assert (status, err) == (0, "")
    assert "196 tokens" in out and "random: 49 visible" in out and "select: 49 visible" in out
    assert "paired heldout_mse" in out and "14 files in" in out and len(list(tmp_path.iterdir())) == 14


def test_a_clip(capsys, clip_file):
    status, out, err = run(capsys, "compare", clip_file, "--keep", "0.1", "--strategies", "tube", "--json")
    result = json.loads(out)
    assert (status, err) == (0, "") and result["input"]["kind"] == "clip"
    assert len(result["strategies"]["tube"]["visible"]) == 156


@pytest.mark.parametrize(
    "options, said",
    [
        (("--keep", "0"), "0.0"),
        (("--keep", "1.5"), "1.5"),
        (("--keep", "half"), "--keep"),
        (("--keep", "nan"), "nan"),
        (("--seed", "-1"), "seed"),
        (("--seed", "1.5"), "--seed"),
        (("--seeds", "0"), "seeds"),
        (("--strategies", "random,best"), "best"),
        (("--strategies", ","), "strategy"),
        (("--models", "huge"), "huge"),
        (("--segmenter", "sam-vit-base"), "sam-vit-base"),
        (("--clips", "99"), "clips"),
        (("--crops", "2"), "crops"),
        (("--kep", "0.5"), "--kep"),
        (("another.jpg",), "another.jpg"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_options(options, said, capsys, photo_file):
    assert said in refused(capsys, "compare", photo_file, "--json", *options)


def test_bad_files(capsys, tmp_path, photo_file):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "half.png").write_bytes(photo_file.read_bytes()[:5000])
    for name in ("missing.jpg", "empty.jpg", "text.jpg", "half.png"):
        line = refused(capsys, "compare", tmp_path / name)
        assert name in line and line.endswith(".")
    assert refused(capsys, "compare", tmp_path).endswith(".")
    (tmp_path / "taken").write_text("a file")
    assert "taken" in refused(capsys, "compare", photo_file, "--out", tmp_path / "taken")


@pytest.mark.parametrize(
    "arguments", [("compare",), ("explain",), ("train", "painter"), ("--verbose",), ("train", "scorer")]
)
def test_bad_commands(arguments, capsys):
    assert refused(capsys, *arguments)


@pytest.mark.parametrize("trainer", ["autoencoder", "classifier", "scorer"])
def test_training_on_a_folder_that_is_not_there(trainer, capsys, tmp_path):
    line = refused(capsys, "train", trainer, "--data", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert "nowhere" in line and line.endswith(".") and not (tmp_path / "out").exists()


def test_training_from_the_command_line(capsys, photo_file, tmp_path):
    """One step of the real size: what ships was made by this command."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.png").write_bytes(photo_file.read_bytes())
    for part in ("train", "val"):
        (data / f"{part}.txt").write_text("a.png\tperson\n")
    assert len(read_items([data], "train")) == 1
    options = ("--steps", 1, "--batch", 1, "--rate", 0.001, "--seed", 2)
    status, out, _ = run(capsys, "train", "autoencoder", "--data", data, "--out", tmp_path / "run", *options)
    assert status == 0 and "held out: photo_mse" in out and "1/1" in out
    model = load_model(tmp_path / "run" / "autoencoder.safetensors", "autoencoder")
    assert model.config.fill == "harmonic" and model.grid(16) == (8, 14, 14)


@pytest.mark.parametrize(
    "arguments", [("--help",), ("compare", "--help"), ("train", "--help"), ("train", "scorer", "--help")]
)
def test_help(arguments, capsys):
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "") and "Usage" in out and len(out.splitlines()) > 5


def test_as_a_process_of_its_own(photo_file):
    def focusmae(*arguments):
        command = [sys.executable, "-m", "focusmae", "compare", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)

    good = focusmae(photo_file, "--json")
    assert (good.returncode, good.stderr) == (0, "") and json.loads(good.stdout)["input"]["name"]
    bad = focusmae("--json")
    assert (bad.returncode, bad.stdout) == (2, "") and bad.stderr.count("\n") == 1 and "path" in bad.stderr.lower()
