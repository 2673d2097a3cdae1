"""Work in a thread of its own: the same items and errors, a beat in between, and an end that keeps nobody waiting."""

import threading
import time

import pytest

from focusmae.ui.beside import beside


def test_items_and_errors_come_through():
    assert [item for item in beside(lambda: iter([1, 2, 3])) if item is not None] == [1, 2, 3]

    def broken():
        yield 1
        raise ValueError("so")

    stream = beside(broken)
    assert next(stream) == 1
    with pytest.raises(ValueError, match="so"):
        list(stream)


def test_long_steps_leave_beats():
    gate = threading.Event()

    def slow():
        gate.wait(30)
        yield "done"

    stream = beside(slow, beat=0.01)
    assert [next(stream) for _ in range(3)] == [None] * 3
    gate.set()
    assert [item for item in stream if item] == ["done"]


def test_closing_does_not_wait_and_the_thread_cleans_up():
    gate, cleaned = threading.Event(), threading.Event()

    def slow():
        try:
            yield 1
            gate.wait(30)
            yield 2
            pytest.fail("it goes on")
        finally:
            time.sleep(0.05)
            cleaned.set()

    stream = beside(slow, beat=0.01)
    assert next(stream) == 1 and next(stream) is None
    stream.close()
    assert not cleaned.is_set()  # its step still lasts
    gate.set()
    assert cleaned.wait(30)
