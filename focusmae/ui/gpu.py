"""ZeroGPU: work that wants a GPU runs in a worker that has one, for as long as its input needs. Elsewhere, nothing.

What leaves the worker is pickled, so functions that are wrapped here take and yield plain data: jobs and messages.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec

ZERO = bool(os.environ.get("SPACES_ZERO_GPU")) and find_spec("spaces") is not None
LONGEST = 120  # seconds; what a visitor without an account may use in a day


def on_gpu(seconds: Callable[..., int]):
    """Decorator for a function or generator: ``seconds(*arguments)`` says how long its input may take on a GPU."""

    def wrap(function):
        if not ZERO:
            return function
        import spaces  # patches torch, so before it; the page imports torch late

        return spaces.GPU(duration=lambda *arguments: min(LONGEST, seconds(*arguments)))(function)

    return wrap


def views_of(job: dict) -> int:
    """How many views a job asks for."""
    return max(1, int(job.get("crops") or 1)) * max(1, int(job.get("clips") or 1))


def is_clip(job: dict) -> bool:
    """Judged by the name alone, before anything is opened."""
    return str(job.get("source", "")).lower().endswith((".mp4", ".webm", ".mov", ".gif"))


def run_seconds(job: dict) -> int:
    """One comparison: the networks' way to the card, then every view."""
    return 8 + views_of(job) * (4 if is_clip(job) else 1) + (10 if is_clip(job) and "sam" in job["segmenter"] else 0)


def evidence_seconds(job: dict) -> int:
    """Draws over seeds and keep ratios; a worker keeps nothing, so the first view is prepared again."""
    return run_seconds({**job, "clips": 1, "crops": 1}) + (24 if is_clip(job) else 8)
