"""The one training loop, on a task of six weights: schedule, groups, log, checkpoints, resume."""

import json
import math

import pytest
import torch
from torch import nn

from focusmae.errors import SettingsError
from focusmae.training import loop
from focusmae.training.data import step_generator
from focusmae.training.loop import Schedule, fit, parameter_groups
from tests.tiny import is_one_sentence


class Line(nn.Module):
    """Fits a line to noisy points; which points is a function of the step."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.model = nn.Linear(5, 1)

    def forward(self, step, batch):
        points = torch.randn(8, 5, generator=step_generator(1, step)) + batch
        loss = (self.model(points)[:, 0] - points.sum(1)).square().mean()
        return loss, {"size": torch.tensor(float(len(points)))}


def run(folder, task=None, steps=40, feed=None, **schedule):
    task = task or Line()
    feed = feed or (lambda first: iter([0.01 * step for step in range(first, steps)]))
    figures = fit(
        task, Schedule(steps=steps, **{"rate": 0.05, "warmup": 5, **schedule}), folder, feed,
        lambda: {"error": float((task.model.weight - 1).square().mean())},
    )  # fmt: skip
    return task, figures


def rows(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_it_learns_logs_and_evaluates(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loop, "REPORT_SECONDS", 0)
    task, figures = run(tmp_path / "new" / "run", evaluate_every=15)
    log = rows(tmp_path / "new" / "run")
    assert [row["step"] for row in log if "loss" in row] == list(range(1, 41))
    assert [row["step"] for row in log if "held_out" in row] == [15, 30, 40]
    assert log[-1]["held_out"] == figures and figures["error"] < 0.3 * log[14 + 1]["held_out"]["error"] < 1
    assert all(row["size"] == 8 for row in log if "loss" in row)
    assert (tmp_path / "new" / "run" / "log.png").stat().st_size > 500
    printed = capsys.readouterr().out
    assert "held out: error" in printed and "40/40" in printed and "min left" in printed


def test_the_rate_warms_up_and_falls_to_a_hundredth():
    schedule = Schedule(steps=110, rate=1.0, warmup=10)
    factors = [schedule.factor(step) for step in range(111)]
    assert factors[:10] == pytest.approx([(n + 1) / 10 for n in range(10)])
    assert factors[10] == 1 and factors[110] == pytest.approx(0.01)
    assert factors[60] == pytest.approx(0.01 + 0.99 / 2)
    assert factors[35] == pytest.approx(0.01 + 0.99 * (1 + math.cos(math.pi / 4)) / 2)
    assert all(a > b for a, b in zip(factors[10:], factors[11:], strict=False))


def test_weight_decay_is_for_matrices_and_some_learn_faster():
    model = nn.ModuleDict({"body": nn.Linear(3, 3), "head": nn.Linear(3, 2)})
    model["body"].bias.requires_grad_(False)
    groups = parameter_groups(model, 0.1, {"head": 3.0})
    found = {(g["weight_decay"], g["multiple"], tuple(p.shape)) for g in groups for p in g["params"]}
    assert found == {(0.1, 1.0, (3, 3)), (0.1, 3.0, (2, 3)), (0.0, 3.0, (2,))}


def test_the_step_size_follows_schedule_and_multiple(tmp_path, monkeypatch):
    rates = []
    step = torch.optim.AdamW.step

    def watched(self, *args, **kwargs):
        rates.append([group["lr"] for group in self.param_groups])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    schedule, task = Schedule(steps=3, rate=0.1, warmup=2), Line()
    fit(task, schedule, tmp_path, lambda first: iter([0] * 3), lambda: {}, {"model.bias": 2.0})
    assert len(rates) == 3
    for number, row in enumerate(rates):
        assert sorted(row) == pytest.approx([0.1 * schedule.factor(number), 0.2 * schedule.factor(number)])


@pytest.mark.parametrize("how", ["killed after a checkpoint", "failed in the feed"])
def test_a_resumed_run_is_the_unbroken_run(how, tmp_path, monkeypatch, one_thread, capsys):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0)
    whole, figures = run(tmp_path / "whole")
    save = loop._save

    def save_and_die(*args):
        save(*args)
        if args[-1] == 17:
            raise KeyboardInterrupt

    def failing(first):
        for step in range(first, 40):
            if step == 17:
                raise OSError("the disk is gone")
            yield 0.01 * step

    if how.startswith("killed"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(loop, "_save", save_and_die)
            run(tmp_path / "broken")
    else:
        with pytest.raises(OSError, match="the disk is gone"):
            run(tmp_path / "broken", feed=failing)
    begun = []

    def feed(first):
        begun.append(first)
        return iter([0.01 * step for step in range(first, 40)])

    resumed, again = run(tmp_path / "broken", feed=feed)
    assert begun == [17] and "going on from step 17" in capsys.readouterr().out
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value)
    assert again == figures
    states = [torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "broken")]
    for a, b in zip(*(state["optimizer"]["state"].values() for state in states), strict=True):
        assert all(torch.equal(a[key], b[key]) for key in ("step", "exp_avg", "exp_avg_sq"))


def test_a_finished_run_is_only_evaluated_again(tmp_path):
    task, figures = run(tmp_path)
    fresh = Line()
    again, figures_again = run(tmp_path, task=fresh, feed=lambda first: iter([]))
    assert figures_again == figures and torch.equal(again.model.weight, task.model.weight)


@pytest.mark.parametrize("change", [{"steps": 41}, {"rate": 0.06}, {"warmup": 6}, {"weight_decay": 0.0}])
def test_another_schedule_in_the_same_folder_is_refused(tmp_path, change):
    run(tmp_path / "run")
    before = (tmp_path / "run" / "state.pt").read_bytes()
    with pytest.raises(SettingsError) as error:
        run(tmp_path / "run", **change)
    assert is_one_sentence(str(error.value)) and "--out" in str(error.value)
    assert (tmp_path / "run" / "state.pt").read_bytes() == before


def test_a_run_on_other_data_is_refused(tmp_path):
    def begin(seed):
        task = Line()
        fit(task, Schedule(steps=3, rate=0.05), tmp_path, lambda first: iter([0] * 3), dict, identity={"seed": seed})

    begin(0)
    begin(0)
    with pytest.raises(SettingsError, match="another seed"):
        begin(1)


def test_gradients_are_clipped(tmp_path, monkeypatch):
    class Steep(Line):
        def forward(self, step, batch):
            return 1e6 * super().forward(step, batch)[0], {}

    task, lengths, step = Steep(), [], torch.optim.AdamW.step

    def watched(self, *args, **kwargs):
        lengths.append(math.sqrt(sum(float(p.grad.square().sum()) for p in task.parameters())))
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    run(tmp_path, task=task, steps=3)
    assert lengths == pytest.approx([1.0] * 3, rel=1e-3)


@pytest.mark.filterwarnings("error")
def test_figures_may_still_carry_gradients(tmp_path, monkeypatch):
    class Careless(Line):
        def forward(self, step, batch):
            loss, figures = super().forward(step, batch)
            return loss, {**figures, "twice": 2 * loss}

    monkeypatch.setattr(loop, "REPORT_SECONDS", 0)
    run(tmp_path, task=Careless(), steps=2)
    assert all(row["twice"] == pytest.approx(2 * row["loss"]) for row in rows(tmp_path) if "loss" in row)
