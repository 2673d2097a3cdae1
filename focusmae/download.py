"""The command ``download``: fetch weights by name, or list what there is, with size, licence and revision."""

import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from focusmae import hub
from focusmae.errors import SettingsError, WeightsError
from focusmae.hub import Found, Weights

WIDTH = 24  # characters of the bar
PERIOD = 0.1  # seconds between two drawings of it


def run(names: Iterable[str] = (), everything: bool = False) -> int:
    """Fetch the weights of these names, or all that the Hub has; one that fails does not keep the others waiting.

    What was done is printed on stdout, progress (on a terminal) and errors on stderr. Returns the exit status: 0, or 2
    if any failed. Raises SettingsError, before anything is fetched, if there is no name or one that does not exist.
    """
    chosen = [w for w in hub.WEIGHTS.values() if w.repo] if everything else []
    chosen += [w for name in names for w in hub.named(name)]
    chosen = list(dict.fromkeys(chosen))
    if not chosen:
        raise SettingsError("Name the weights to fetch, or give --all for every one, or --list to see what there is.")
    missing = [w for w in chosen if not hub.here(w)]
    if len(missing) > 1:
        print(f"{len(missing)} to fetch, {_size(sum(w.size for w in missing))} in all")
    failed = 0
    for weights in chosen:
        there = hub.here(weights)
        try:
            with _Bar(weights.name) as bar:
                found = hub.fetch(weights, bar)
        except WeightsError as error:
            failed += 1
            print(f"{weights.name}: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            print(f"{weights.name}: what has arrived is kept, the same command goes on from there", file=sys.stderr)
            raise
        else:
            print(_told(weights, found, there), flush=True)
    return 2 if failed else 0


def listing() -> str:
    """A table of everything that has a name: role, size, licence, whether it is here, repository and revision."""
    rows = [("name", "role", "size", "licence", "", "repository @ revision")]
    for w in hub.WEIGHTS.values():
        state = "shipped" if w.file else "here" if hub.here(w) else ""
        source = f"{w.repo} @ {w.revision[:7]}" if w.repo else ""
        rows.append((w.name, w.role, _size(w.size), w.licence + " *" * w.noncommercial, state, source))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    notes = [
        "* non-commercial use only",
        "timm:NAME is any plain vision transformer of timm that knows ImageNet's classes",
    ]
    return "\n".join([*lines, *notes])


def _told(weights: Weights, found: Found, there: bool) -> str:
    """What is printed of weights that are here now, in two lines."""
    state = "ships with the project" if weights.file else "was here already" if there else "fetched"
    only = " (non-commercial use only)" if weights.noncommercial else ""
    size = _size(found.path.stat().st_size)
    return (
        f"{weights.name} ({weights.role}): {state}, {size}, revision {found.revision}, licence {weights.licence}{only}"
        f"\n    {_short(found.path)}"
    )


def _short(path: Path) -> str:
    """A path as people write it, with ~ for their home."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


def _size(count: int) -> str:
    """Bytes as people say them; 0 is what is not known."""
    if not count:
        return "size unknown"
    return next((f"{count / unit:.3g} {name}" for unit, name in ((1e9, "GB"), (1e6, "MB")) if count >= unit), "<1 MB")


class _Bar:
    """A progress bar in one line of stderr; nothing where that is no terminal."""

    def __init__(self, name: str):
        self.name, self.shown = name, sys.stderr.isatty()
        self.begun: tuple[float, int] | None = None
        self.drawn = 0.0

    def __enter__(self) -> "_Bar":
        return self

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        self.begun = self.begun or (now, done)  # what an earlier run had fetched says nothing of the speed
        if self.shown and (now - self.drawn >= PERIOD or done == total):
            self.drawn = now
            line = self.line(done, total, now)[: shutil.get_terminal_size().columns - 1]
            print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)

    def line(self, done: int, total: int, now: float) -> str:
        """What is drawn: a bar, the bytes, the speed and the time left."""
        full = int(WIDTH * done / max(total, 1))
        text = f"{self.name} [{'#' * full}{'.' * (WIDTH - full)}] {done / 1e6:.1f} of {total / 1e6:.1f} MB"
        seconds, fetched = now - self.begun[0], done - self.begun[1]
        if seconds >= 1 and fetched > 0:
            speed = fetched / seconds
            text += f", {speed / 1e6:.1f} MB/s, {_time((total - done) / speed)} left"
        return text

    def __exit__(self, *_) -> None:
        if self.drawn:
            print(file=sys.stderr, flush=True)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
