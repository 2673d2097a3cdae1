"""One measured line of the benchmark, and how it is measured."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table. ``ratio`` = seconds / peer_seconds.

    psnr: of the pictures against those in float32, in dB; None where the row computes in float32 itself.
    """

    what: str
    seconds: float
    peer: str = ""
    peer_seconds: float | None = None
    psnr: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.seconds / self.peer_seconds if self.peer_seconds else None


def median(work: Callable[[int], object], repeats: int) -> float:
    """Median seconds of ``work(number)`` after one call that is not counted."""
    work(0)
    times = []
    for number in range(1, repeats + 1):
        began = time.perf_counter()
        work(number)
        times.append(time.perf_counter() - began)
    return statistics.median(times)
