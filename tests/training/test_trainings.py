"""The three trainings end to end on a handful of pictures and tiny networks, unbroken and resumed."""

import contextlib
import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
import torch

from focusmae.errors import SettingsError
from focusmae.media import write_png
from focusmae.models.checkpoints import load_model, save_model
from focusmae.models.encoder import EncoderConfig
from focusmae.training import autoencoder, classifier, loop, scorer
from focusmae.training.data import read_photo
from focusmae.training.worth import load_rows
from tests.tiny import SHAPE, autoencoder_config, is_one_sentence, make_autoencoder, make_classifier, randomise

ENCODER = EncoderConfig(**SHAPE, final_norm=False)


def weights(out, name: str, kind: str) -> dict[str, torch.Tensor]:
    return load_model(out / f"{name}.safetensors", kind).state_dict()


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def in_two_goes(monkeypatch, train, step: int):
    """Run ``train``, kill it just after the checkpoint of ``step``, and run it again."""
    save = loop._save

    def save_and_die(*args):
        save(*args)
        if args[-1] == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "_save", save_and_die)
        train()
    return train()


@pytest.fixture(autouse=True)
def always_write(monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(loop, "REPORT_SECONDS", 0)


def test_autoencoder(folder, tmp_path, monkeypatch, one_thread, capsys):
    def train(out):
        # Twelve steps hold photos, photos that pan and zoom (the fifth step), and the real clip (the tenth).
        return autoencoder.train([folder], out, steps=12, batch=2, rate=3e-3, config=autoencoder_config())

    figures = train(tmp_path / "whole")
    kinds = {"photo", "clip"}
    assert set(figures) == {f"{k}_{name}" for k in kinds for name in ("mse", "to_mean_fill", "to_harmonic_fill")}
    assert all(0 < value < 10 for value in figures.values())
    assert "4 photos, 1 clips" in capsys.readouterr().out
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if "clip" in row] == [5, 10] and sum("photo" in row for row in log) == 10

    assert in_two_goes(monkeypatch, lambda: train(tmp_path / "broken"), 7) == figures
    before, after = (weights(tmp_path / name, "autoencoder", "autoencoder") for name in ("whole", "broken"))
    assert equal(before, after)
    torch.manual_seed(0)
    untrained = autoencoder.MaskedAutoencoder(autoencoder_config()).state_dict()
    assert all(not torch.equal(before[key], untrained[key]) for key in before)


def test_autoencoder_begins_from_other_weights(folder, tmp_path):
    begin = tmp_path / "autoencoder.safetensors"
    save_model(make_autoencoder(), begin)
    autoencoder.train([folder], tmp_path / "a", steps=1, batch=2, rate=0.0, start=begin)
    found = weights(tmp_path / "a", "autoencoder", "autoencoder")
    assert equal(found, load_model(begin, "autoencoder").state_dict())


def test_a_retouch_is_added_to_older_weights_and_can_be_trained_alone(folder, tmp_path):
    begin, plain = tmp_path / "autoencoder.safetensors", dataclasses.replace(autoencoder_config(), retouch=())
    save_model(randomise(autoencoder.MaskedAutoencoder(plain)), begin)
    config, old = autoencoder_config(), load_model(begin, "autoencoder").state_dict()
    autoencoder.train([folder], tmp_path / "a", steps=2, batch=2, start=begin, only_retouch=True, config=config)
    found = weights(tmp_path / "a", "autoencoder", "autoencoder")
    assert equal({key: found[key] for key in old}, old)
    added = {key: value for key, value in found.items() if key not in old}
    assert set(added) == {key for key in make_autoencoder().state_dict() if key.startswith("retouch.")}
    assert added["retouch.paint.weight"].any()


def test_only_a_retouch_that_there_is_can_be_trained_alone(folder, tmp_path):
    begin = tmp_path / "autoencoder.safetensors"
    save_model(make_autoencoder("videomae"), begin)
    with pytest.raises(SettingsError, match="no retouch to train"):
        autoencoder.train([folder], tmp_path / "a", steps=1, batch=2, start=begin, only_retouch=True)


def learn(task: torch.nn.Module, batch, steps: int, step: int = 0) -> tuple[float, float]:
    """The loss before and after ``steps`` steps on one batch, always with the draws of the same ``step``."""
    optimizer, losses = torch.optim.AdamW(task.parameters(), lr=3e-3), []
    for _ in range(steps):
        loss = task(step, batch)[0]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


def two_photos(folder) -> torch.Tensor:
    return torch.stack([read_photo(path) for path in sorted(folder.rglob("*.png"))[1:5:3]])


@pytest.mark.parametrize("kind, step", [("ours", 0), ("ours", 4), ("videomae", 0)])
def test_the_autoencoders_loss_can_be_learned(kind, step, folder):
    torch.manual_seed(0)
    task = autoencoder.Task(autoencoder.MaskedAutoencoder(autoencoder_config(kind)), seed=0)
    before, after = learn(task, autoencoder.Batch(two_photos(folder), None), 20, step)
    assert after < 0.9 * before


@pytest.mark.parametrize("kind", ["image", "clip"])
def test_the_classifiers_loss_can_be_learned(kind, folder):
    torch.manual_seed(0)
    task = classifier.Task(classifier.TokenClassifier(ENCODER, ["a", "b"]), kind, steps=100, seed=0, budget=400)
    batch = two_photos(folder), torch.tensor([0, 1])
    before, after = learn(task, batch, 20)
    assert before == pytest.approx(0.69, abs=0.1) and after < 0.45 and task(0, batch)[1]["top1"] == 1


@pytest.mark.parametrize("kind, steps, killed", [("image", 8, 5), ("clip", 4, 2)])
def test_classifier(kind, steps, killed, folder, tmp_path, monkeypatch, one_thread, capsys):
    def train(out):
        return classifier.train([folder], out, kind, steps=steps, batch=2, config=ENCODER)

    figures = train(tmp_path / "whole")
    assert set(figures) == {"top1_10", "top1_25", "top1_100"} and all(0 <= v <= 1 for v in figures.values())
    assert "4 photos, 2 classes" in capsys.readouterr().out
    assert in_two_goes(monkeypatch, lambda: train(tmp_path / "broken"), killed) == figures
    name = f"classifier-{kind}"
    before, after = (weights(tmp_path / out, name, "classifier") for out in ("whole", "broken"))
    assert equal(before, after)
    assert load_model(tmp_path / "whole" / f"{name}.safetensors", "classifier").labels == ["cat", "person"]


def test_classifier_begins_from_other_weights(folder, tmp_path):
    """With a rate of zero nothing moves: what comes out is what the run began from."""
    begin, other = tmp_path / "autoencoder.safetensors", tmp_path / "classifier-image.safetensors"
    save_model(make_autoencoder(), begin)
    source = load_model(begin, "autoencoder").encoder.state_dict()
    run = {"steps": 1, "batch": 2, "rate": 0.0}
    classifier.train([folder], tmp_path / "a", start=begin, config=ENCODER, **run)
    found = weights(tmp_path / "a", "classifier-image", "classifier")
    for name, value in source.items():
        if not name.startswith("norm."):
            assert torch.equal(found[f"encoder.{name}"], value), name

    save_model(make_classifier(labels=["cat", "person"]), other)
    classifier.train([folder], tmp_path / "b", start=other, config=EncoderConfig(**SHAPE), **run)
    found = weights(tmp_path / "b", "classifier-image", "classifier")
    assert equal(found, load_model(other, "classifier").state_dict())


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for seed, kind in enumerate(("image", "clip")):
        save_model(make_classifier(labels=["cat", "person"], seed=seed), folder / f"classifier-{kind}.safetensors")
    return folder / "classifier-image.safetensors", folder / "classifier-clip.safetensors"


SCORER = {"photos": 3, "clip_every": 2, "batch": 4}


@pytest.fixture(scope="module")
def collected(folder, classifiers, tmp_path_factory):
    """What a first run has collected for the scorers, attributions being the slow part."""
    out, said = tmp_path_factory.mktemp("scorer"), io.StringIO()
    with contextlib.redirect_stdout(said):
        scorer.train([folder], out, *classifiers, steps=1, **SCORER)
    assert "3 photos, 2 clips" in said.getvalue() and "collected 3 of 3" in said.getvalue()
    return next(out.glob("collected-*"))


@pytest.mark.parametrize("reads, name", [("features", "scorer"), ("embeddings", "scorer-shallow")])
def test_scorer(reads, name, folder, classifiers, collected, tmp_path, monkeypatch, one_thread, capsys):
    def train(out):
        return scorer.train([folder], out, *classifiers, reads=reads, steps=8, **SCORER)

    for out in ("whole", "broken"):
        shutil.copytree(collected, tmp_path / out / collected.name)
    figures = train(tmp_path / "whole")
    judged = {f"{arm}_{what}" for arm in ("random", "prior", "select") for what in ("top1", "p_true")}
    assert set(figures) == {"worth_correlation", "temperature", *judged}
    assert -1 <= figures["worth_correlation"] <= 1 and all(0 <= figures[key] <= 1 for key in judged)
    assert figures["temperature"] in torch.tensor(scorer.TEMPERATURES).tolist()
    log = [json.loads(line) for line in (tmp_path / "whole" / name / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if "clip_error" in row] == [6] and sum("photo_error" in row for row in log) == 7

    assert in_two_goes(monkeypatch, lambda: train(tmp_path / "broken"), 3) == figures
    before, after = (weights(tmp_path / out, name, "scorer") for out in ("whole", "broken"))
    assert equal(before, after)
    model = load_model(tmp_path / "whole" / f"{name}.safetensors", "scorer")
    assert model.config.reads == reads and float(model.temperature) == pytest.approx(figures["temperature"], rel=1e-3)
    assert "collected" not in capsys.readouterr().out  # everything was there already


def test_scorer_learns_from_maps_that_people_drew_too(folder, classifiers, tmp_path, capsys):
    maps = tmp_path / "maps"
    for name in ("images", "masks"):
        (maps / name).mkdir(parents=True)
    for number, source in enumerate(sorted((folder / "cat").glob("*.png"))):
        shutil.copy(source, maps / "images" / f"{number}.png")
        drawn = np.repeat(np.arange(2, dtype=np.uint8), 130)[None].repeat(240, 0)
        write_png(maps / "masks" / f"{number}.png", np.ascontiguousarray(drawn))
    scorer.train([folder], tmp_path / "out", *classifiers, by="activation", steps=1, maps=(maps,), **SCORER)
    stores = list((tmp_path / "out").glob("collected-*"))
    assert "6 photos, 4 clips" in capsys.readouterr().out  # 3 photos and 2 clips of them; of the maps as many
    rows = load_rows(sorted(next((tmp_path / "out").glob("collected-*/maps")).glob("*.safetensors")), "photo")
    assert set(rows["owners"].unique().tolist()) == {0, 1}
    # The same folders as --data are other rows: two stores.
    scorer.train([folder, maps], tmp_path / "out", *classifiers, steps=1, **SCORER)
    assert set(stores) < set((tmp_path / "out").glob("collected-*"))


@pytest.mark.parametrize("by", ["activation", "policy", "adamae"])
def test_scorer_from_its_own_draws(by, folder, classifiers, collected, tmp_path):
    shutil.copytree(collected, tmp_path / collected.name)
    first = scorer.train([folder], tmp_path, *classifiers, steps=2, **SCORER)
    start = tmp_path / "scorer.safetensors"
    figures = scorer.train([folder], tmp_path, *classifiers, by=by, start=start, steps=2, **SCORER)
    assert set(figures) == set(first)
    before, after = (load_model(tmp_path / f"{name}.safetensors", "scorer") for name in ("scorer", f"scorer-{by}"))
    differ = [key for key, value in after.state_dict().items() if not torch.equal(value, before.state_dict()[key])]
    assert any("experts" in key for key in differ)
    with pytest.raises(SettingsError) as error:
        scorer.train([folder], tmp_path, *classifiers, by=by, reads="embeddings", start=start, steps=2, **SCORER)
    assert is_one_sentence(str(error.value))


@pytest.mark.parametrize(
    "train, arguments",
    [
        (autoencoder.train, {}),
        (classifier.train, {}),
        (classifier.train, {"kind": "sound"}),
        (scorer.train, {"reads": "minds"}),
        (scorer.train, {"by": "luck"}),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_sentence(train, arguments, tmp_path):
    with pytest.raises(SettingsError) as error:
        train([tmp_path / "nowhere"], tmp_path / "out", **arguments)
    assert is_one_sentence(str(error.value)) and not (tmp_path / "out").exists()


def test_photos_without_labels_and_clips_without_photos(folder, tmp_path):
    (tmp_path / "flat").mkdir()
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        (tmp_path / "flat" / f"{number}.png").write_bytes(path.read_bytes())
    with pytest.raises(SettingsError) as error:
        classifier.train([tmp_path / "flat"], tmp_path / "out", config=ENCODER)
    assert is_one_sentence(str(error.value)) and "label" in str(error.value)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "glide.mp4").write_bytes((folder / "cat" / "glide.mp4").read_bytes())
    with pytest.raises(SettingsError) as error:
        autoencoder.train([tmp_path / "clips"], tmp_path / "out", config=autoencoder_config())
    assert is_one_sentence(str(error.value)) and "photos" in str(error.value)


def test_collected_rows_are_told_apart_by_what_they_depend_on():
    models = [classifier.TokenClassifier(ENCODER, ["a", "b"]) for _ in range(3)]
    names = {
        scorer._fingerprint((models[0], models[1]), "data", 64, 10, 0),
        scorer._fingerprint((models[0], models[2]), "data", 64, 10, 0),
        scorer._fingerprint((models[0], models[1]), "other", 64, 10, 0),
        scorer._fingerprint((models[0], models[1]), "data", 65, 10, 0),
    }
    assert len(names) == 4
    assert scorer._fingerprint((models[0], models[1]), "data", 64, 10, 0) in names
