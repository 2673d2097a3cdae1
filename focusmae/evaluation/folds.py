"""Labelled clips of a folder, and folds that keep together what belongs together.

A folder holds a table (.tsv or .csv) whose head names ``path`` and ``label``, and perhaps ``group``: the patient, or
whatever else must not stand on both sides. Without one, labels are the names of the sub-folders, and each file is its
own group. Files with the same content belong together in any case.
"""

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from focusmae.errors import MediaError, SettingsError
from focusmae.media import open_media
from focusmae.training.data import CLIPS

TABLES = {".tsv": "\t", ".csv": ","}


@dataclass(frozen=True)
class Clip:
    """One file, its label, its group, and the SHA-256 of its bytes ("" until it was opened)."""

    path: Path
    name: str
    label: str
    group: str
    sha256: str = ""


def read_clips(
    folder: Path, merge: dict[str, str], report: Callable[[str], None] = lambda _: None
) -> tuple[list[Clip], list[dict]]:
    """(the clips that open, in the order of their names, [{name, why}] of those that do not).

    merge: label -> label in whose place it is counted; one that does not occur is of no consequence.
    Raises SettingsError for a folder that is not there or holds no labelled clip.
    """
    if not folder.is_dir():
        raise SettingsError(f"There is no folder {folder.name}; a study takes a folder of labelled clips.")
    found = _tabled(folder) or _foldered(folder)
    if not found:
        raise SettingsError(
            f"No labelled clips in {folder.name}: a table with the columns path and label, or a sub-folder for each "
            "label, works."
        )
    clips, broken = [], []
    for clip in sorted(found, key=lambda each: each.name):
        try:
            media = open_media(clip.path, clip.name)
        except MediaError as error:
            broken.append({"name": clip.name, "why": str(error)})
            report(f"skipped {clip.name}: {error}")
            continue
        clips.append(replace(clip, label=merge.get(clip.label, clip.label), sha256=media.sha256))
    return _joined(clips), broken


def make_folds(clips: list[Clip], count: int) -> list[int]:
    """The fold of each clip: whole groups, the largest first, each to where it keeps the labels most evenly spread.

    Raises SettingsError where that cannot be done: fewer than two labels, or a label of fewer groups than folds.
    """
    labels = sorted({clip.label for clip in clips})
    if count < 2 or len(labels) < 2:
        raise SettingsError(f"A study needs two labels and two folds or more, not {len(labels)} and {count}.")
    for label in labels:
        groups = {clip.group for clip in clips if clip.label == label}
        if len(groups) < count:
            raise SettingsError(f"The label {label} has {len(groups)} groups, too few for {count} folds.")
    sizes: dict[str, np.ndarray] = {}
    for clip in clips:
        sizes.setdefault(clip.group, np.zeros(len(labels)))[labels.index(clip.label)] += 1
    order = sorted(sizes, key=lambda group: (-sizes[group].sum(), hashlib.sha1(group.encode()).hexdigest()))
    total, held, fold_of = sum(sizes.values()), np.zeros((count, len(labels))), {}
    for group in order:
        unevenness = []
        for fold in range(count):
            after = held.copy()
            after[fold] += sizes[group]
            unevenness.append((round(float((after / total).std(0).mean()), 9), held[fold].sum(), fold))
        fold_of[group] = min(unevenness)[2]
        held[fold_of[group]] += sizes[group]
    return [fold_of[clip.group] for clip in clips]


def _tabled(folder: Path) -> list[Clip]:
    for path in sorted(each for each in folder.iterdir() if each.suffix.lower() in TABLES):
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            rows = list(csv.DictReader(file, delimiter=TABLES[path.suffix.lower()]))
        if rows and {"path", "label"} <= rows[0].keys():
            return [
                Clip(folder / row["path"], row["path"], row["label"], row.get("group") or row["path"])
                for row in rows
                if row["path"] and row["label"]
            ]
    return []


def _foldered(folder: Path) -> list[Clip]:
    found = [path for path in folder.rglob("*") if path.suffix.lower() in CLIPS and path.parent != folder]
    names = [(path, path.relative_to(folder).as_posix()) for path in found]
    return [Clip(path, name, path.parent.name, name) for path, name in names]


def _joined(clips: list[Clip]) -> list[Clip]:
    """Groups that share a file's content become one."""
    names = {clip.group: clip.group for clip in clips}

    def root(group: str) -> str:
        while names[group] != group:
            group = names[group]
        return group

    seen: dict[str, str] = {}
    for clip in clips:
        names[root(clip.group)] = root(seen.setdefault(clip.sha256, clip.group))
    return [replace(clip, group=root(clip.group)) for clip in clips]
