"""Long work that reports how far it is, as a generator: so a page can show a bar, and closing the generator cancels."""

import queue
import threading
from collections.abc import Callable, Generator
from typing import TypeVar

from focusmae.errors import Cancelled

Result = TypeVar("Result")
Report = Callable[[float], None]


def stepwise(work: Callable[[Report], Result]) -> Generator[float, None, Result]:
    """Run ``work(report)`` in a thread: yields the fractions that it reports, and returns (not yields) its result.

    When the generator is closed, the next report raises Cancelled inside ``work``, whose thread is waited for: after
    a cancel nothing goes on in the background. What ``work`` raises is raised here.
    """
    said: queue.SimpleQueue = queue.SimpleQueue()
    stopped = threading.Event()

    def report(fraction: float) -> None:
        if stopped.is_set():
            raise Cancelled("The work was cancelled.")
        said.put(("fraction", float(fraction)))

    def run() -> None:
        try:
            said.put(("result", work(report)))
        except BaseException as error:
            said.put(("error", error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = said.get()
            if kind == "result":
                return value
            if kind == "error":
                raise value
            yield value
    finally:
        stopped.set()
        thread.join()
