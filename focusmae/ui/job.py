"""What the page sends: one job, checked like everything that comes from outside, and turned into Settings.

A job is a dict with the keys of DEFAULTS. ``keep`` counts in per cent; ``focus`` holds [segment id, change]
pairs, ``clicks`` [x, y, label, frame] rows.
"""

from __future__ import annotations

import math

from focusmae.errors import SettingsError
from focusmae.settings import Settings
from focusmae.ui import weights
from focusmae.ui.picker import FIRST

DEFAULTS = {
    "source": FIRST, "name": "", "keep": 25, "seed": 0, "left": "random", "right": "select", "autoencoder": "",
    "classifier": "", "segmenter": "auto", "text": "", "clips": 1, "crops": 1, "start": None, "seconds": None,
    "focus": [], "clicks": [],
}  # fmt: skip
MOST_ROWS = 1024


def read_job(job) -> tuple[str, Settings]:
    """The source (an example's name or an upload's path) and the settings of a job.

    Raises SettingsError for what no page of ours would send; what is out of range is for ``Settings.check``.
    """
    if not isinstance(job, dict):
        raise SettingsError("The page sent no settings: load it again.")
    job = {**DEFAULTS, **{key: value for key, value in job.items() if key in DEFAULTS}}
    for key in ("source", "left", "right", "autoencoder", "classifier", "segmenter", "text"):
        if not isinstance(job[key], str) or len(job[key]) > 1000:
            raise SettingsError(f"The setting {key} has to be a short text.")
    numbers = {key: _number(key, job[key]) for key in ("keep", "seed", "clips", "crops")}
    window = {key: None if job[key] is None else _number(key, job[key]) for key in ("start", "seconds")}
    return job["source"], Settings(
        keep=numbers["keep"] / 100,
        seed=int(numbers["seed"]),
        strategies=(job["left"], job["right"]),
        autoencoder=weights.known("autoencoder", job["autoencoder"]),
        classifier=weights.known("classifier", job["classifier"]),
        segmenter=job["segmenter"],
        text=job["text"].strip() or None,
        clips=int(numbers["clips"]),
        crops=int(numbers["crops"]),
        focus=tuple((int(number), change) for number, change in _rows("focus", job["focus"], 2)),
        clicks=tuple(_rows("clicks", job["clicks"], 4)),
        **window,
    )


def _number(key: str, value) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SettingsError(f"The setting {key} has to be a number.")
    return value


def _rows(key: str, rows, length: int) -> list[tuple[float, ...]]:
    """Lists of ``length`` numbers each."""
    if not isinstance(rows, list) or len(rows) > MOST_ROWS:
        raise SettingsError(f"The setting {key} has to be a list of at most {MOST_ROWS} entries.")
    if not all(isinstance(row, list) and len(row) == length for row in rows):
        raise SettingsError(f"Every entry of {key} has to hold {length} numbers.")
    return [tuple(_number(key, value) for value in row) for row in rows]
