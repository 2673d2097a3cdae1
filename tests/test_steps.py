"""Long work as a generator: fractions come out, results return, errors pass, closing cancels."""

import threading

import pytest

from focusmae.errors import Cancelled, WeightsError
from focusmae.steps import stepwise


def everything(generator):
    seen = []
    while True:
        try:
            seen.append(next(generator))
        except StopIteration as end:
            return seen, end.value


def test_fractions_and_the_result():
    def work(report):
        for step in range(3):
            report(step / 2)
        return "done"

    assert everything(stepwise(work)) == ([0.0, 0.5, 1.0], "done")


def test_errors_pass():
    def work(report):
        report(0.1)
        raise WeightsError("There is no such file.")

    steps = stepwise(work)
    assert next(steps) == 0.1
    with pytest.raises(WeightsError, match="no such file"):
        next(steps)


def test_closing_cancels_and_waits():
    reported, ended, closing = [], threading.Event(), threading.Event()

    def work(report):
        try:
            while True:
                report(0.0)
                reported.append(1)
                closing.wait(5 if reported[1:] else 0)
        except Cancelled:
            ended.set()
            raise

    steps = stepwise(work)
    next(steps)
    closing.set()
    steps.close()
    assert ended.is_set()  # close() has waited for the thread
    count = len(reported)
    assert len(reported) == count
