"""The whole evaluation in a world where the answer is known: what must come out, comes out, and nothing else does."""

import dataclasses
import json

import pytest

from focusmae.evaluation import run as running
from focusmae.evaluation.inputs import gather, survey
from focusmae.evaluation.measure import measure
from focusmae.evaluation.plan import Plan
from focusmae.evaluation.run import Runner, evaluate
from tests.evaluation.fakes import chance_to_see, networks, write_world


def value(report, keep, strategy, metric):
    found = [
        line["mean"]
        for line in report["results"]
        if (line["keep"], line["strategy"], line["metric"]) == (keep, strategy, metric)
    ]
    assert len(found) == 1, (keep, strategy, metric)
    return found[0]


def difference(report, strategy, against, metric, keep=0.1, table="paired"):
    key = (keep, strategy, against, metric)
    return next(
        line for line in report[table] if (line["keep"], line["strategy"], line["against"], line["metric"]) == key
    )


def quiet(data, out, plan, load):
    return evaluate([data], out, plan, report=lambda _: None, load=load)


def without_times(report: dict) -> dict:
    return {name: part for name, part in report.items() if name != "milliseconds"}


@pytest.mark.parametrize("keep", [0.1, 0.25])
def test_random_sees_the_object_as_often_as_combinatorics_say(run, keep):
    report, seen = run[0], chance_to_see(keep)
    # The first label is also what is said of nothing, and so always right; a third of the pictures has it.
    assert abs(value(report, keep, "random", "top1") - (1 + 2 * seen) / 3) < 0.06
    assert abs(value(report, keep, "random", "foreground_share") - 9 / 196) < 0.012
    assert value(report, 1.0, "all", "top1") == 1 and value(report, 1.0, "all", "judge_top1") == 1


def test_a_scorer_that_knows_wins_by_what_there_is_to_win(run):
    report = run[0]
    assert value(report, 0.1, "select", "top1") == 1 and value(report, 0.1, "select", "judge_top1") == 1
    assert value(report, 0.1, "oracle", "top1") == 1 and value(report, 0.1, "top-k", "top1") == 1
    line = difference(report, "select", "random", "top1")
    assert line["low"] > 0.1 and line["p"] < 0.05 and line["mean_difference"] == pytest.approx(
        1 - value(report, 0.1, "random", "top1")
    )
    assert difference(report, "inverse", "random", "top1")["high"] < 0
    assert value(report, 0.1, "inverse", "foreground_share") == 0
    gaps = [g for g in report["gap_closed"] if (g["keep"], g["strategy"], g["metric"]) == (0.1, "select", "top1")]
    assert gaps[0]["gap_closed"] == pytest.approx(1) and gaps[0]["high"] == pytest.approx(1)
    outcome = {line["metric"]: line for line in report["primary"]}
    assert outcome["p_true"]["outcome"] == "better" and outcome["p_true"]["p_holm"] >= outcome["p_true"]["p"]
    assert set(outcome) == {"top1", "p_true", "heldout_mse"}


def test_where_the_scores_lie(run):
    ranks = {(line["strategy"], line["metric"]): line["mean"] for line in run[0]["ranks"]}
    assert ranks["select", "pointing"] == 1 and ranks["select", "auprc"] == pytest.approx(1)
    assert ranks["select", "insertion"] > 0.9999 > 0.99 > ranks["random", "insertion"]
    # Without the square a third is left, up to half of the tokens; from there it rises to 1: the area over 0.95.
    assert ranks["select", "deletion"] == pytest.approx((0.45 / 3 + 0.5 * 2 / 3) / 0.95, abs=1e-4)
    assert ranks["random", "deletion"] > 0.8
    assert ranks["activation", "auprc"] == pytest.approx(1) == ranks["oracle", "auprc"]


def test_experts(run):
    (line,) = run[0]["experts"]
    assert line["entropy"] == pytest.approx(1) and line["dead"] == []
    assert line["share"] == pytest.approx(dict.fromkeys(line["share"], 0.25))


def test_nobody_can_be_steered_to_what_is_not_there(run):
    report = run[0]
    # No token speaks for a wrong colour, so the choice can only avoid the square: then the first class is said.
    assert value(report, 0.1, "select", "steered") == 0 == value(report, 0.1, "select", "judge_steered")
    assert value(report, 0.1, "wrong", "foreground_share") < value(report, 0.1, "random", "foreground_share")


def test_the_split_by_the_full_view(run):
    lines = run[0]["split"]
    assert {line["full_view"] for line in lines} == {"right"}  # it is never wrong here
    assert difference(run[0], "select", "random", "p_true", table="split")["n"] == 9


def test_zero_scores_are_the_random_arm(world, plan, tmp_path):
    """To the last bit, in every measure: the arms differ by their scores and by nothing else."""
    arms = ("select", "inverse", "shuffled")
    few = dataclasses.replace(plan, limit=2, seeds=3, keeps=(0.1,), curve=(), strategies=arms)
    report = quiet(world, tmp_path, few, lambda kind: networks(strength=0.0))
    metrics = {line["metric"] for line in report["results"] if line["strategy"] == "random"}
    assert {"top1", "p_true", "kl", "heldout_mse", "foreground_mse", "masked_mse_ratio", "steered"} <= metrics
    for strategy in arms:
        for metric in metrics - ({"masked_mse_ratio"} if strategy != "select" else set()):
            assert value(report, 0.1, strategy, metric) == value(report, 0.1, "random", metric)
        assert difference(report, strategy, "random", "top1")["p"] == 1


def test_shuffled_labels_give_no_gain(tmp_path):
    folder = tmp_path / "world"
    write_world(folder, each=6, masks=False)
    plan = Plan(
        keeps=(0.1,), curve=(), seeds=8, picture_seeds=0, scorers=("colour",), strategies=("select",), segmenter="whole"
    )
    honest = quiet(folder, tmp_path / "a", plan, lambda kind: networks())
    shuffled = dataclasses.replace(plan, shuffle_labels=True)
    control = quiet(folder, tmp_path / "b", shuffled, lambda kind: networks())
    gain, none = (difference(report, "select", "random", "p_true") for report in (honest, control))
    assert gain["low"] > 0.15 and none["low"] < 0 < none["high"] and abs(none["mean_difference"]) < 0.1
    assert "shuffled" in (tmp_path / "b" / "report.md").read_text().split("##")[0]
    assert "shuffled" not in (tmp_path / "a" / "report.md").read_text().split("##")[0]


def test_a_killed_run_goes_on_and_ends_alike(world, plan, tmp_path, monkeypatch):
    plan = dataclasses.replace(plan, limit=4, seeds=2, keeps=(0.1,), curve=(), strategies=("select",))
    whole = quiet(world, tmp_path / "whole", plan, lambda kind: networks())
    measured = []

    def stops_at_the_third(case, *others):
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(case.name)
        return measure(case, *others)

    monkeypatch.setattr(running, "measure", stops_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        quiet(world, tmp_path / "killed", plan, lambda kind: networks())
    assert len(list((tmp_path / "killed" / "rows").iterdir())) == 2
    assert not (tmp_path / "killed" / "report.json").exists()

    def counts(case, *others):
        measured.append(case.name)
        return measure(case, *others)

    monkeypatch.setattr(running, "measure", counts)
    resumed = quiet(world, tmp_path / "killed", plan, lambda kind: networks())
    assert len(measured) == len(set(measured)) == 4
    assert without_times(resumed) == without_times(whole)
    assert (tmp_path / "killed" / "best.jpg").read_bytes() == (tmp_path / "whole" / "best.jpg").read_bytes()
    # More inputs: the ones that are there serve again, but for the last, which has another neighbour now.
    quiet(world, tmp_path / "killed", dataclasses.replace(plan, limit=5), lambda kind: networks())
    assert len(measured) == 6


def test_a_row_is_known_by_all_that_it_depends_on(world, plan, tmp_path):
    found = survey(gather([world]), 4)[0]

    def path(number=1, found=found, plan=plan, strength=40.0):
        return Runner(found, tmp_path, plan, lambda kind: networks(strength)).row_path(number)

    def with_input(**change):
        return [dataclasses.replace(each, input=dataclasses.replace(each.input, **change)) for each in found]

    others = [
        path(2), path(strength=1.0), path(plan=dataclasses.replace(plan, seed=1)),
        path(plan=dataclasses.replace(plan, seeds=3)), path(plan=dataclasses.replace(plan, segmenter="superpixels")),
        path(found=with_input(masks=())), path(found=with_input(labels=("red",))),
        path(found=[*found[:2], found[3]]),
    ]  # fmt: skip
    assert len({path(), *others}) == 1 + len(others)
    assert path() == path(found=with_input(name="moved")) == path(plan=dataclasses.replace(plan, limit=3, part="val"))


def test_several_processes_make_the_same_report(world, plan, tmp_path, monkeypatch):
    """Each does its share; the main one merges, and does what a lost one left."""
    plan = dataclasses.replace(plan, limit=5, seeds=1, keeps=(0.1,), curve=(), picture_seeds=0, strategies=("select",))
    alone = quiet(world, tmp_path / "alone", plan, lambda kind: networks())

    class Process:
        num_processes = 3

        def __init__(self, index):
            self.process_index, self.is_main_process = index, index == 0

        def wait_for_everyone(self):
            pass

    out = tmp_path / "together"
    for index, rows in ((1, 2), (0, 5)):  # the third is lost
        monkeypatch.setattr(running, "PartialState", lambda index=index, **_: Process(index))
        together = quiet(world, out, plan, lambda kind: networks())
        assert len(list((out / "rows").glob("*.json"))) == rows
        assert (together == {}) == (index == 1)
    assert without_times(together) == without_times(alone)


def test_what_the_report_holds(run, plan):
    report, folder = run
    assert json.loads((folder / "report.json").read_text()) == json.loads(json.dumps(report))
    result = {"kind", "keep", "strategy", "metric", "mean", "low", "high", "n"}
    assert all(set(line) == result for line in report["results"])
    pair = {"keep", "strategy", "against", "metric", "mean_difference", "low", "high", "p", "n"}
    assert all(pair <= set(line) for line in report["paired"])
    keys = [tuple(line[k] for k in ("kind", "keep", "strategy", "metric")) for line in report["results"]]
    assert len(set(keys)) == len(keys)
    for line in (*report["results"], *report["paired"]):
        middle = line["mean"] if "mean" in line else line["mean_difference"]
        assert line["n"] == 9 or line["strategy"] == "wrong"
        assert line["low"] - 1e-6 <= middle <= line["high"] + 1e-6
    at_a_tenth = {line["strategy"] for line in report["results"] if line["keep"] == 0.1}
    assert at_a_tenth == set(plan.arms(("colour",))) - {"tube"}  # which is the random one on photos
    metrics = {line["metric"] for line in report["results"] if line["strategy"] == "select" and line["keep"] == 0.1}
    assert metrics >= {
        "top1", "p_true", "agreement", "kl", "heldout_mse", "picture_mse", "foreground_mse", "background_mse",
        "foreground_share", "masked_mse_ratio", "steered", "judge_top1", "judge_p_true", "judge_steered",
    }  # fmt: skip
    assert {line["keep"] for line in report["results"]} == {0.05, 0.1, 0.25, 1.0}
    assert {line["strategy"] for line in report["results"] if line["keep"] == 0.05} == {
        "random", "lattice", "centre", "select",
    }  # fmt: skip
    assert report["inputs"] == {
        "count": 9, "image": 9, "clip": 0, "labelled": 9, "skipped": [], "repeated": [],
    }  # fmt: skip
    assert [row["role"] for row in report["weights"]["image"]] == [
        "autoencoder", "classifier", "judge", "scorer colour",
    ]  # fmt: skip
