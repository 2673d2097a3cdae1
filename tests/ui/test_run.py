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
    messages = [m for m in messages if m.get("step") != "waiting"]
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


def stalled(monkeypatch):
    """A comparison that goes on until it is closed: (ended, an event)."""
    from focusmae.comparison import Progress

    ended = threading.Event()

    def endless(*_):
        try:
            while True:
                yield Progress("segments", 0.1)
        finally:
            ended.set()

    monkeypatch.setattr("focusmae.comparison.compare_steps", endless)
    return ended


def until(stream, step: str) -> dict:
    return next(message for message in stream if message.get("step") == step)


def test_closing_a_run_stops_the_work(monkeypatch):
    ended = stalled(monkeypatch)
    stream = run.run(JOB)
    until(stream, "segments")
    assert not ended.is_set()
    stream.close()
    assert ended.wait(5)
    run.give_way()  # nobody is at work any more, so it returns


def test_the_background_gives_way_to_whoever_waits(monkeypatch):
    stalled(monkeypatch)
    stream = run.run(JOB)
    until(stream, "segments")
    free = threading.Event()
    waiting = threading.Thread(target=lambda: (run.give_way(), free.set()))
    waiting.start()
    assert not free.wait(0.2)
    stream.close()
    assert free.wait(5)
    waiting.join()


def test_a_run_waits_for_its_turn(monkeypatch):
    ended = stalled(monkeypatch)
    first, second = run.run(JOB), run.run(JOB)
    until(first, "segments")
    until(second, "waiting")
    assert next(second)["step"] == "waiting" and not ended.is_set()
    first.close()
    until(second, "segments")
    second.close()


def test_who_waits_is_told_how_long():
    assert run._left(0.5, 0.4) is None and run._left(0.01, 60) is None
    assert run._left(0.5, 8.0) == 8 and run._left(0.99, 100) == 1
