"""The study end to end on four clips of plain colours and a tiny network, unbroken and killed; and its figures."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from focusmae.__main__ import main
from focusmae.errors import SettingsError
from focusmae.evaluation import study as module
from focusmae.evaluation.folds import Clip, read_clips
from focusmae.evaluation.statistics import group_intervals, wilson
from focusmae.evaluation.study import StudyPlan, read_merge, study
from focusmae.evaluation.study_report import make_report, to_markdown
from focusmae.media import write_mp4
from focusmae.models.checkpoints import load_model, save_model
from focusmae.models.load import Scorer
from tests.tiny import is_one_sentence, make_classifier, make_scorer

ARMS = ("focus", "random", "all")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lung")
    for label, colour in (("dark", 30), ("light", 200)):
        (folder / label).mkdir()
        for number in range(2):
            frames = np.full((24, 64, 96 if (label, number) == ("dark", 1) else 64, 3), colour, np.uint8)
            frames[:, 8 * number : 8 * number + 20] += 40
            write_mp4(folder / label / f"{number}.mp4", frames, fps=5)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A plan that takes seconds."""
    start = tmp_path_factory.mktemp("start") / "classifier.safetensors"
    save_model(make_classifier(seed=1), start)
    return StudyPlan(steps=3, batch=2, folds=2, clips=1, start=str(start), segmenter="whole", rate=0.01)


@pytest.fixture(scope="module", autouse=True)
def scorer():
    with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        trunk, network = make_classifier(seed=3), make_scorer(seed=4)
        patch.setattr(module, "load_scorer", lambda _: Scorer("tiny", network, trunk, trunk))
        yield


@pytest.fixture(scope="module")
def done(data, tiny, tmp_path_factory):
    out, said = tmp_path_factory.mktemp("study"), []
    return study(data, out, tiny, said.append), out, said


def without_times(report: dict) -> dict:
    return {name: value for name, value in report.items() if name != "seconds_per_step"}


def test_every_clip_is_tested_once_by_every_arm(done, data):
    report, out, said = done
    assert report["inputs"]["tested"] == report["inputs"]["clips"] == 4 and report["inputs"]["groups"] == 4
    assert [fold["labels"] for fold in report["folds"]] == [{"dark": 1, "light": 1}] * 2
    for row in report["confusion"]:
        assert np.sum(row["rows"]) == pytest.approx(4) and np.sum(row["rows"], 1) == pytest.approx([2, 2])
    assert set(report["seconds_per_step"]) == set(ARMS) and all(s > 0 for s in report["seconds_per_step"].values())
    for arm in ARMS:
        files = [out / "runs" / f"seed0-fold{fold}-{arm}" / "answers-0.jsonl" for fold in range(2)]
        rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        assert {row["name"] for row in rows} == {clip.name for clip in read_clips(data, {})[0]} and len(rows) == 4
        for row in rows:
            own, every = np.array(row["own"]), np.array(row["all"])
            assert own.shape == every.shape == (3, 2) and np.allclose(own.sum(1), 1, atol=1e-4)
            assert np.array_equal(own, every) == (arm == "all")
    assert json.loads((out / "report.json").read_text()) == report
    assert not list(out.glob("views-*")) and not list(out.rglob("state.pt"))


def test_it_says_what_it_is_not_for(done):
    report, out, said = done
    text = (out / "report.md").read_text()
    assert text == to_markdown(report) == said[-1] and "not for diagnosis" in text and report["note"] in text
    assert text.count("| arm |") == 5 and "focus − random" in text and "seconds per training step" in text
    with safe_open(out / "runs" / "seed0-fold0-focus" / "classifier.safetensors", "pt") as file:
        assert "not for diagnosis" in file.metadata()["note"]
    model = load_model(out / "runs" / "seed0-fold0-focus" / "classifier.safetensors", "classifier")
    assert model.labels == ["dark", "light"]


@pytest.mark.parametrize("where", ["views", "answers"])
def test_a_killed_study_goes_on(where, done, data, tiny, tmp_path, monkeypatch, one_thread):
    calls = []
    place = (module.Views, "_write") if where == "views" else (module, "answer")
    whole = getattr(*place)

    def dies(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(*place, dies)
        study(data, tmp_path, tiny, lambda _: None)
    if where == "answers":
        with (tmp_path / "runs" / "seed0-fold0-focus" / "answers-0.jsonl").open("a") as file:
            file.write('{"name": "cut o')  # as a machine that lost its power leaves it
    count = []
    monkeypatch.setattr(*place, lambda *args: count.append(1) or whole(*args))
    again = study(data, tmp_path, tiny, lambda _: None)
    assert len(count) == (4 if where == "views" else 12) - 2
    assert without_times(again) == without_times(done[0])


def test_a_finished_study_only_reports(done, data, tiny, monkeypatch):
    monkeypatch.setattr(module, "answer", None)
    monkeypatch.setattr(module.Views, "make", None)
    assert study(data, done[1], tiny, lambda _: None) == done[0]


def test_another_study_in_the_same_folder_is_refused(done, data, tiny):
    with pytest.raises(SettingsError, match="other steps") as error:
        study(data, done[1], StudyPlan(**{**vars(tiny), "steps": 4}), lambda _: None)
    assert is_one_sentence(str(error.value))


@pytest.mark.parametrize(
    "wrong",
    [{"arms": ("focus", "focus")}, {"arms": ("tube",)}, {"steps": 0}, {"keep": 0.0}, {"keep": 1.5}, {"rate": 0.0},
     {"clips": 11}, {"crops": 2}, {"segmenter": "eyes"}, {"folds": 1}, {"folds": 3}],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(wrong, data, tiny, tmp_path):
    with pytest.raises(SettingsError) as error:
        study(data, tmp_path, StudyPlan(**{**vars(tiny), **wrong}))
    assert is_one_sentence(str(error.value)) and not (tmp_path / "runs").exists()


def test_merged_labels():
    assert read_merge("viral:pneumonia, a:b") == (("viral", "pneumonia"), ("a", "b")) and read_merge("-") == ()
    with pytest.raises(SettingsError) as error:
        read_merge("viral")
    assert is_one_sentence(str(error.value))


def test_from_the_command_line(done, data, tiny, capsys):
    settings = ["--steps", "3", "--batch", "2", "--folds", "2", "--clips", "1", "--rate", "0.01"]
    names = ["--start", tiny.start, "--segmenter", "whole"]
    assert main(["study", str(data), "--out", str(done[1]), *settings, *names]) == 0
    assert "not for diagnosis" in capsys.readouterr().out
    assert main(["study", str(data / "nowhere"), "--out", str(done[1])]) == 2
    assert is_one_sentence(capsys.readouterr().err.strip())


def made(right: dict[str, float]) -> dict:
    """A report on 90 clips of 45 groups, three labels, of which an arm gets a share right, and else says the next."""
    labels = ["a", "b", "c"]
    clips = [Clip(None, str(n), labels[n % 3], str(n // 2), str(n)) for n in range(90)]
    answers = {}
    for arm, share in right.items():
        for fold in range(2):
            answers[0, fold, arm] = []
            for n in range(fold, 90, 2):
                said = n % 3 if n < 90 * share else (n + 1) % 3
                views = [[0.8 if place == said else 0.1 for place in range(3)], [0.4, 0.3, 0.3]]
                answers[0, fold, arm].append({"name": str(n), "own": views, "all": views[:1]})
    settings = {"folds": 2, "seeds": 1, "clips": 1, "crops": 1, "steps": 1, "batch": 1, "keep": 0.1}
    seconds = dict.fromkeys(right, [1.0])
    return make_report(clips, [n % 2 for n in range(90)], labels, answers, settings, {}, seconds, [])


def test_known_answers():
    report = made({"focus": 0.8, "random": 0.6, "all": 0.8})
    found = {(r["arm"], r["tokens"], r["combine"], r["metric"]): r for r in report["results"]}
    for arm, share in (("focus", 0.8), ("random", 0.6)):
        for metric in ("accuracy", "balanced_accuracy", "macro_f1", "recall b"):
            row = found[arm, "all", "mean", metric]
            assert row["mean"] == pytest.approx(share) and row["low"] < share < row["high"]
    assert found["focus", "own", "any", "accuracy"]["n"] == 90  # Wilson's count clips, the bootstrap groups
    assert found["focus", "own", "any", "macro_f1"]["n"] == 45
    paired = {(r["arm"], r["against"], r["metric"]): r for r in report["paired"] if r["tokens"] == "own"}
    row = paired["focus", "random", "accuracy"]
    assert row["mean_difference"] == pytest.approx(0.2) and 0.08 < row["low"] < 0.2 < row["high"] < 0.4
    same = paired["focus", "all", "accuracy"]
    assert same["mean_difference"] == same["low"] == same["high"] == 0
    assert report["inputs"]["always_the_commonest_label"] == pytest.approx(1 / 3)
    json.dumps(report, allow_nan=False)


def test_seeds_are_averaged_before_clips_are_counted():
    clips = [Clip(None, str(n), "ab"[n % 2], str(n), str(n)) for n in range(4)]
    right, wrong = [[[0.9, 0.1], [0.1, 0.9]][n % 2] for n in range(4)], [[0.9, 0.1]] * 4
    answers = {
        (seed, 0, "focus"): [{"name": str(n), "own": [said[n]], "all": [said[n]]} for n in range(4)]
        for seed, said in enumerate((right, wrong))
    }
    settings = {"folds": 1, "seeds": 2, "clips": 1, "crops": 1, "steps": 1, "batch": 1, "keep": 0.1}
    report = make_report(clips, [0] * 4, ["a", "b"], answers, settings, {}, {"focus": [1.0]}, [])
    row = next(row for row in report["results"] if row["metric"] == "accuracy")
    assert row["mean"] == pytest.approx(0.75) and row["n"] == 4 and report["paired"] == []


def test_wilson():
    found = wilson(7, 10)  # as in the tables
    assert (found.mean, found.low, found.high) == pytest.approx((0.7, 0.3968, 0.8922), abs=1e-4)
    assert wilson(0, 5).low == 0 and wilson(5, 5).high == 1 and wilson(0, 5).high < 0.5


def test_the_bootstrap_over_groups_covers_the_truth():
    """Clips of a patient are alike; intervals over patients still hold the truth about as often as they say."""
    rng, held = np.random.default_rng(5), 0
    for _ in range(40):
        values = rng.normal(0.3, 1, 30).repeat(4).reshape(30, 4).mean(1)  # four clips each, all alike
        (found,) = group_intervals(lambda weights, v=values: (weights @ v / weights.sum(1))[:, None], 30)
        held += found.low <= 0.3 <= found.high
    assert held >= 34
