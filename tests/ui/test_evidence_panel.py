"""The panel's messages: they grow draw by draw, hold what the tables hold, and never hold an error's trace."""

import json

import gradio as gr
import pytest

from focusmae.evidence import KEEPS, evidence_steps
from focusmae.settings import Settings
from focusmae.ui import evidence_panel
from focusmae.ui.job import DEFAULTS
from focusmae.ui.picker import open_source

JOB = {**DEFAULTS, "source": "chelsea", "keep": 10}


def told(job):
    """The messages without the beats between them."""
    return [message for message in evidence_panel.gather(job) if message != gr.skip()]


def test_messages_grow_from_nothing_to_draws_and_curves(monkeypatch):
    for name, value in (("SEEDS", 4), ("KEEPS", KEEPS[:2]), ("CURVE_SEEDS", 2)):
        monkeypatch.setattr(f"focusmae.evidence.{name}", value)
    messages = [json.loads(json.dumps(message)) for message in told(JOB)]
    draws = [len(message["seeds"]) for message in messages]
    assert draws == [0, 1, 2, 3, 4, 4, 4] and messages[0]["measures"] == []
    last = messages[-1]
    assert [arm["name"] for arm in last["arms"]] == ["random", "select"] and last["total"] == 4
    *_, table = evidence_steps(open_source("chelsea"), Settings(keep=0.1), 4)
    for measure in last["measures"]:
        assert measure["differences"] == pytest.approx(table.differences(measure["key"]), abs=2e-6)
        row = table.paired[measure["key"]]
        assert (measure["mean"], measure["low"], measure["high"]) == pytest.approx(
            (row["mean_difference"], row["low"], row["high"]), abs=1e-6
        )
    assert [point["keep"] for point in last["curve"]] == [0.05, 0.9] and last["curve_seeds"] == 2
    for point in last["curve"]:
        for arm in point["arms"]:
            mean, low, high = arm["p_class"]
            assert low <= mean <= high


def test_what_cannot_be_compared_empties_the_panel(monkeypatch):
    assert told({**JOB, "right": "random"})[-1] is None
    assert told({**JOB, "source": "/etc/passwd"}) == [None]
    monkeypatch.setattr("focusmae.evidence.evidence_steps", lambda *_: 1 / 0)
    assert told(JOB)[-1] is None
