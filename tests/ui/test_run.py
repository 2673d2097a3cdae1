"""One run as the page gets it: its steps, its result, its errors, its end."""

import json
import threading

import numpy as np
import pytest

from focusmae.ui import run
from focusmae.ui.job import DEFAULTS

JOB = {**DEFAULTS, "source": "chelsea"}


def test_a_run_tells_its_steps_and_ends_with_a_result():
    messages = list(run.run(JOB))
    assert [m["kind"] for m in messages] == ["progress"] * (len(messages) - 1) + ["result"]
    assert {"reading", "masks", "reconstruction", "prediction"} <= {m["step"] for m in messages[:-1]}
    last = json.loads(json.dumps(messages[-1]))
    n = np.prod(last["grid"])
    assert n == 196 and len(last["scores"]) == len(last["chance"]) == len(last["token_segment"]) == n
    assert [arm["name"] for arm in last["arms"]] == ["random", "select"]
    for arm in last["arms"]:
        assert len(arm["visible"]) == 49 and not np.asarray(arm["error"])[arm["visible"]].any()
    assert {row["key"] for row in last["verdict"]} == {"p_class", "agreement", "heldout_mse", "picture_mse"}
    assert last["seconds"] > 0


def test_known_errors_are_shown_and_unknown_ones_are_not(monkeypatch):
    with pytest.warns(UserWarning, match="only once"):
        *_, told = run.run({**JOB, "right": "random"})
    assert told["kind"] == "error" and told["text"].endswith(".")
    with pytest.warns(UserWarning, match="no uploaded file"):
        *_, told = run.run({**JOB, "source": "/etc/passwd"})
    assert told["kind"] == "error"

    def broken(*_):
        raise RuntimeError("secret")
        yield

    monkeypatch.setattr("focusmae.comparison.compare_steps", broken)
    *_, told = run.run(JOB)
    assert told == {"kind": "error", "text": None}


def test_closing_a_run_stops_the_work(monkeypatch):
    from focusmae.comparison import Progress

    ended = []

    def endless(*_):
        try:
            while True:
                yield Progress("segments", 0.1)
        finally:
            ended.append(True)

    monkeypatch.setattr("focusmae.comparison.compare_steps", endless)
    stream = run.run(JOB)
    assert [next(stream)["step"] for _ in range(3)] == ["loading", "segments", "segments"]
    stream.close()
    assert ended
    run.give_way(0.0)  # nobody is at work any more, so it returns


def test_the_background_gives_way_to_whoever_waits(monkeypatch):
    from focusmae.comparison import Progress

    monkeypatch.setattr("focusmae.comparison.compare_steps", lambda *_: iter([Progress("segments", 0.1)] * 3))
    stream = run.run(JOB)
    next(stream), next(stream)
    free = threading.Event()
    waiting = threading.Thread(target=lambda: (run.give_way(), free.set()))
    waiting.start()
    assert not free.wait(0.2)
    stream.close()
    assert free.wait(5)
    waiting.join()
