"""The run over many inputs: one small file each, so that what is done is never lost; then the report.

Alone, or under ``accelerate launch`` (on CPUs ``torchrun``) on any number of devices and machines that share the
report's folder: inputs are dealt out by their number, every process writes its own rows, and the main process merges
them and does what is missing.
A run that was killed goes on where it was: a row is found again by the hash of all that it depends on.
"""

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from accelerate import PartialState

from focusmae import device
from focusmae.errors import MediaError, SettingsError
from focusmae.evaluation.contenders import Networks, load_networks
from focusmae.evaluation.inputs import Found, gather, survey
from focusmae.evaluation.masks import read_masks
from focusmae.evaluation.measure import measure
from focusmae.evaluation.panels import write_panels
from focusmae.evaluation.plan import Plan
from focusmae.evaluation.plots import write_plots
from focusmae.evaluation.report import make_report
from focusmae.evaluation.sources import Case
from focusmae.evaluation.tables import to_markdown
from focusmae.media import open_media
from focusmae.prepared import foreign_segments, pixels_of
from focusmae.segments.base import SegmentMap, load_segmenter
from focusmae.training.loop import PATIENCE

REPORT_SECONDS = 15
_KEPT_SEGMENTS = 4

Load = Callable[[str], Networks]


def evaluate(
    data: list[Path], out: Path, plan: Plan, report: Callable[[str], None] = print, load: Load | None = None
) -> dict:
    """Measure every arm on every input of ``data``, write the report into ``out``, and return it as a dict.

    Writes out/rows/*.json (one per input), report.json, report.md, curves.png, differences.png, best.jpg, worst.jpg.
    ``load`` gives the networks for "image" or "clip"; by default those that ``plan`` names.

    Raises:
        SettingsError: a setting out of range, a folder that is missing or holds nothing that can be read.
        WeightsError: weights that are missing or damaged.
    """
    plan.check()
    state = PartialState(cpu=device.setup().type == "cpu", timeout=PATIENCE)
    say = report if state.is_main_process else lambda _: None
    found, broken, repeated = survey(gather(data, plan.part), plan.limit, say)
    runner = Runner(found, out, plan, load or (lambda kind: load_planned(plan, kind)))
    runner.work(range(state.process_index, len(found), state.num_processes), say)
    state.wait_for_everyone()
    result = {}
    if state.is_main_process:
        runner.work(range(len(found)), say)  # what a lost process left
        result = runner.finish(broken, repeated)
        say(f"{result['inputs']['count']} inputs, report in {out.name}")
    state.wait_for_everyone()
    return result


def load_planned(plan: Plan, kind: str) -> Networks:
    """The networks that ``plan`` names."""
    return load_networks(kind, plan.models, plan.autoencoder, plan.classifier, plan.judge, plan.scorers)


class Runner:
    """Inputs, their rows on disk, and what it takes to make one."""

    def __init__(self, found: list[Found], out: Path, plan: Plan, load: Load):
        self.found, self.out, self.plan, self._load = found, out, plan, load
        self._segmenter = load_segmenter(plan.segmenter)
        self._networks: dict[str, Networks] = {}
        self._identities: dict[str, str] = {}
        self._segments: dict[int, SegmentMap] = {}
        self._labels = [each.input.labels for each in found]
        if plan.shuffle_labels:
            order = np.random.default_rng(plan.seed).permutation(len(found))
            self._labels = [self._labels[place] for place in order]
        try:
            (out / "rows").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"The folder {out.name} cannot be written; choose another one.") from error

    def networks(self, kind: str) -> Networks:
        """The networks for that kind, loaded when the first such input is met."""
        if kind not in self._networks:
            self._networks[kind] = self._load(kind)
        return self._networks[kind]

    def work(self, numbers: range, say: Callable[[str], None]) -> None:
        """Measure those of the inputs that have no row yet."""
        missing = [number for number in numbers if not self.row_path(number).exists()]
        if len(missing) < len(numbers):
            say(f"{len(numbers) - len(missing)} of {len(numbers)} inputs are measured already")
        began = said = time.monotonic()
        for done, number in enumerate(missing, start=1):
            try:
                row = measure(self.case(number), self.networks(self.found[number].kind), self.plan)
            except MediaError as error:
                row = {"skipped": str(error)}
                say(f"skipped {self.found[number].input.name}: {error}")
            _write(self.row_path(number), json.dumps(row))
            now = time.monotonic()
            if now - said > REPORT_SECONDS or done == len(missing):
                left = (now - began) / done * (len(missing) - done)
                say(f"[{done:>5}/{len(missing)}] {(now - began) / done:6.2f} s an input, {left / 60:5.1f} min left")
                said = now

    def finish(self, broken: list[dict], repeated: list[str]) -> dict:
        """Merge the rows and write the report with its tables and pictures."""
        rows = [json.loads(self.row_path(number).read_text()) for number in range(len(self.found))]
        broken = broken + [
            {"name": each.input.name, "why": row["skipped"]}
            for each, row in zip(self.found, rows, strict=True)
            if "skipped" in row
        ]
        if not any("draws" in row for row in rows):
            raise SettingsError("None of the pictures and clips can be decoded.")
        kinds = sorted({row["kind"] for row in rows if "kind" in row})
        weights = {kind: self.networks(kind).weights() for kind in kinds}
        arms = self.plan.arms(tuple(self.networks(kinds[0]).scorers))
        result = make_report(
            [row for row in rows if "draws" in row], arms, dataclasses.asdict(self.plan), weights, broken, repeated
        )
        _write(self.out / "report.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
        _write(self.out / "report.md", to_markdown(result))
        write_plots(result, self.out)
        numbers = {row["sha256"]: number for number, row in enumerate(rows) if "draws" in row}
        write_panels(rows, numbers, self, self.out)
        return result

    def case(self, number: int, with_foreign: bool = True) -> Case:
        """An input, read and segmented, with another one's segments (else with its own in their place).

        Raises MediaError if it, or a mask of it, cannot be decoded.
        """
        each = self.found[number]
        media = open_media(each.input.path, each.input.name)
        view = media.view()
        pixels = pixels_of(view)
        grid = self.networks(each.kind).classifier.encoder.grid(pixels)
        segments = self._segments.pop(number, None) or self._segmenter(view)
        return Case(
            each.input.name,
            each.kind,
            each.sha256,
            pixels,
            segments,
            self._foreign(number, view) if with_foreign else segments,
            self._labels[number],
            read_masks(each.input.masks, media, view, grid),
        )

    def row_path(self, number: int) -> Path:
        """The file of an input's row, named by all that the row depends on."""
        each, partner = self.found[number], self._partner(number)
        if each.kind not in self._identities:
            weights = [row["fingerprint"] for row in self.networks(each.kind).weights()]
            names = list(self.networks(each.kind).scorers)
            self._identities[each.kind] = json.dumps([self.plan.identity(), weights, names])
        about = [
            self._identities[each.kind], each.sha256, self._labels[number],
            None if partner is None else self.found[partner].sha256, [_file_hash(mask) for mask in each.input.masks],
        ]  # fmt: skip
        return self.out / "rows" / f"{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:24]}.json"

    def _partner(self, number: int) -> int | None:
        """The next input of the same kind, whose segments serve this one as the shuffled control."""
        order = [*range(number + 1, len(self.found)), *range(number)]
        return next((other for other in order if self.found[other].kind == self.found[number].kind), None)

    def _foreign(self, number: int, view) -> SegmentMap:
        partner = self._partner(number)
        if partner is None:
            return foreign_segments(view)
        if partner not in self._segments:
            each = self.found[partner].input
            try:
                other = open_media(each.path, each.name).view()
            except MediaError:
                return foreign_segments(view)
            while len(self._segments) >= _KEPT_SEGMENTS:
                self._segments.pop(next(iter(self._segments)))
            self._segments[partner] = self._segmenter(other)
        return self._segments[partner]


def _file_hash(path: Path) -> str:
    """Hash of a mask, or of a folder's files by name and size; "missing" where there is none."""
    if path.is_dir():
        listing = [(file.name, file.stat().st_size) for file in sorted(path.iterdir())]
        return hashlib.sha256(repr(listing).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"


def _write(path: Path, text: str) -> None:
    """All of it or nothing, whoever else writes the same."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    temporary.write_text(text)
    temporary.replace(path)
