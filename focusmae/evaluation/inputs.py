"""What is evaluated: pictures and clips found in folders, with the labels and masks that lie beside them.

A folder with ``train.txt``, ``val.txt`` or ``test.txt`` is read as those lists say (``path<TAB>label``, or
``path<TAB>masks``: files separated by commas, or a folder with one mask per frame). Any other folder is read whole:
labels are the names of the folders around each file, masks lie under ``masks/`` with the same path, as
``masks/dogs/rex.png`` for ``dogs/rex.jpg``, or ``masks/dogs/rex/*.png``, one per frame, for ``dogs/rex.mp4``.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from focusmae.errors import MediaError, SettingsError
from focusmae.media import LIMITS, open_media
from focusmae.training.data import read_items

PARTS = ("test", "val", "train")
MASKS = "masks"
_PICTURE_FOLDERS = {"images", "clips"}  # in which a data set keeps its pictures, beside its masks
# Endings of what people mean as pictures and clips, though some cannot be read: those are named, not passed over.
_MEDIA = {*LIMITS.extensions, ".bmp", ".tif", ".tiff", ".heic", ".avif", ".avi", ".mkv", ".m4v", ".mpg"}


@dataclass(frozen=True)
class Input:
    """One file. ``labels``: what it may be called, the nearest folder first; ``masks``: files or one folder."""

    path: Path
    name: str
    labels: tuple[str, ...] = ()
    masks: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Found:
    """An input that opens, and what its content is: kind "image" or "clip", SHA-256 of the bytes."""

    input: Input
    kind: str
    sha256: str


def gather(data: list[Path], part: str = "test") -> list[Input]:
    """All inputs of the folders and files in ``data``, shuffled by their names, always alike.

    Raises SettingsError for a path that is not there, a folder without pictures, or lists without ``part``.
    """
    if part not in PARTS:
        raise SettingsError(f"There is no part {part!r}; choose from {', '.join(PARTS)}.")
    found = []
    for path in data:
        if path.is_file():
            found.append(Input(path, path.name, (path.resolve().parent.name,)))
        elif not path.is_dir():
            raise SettingsError(f"There is no folder and no file {path.name}; name pictures, clips or folders of them.")
        elif any((path / f"{name}.txt").is_file() for name in PARTS):
            found += _listed(path, part)
        else:
            found += _walked(path)
    if not found:
        names = ", ".join(path.name for path in data)
        raise SettingsError(f"No picture and no clip in {names or 'nothing'}; name folders that hold some.")
    # An order without rhyme, so that the first so many are a fair sample, and more of them contain the fewer.
    return sorted(found, key=lambda each: hashlib.sha1(each.name.encode()).hexdigest())


def survey(
    inputs: list[Input], limit: int | None, report: Callable[[str], None] = lambda _: None
) -> tuple[list[Found], list[dict], list[str]]:
    """(the first ``limit`` inputs that open, [{name, why}] of those that do not, names that repeat another's content).

    Raises SettingsError if none opens.
    """
    found, broken, repeated, seen = [], [], [], set()
    for each in inputs:
        if len(found) == limit:
            break
        try:
            media = open_media(each.path, each.name)
        except MediaError as error:
            broken.append({"name": each.name, "why": str(error)})
            report(f"skipped {each.name}: {error}")
            continue
        if media.sha256 in seen:  # the same picture twice would count as two witnesses
            repeated.append(each.name)
            continue
        seen.add(media.sha256)
        found.append(Found(each, media.kind, media.sha256))
    if not found:
        raise SettingsError("None of the pictures and clips can be read.")
    return found, broken, repeated


def match(names: tuple[str, ...], labels: list[str]) -> int | None:
    """Number of the first of ``labels`` that one of ``names`` means, the nearest name first; None if none does.

    Case, spaces, underscores and hyphens do not count; a WordNet number in front (n01440764_tench) and what follows a
    comma in a label ("tench, Tinca tinca") are read as further names.
    """
    meanings: dict[str, int] = {}
    for number, label in enumerate(labels):
        for synonym in (label, *label.split(",")):
            meanings.setdefault(plain(synonym), number)
    return next((meanings[plain(name)] for name in names if plain(name) in meanings), None)


def plain(name: str) -> str:
    """A name by its letters and digits alone, in lower case."""
    return re.sub(r"[\W_]", "", re.sub(r"^n\d{8}[ _-]+", "", name.strip()).lower())


def _listed(folder: Path, part: str) -> list[Input]:
    if not (folder / f"{part}.txt").is_file():
        there = ", ".join(name for name in PARTS if (folder / f"{name}.txt").is_file())
        raise SettingsError(f"{folder.name} has no {part}.txt; choose another part, it has {there}.")
    rows = [line.split("\t") for line in (folder / f"{part}.txt").read_text().splitlines()]
    masks = {row[0]: row[1].split(",") for row in rows if len(row) == 2 and "/" in row[1]}
    return [
        Input(
            item.path,
            name := item.path.relative_to(folder).as_posix(),
            (item.label,) if item.label else (),
            tuple(folder / mask for mask in masks.get(name, ())),
        )
        for item in read_items([folder], part)
    ]


def _walked(folder: Path) -> list[Input]:
    found = []
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in place.parts)
        if hidden or place.parts[0] == MASKS or path.suffix.lower() not in _MEDIA or not path.is_file():
            continue
        around = (*reversed(place.parts[:-1]), folder.resolve().name)
        found.append(Input(path, place.as_posix(), around, _masks_beside(folder, place)))
    return found


def _masks_beside(folder: Path, place: Path) -> tuple[Path, ...]:
    inner = Path(*place.parts[1:]) if place.parts[0] in _PICTURE_FOLDERS and len(place.parts) > 1 else place
    for each in (place, inner):
        for mask in (folder / MASKS / each.with_suffix(".png"), folder / MASKS / each.with_suffix("")):
            if mask.exists():
                return (mask,)
    return ()
