"""Work beside the server: Gradio closes a cancelled generator on its event loop, where nothing may ever wait.

A step of ours can take seconds and its clean-up as well (a thread to join, a connection to end), so a handler iterates
in a thread of its own; what the server holds returns within a beat and can be closed at once.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
BEAT = 0.25  # seconds


def beside(work: Callable[[], Iterator[Item]], beat: float = BEAT) -> Iterator[Item | None]:
    """Yields what ``work()`` yields, and None whenever ``beat`` seconds pass without news; raises what it raises.

    Closing returns at once. The thread then closes the iterator itself, as soon as its present step has ended.
    """
    said: queue.SimpleQueue = queue.SimpleQueue()
    stopped = threading.Event()

    def iterate() -> None:
        steps = work()
        try:
            for item in steps:
                said.put(("item", item))
                if stopped.is_set():
                    break
            else:
                said.put(("end", None))
        except BaseException as error:  # it is raised where somebody listens
            said.put(("error", error))
        finally:
            close = getattr(steps, "close", None)
            if close:
                close()

    context = contextvars.copy_context()  # who asks: on ZeroGPU, whose time it is
    threading.Thread(target=context.run, args=(iterate,), daemon=True).start()
    try:
        while True:
            try:
                kind, value = said.get(timeout=beat)
            except queue.Empty:
                yield None
                continue
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stopped.set()
