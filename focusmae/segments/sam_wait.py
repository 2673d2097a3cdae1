"""How long SAM will take, said before it starts: from one small product, and from its own runs once there are any."""

from __future__ import annotations

import functools
import threading
import time

import torch

from focusmae import device as devices
from focusmae.errors import SettingsError
from focusmae.precision import wanted
from focusmae.segments.sam_model import DTYPE
from focusmae.segments.sam_tracking import ENCODING, work

# Operations of one pass of the image encoder (1024 x 1024), counted from the shapes of its products.
OPERATIONS = {"sam-vit-base": 0.97e12, "sam-vit-large": 2.99e12, "sam-vit-huge": 5.96e12}
# Share of a plain product's speed that the encoder reaches: 2 cores with AVX-512; on a GPU from the literature,
# segment-anything-fast's 14 ms for vit_b on an A100.
REACHED = {"cpu": 0.65, "cuda": 0.25}
POINTS = {"cpu": 12, "cuda": 32}
"""Points along each side of the grid, by kind of device."""
STRIDE = {"cpu": 2, "cuda": 1}
"""Every how many frames of a clip the encoder sees: two, a tubelet's length, halve the wait on a CPU."""


class Pace:
    """Seconds per unit of work (a prompt; an encoder pass is ENCODING of them) in the runs of this process."""

    def __init__(self):
        self._known: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def learn(self, name: str, kind: str, seconds: float, units: float) -> None:
        """A run is over; newer runs count as much as all before."""
        if units <= 0:
            return
        with self._lock:
            before = self._known.get((name, kind), seconds / units)
            self._known[name, kind] = (before + seconds / units) / 2

    def get(self, name: str, kind: str) -> float | None:
        with self._lock:
            return self._known.get((name, kind))


PACE = Pace()


def estimate(
    device: torch.device | str | None = None, frames: int = 1, points: int | None = None, name: str = "sam-vit-base"
) -> float:
    """Seconds that everything on a view will take, loading and download of the weights aside.

    Before SAM ran in this process it is worked out from the speed of a matrix product, measured once; the wait is
    then right to about a factor of two, as it depends on how much of the picture the first points cover.

    Args:
        device: where it would run, by default this process's.   frames: of the view, 1 or 16.
        points: along each side of the grid, by default the device's own.   name: a key of OPERATIONS.
    Raises:
        SettingsError: no such name.
    """
    if name not in OPERATIONS:
        raise SettingsError(f"There is no SAM called {name!r}; choose one of: {', '.join(OPERATIONS)}.")
    kind = torch.device(device or devices.setup()).type
    pace = PACE.get(name, kind) or OPERATIONS[name] / (REACHED.get(kind, REACHED["cpu"]) * speed(kind)) / ENCODING
    return pace * work(frames, points or POINTS.get(kind, POINTS["cpu"]), 1 if frames == 1 else STRIDE.get(kind, 1))


@functools.cache
def speed(kind: str) -> float:
    """Operations a second of the product in the encoder's multilayer perceptron, best of three."""
    dtype = DTYPE[wanted(torch.device(kind))]
    a, b = torch.ones(1024, 768, device=kind, dtype=dtype), torch.ones(768, 3072, device=kind, dtype=dtype)
    times = []
    for _ in range(4):  # the first one warms up
        began = time.perf_counter()
        float((a @ b)[0, 0])  # asking for a number waits for the device
        times.append(time.perf_counter() - began)
    return 2 * 1024 * 768 * 3072 / min(times[1:])
