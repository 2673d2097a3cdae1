"""Folders of pictures and clips beside what people drew on them: label maps, read and cut as views are.

A folder holds lists, ``train.txt``, ``val.txt``, ``test.txt``, with a line ``picture<TAB>map,map,...`` (one map per
person) or ``clip<TAB>folder of maps`` (one per frame, in the order of their names); or, without lists, ``images/`` and
``masks/`` in which ``images/a/b.jpg`` belongs to ``masks/a/b.png`` and ``masks/a/b_*.png``. A label map is a PNG whose
grey values, palette entries or colours are ids; it has the shape of its picture.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from focusmae.errors import MediaError
from focusmae.media import Media, View

SAME_SHAPE = 0.01  # by how much the sides' ratios of a map and its picture may differ
PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class Labelled:
    """name: for people.  media: the picture or clip.  maps: its label maps; of a clip the one folder of them."""

    name: str
    media: Path
    maps: tuple[Path, ...]


def find_labelled(folder: Path, part: str | None = None) -> list[Labelled]:
    """What a folder holds, sorted by name.

    Args:
        part: the list to read, such as "val"; None = all lists, or the folders where there are none.
    Raises:
        MediaError: nothing there that can be read as such a folder.
    """
    lists = [folder / f"{part}.txt"] if part else sorted(folder.glob("*.txt"))
    found = [item for path in lists if path.is_file() for item in _listed(folder, path)]
    if not found and not part:
        found = list(_paired(folder))
    if not found:
        where = f"{folder.name}/{part}.txt" if part else folder.name
        raise MediaError(f"There are no pictures with label maps in {where}: lists, or images/ beside masks/, work.")
    return sorted(found, key=lambda item: item.name)


def _listed(folder: Path, path: Path):
    for line in path.read_text("utf-8", errors="replace").splitlines():
        media, tab, maps = line.partition("\t")
        if tab and maps.strip():
            yield Labelled(media, folder / media, tuple(folder / name.strip() for name in maps.split(",")))


def _paired(folder: Path):
    for media in (folder / "images").rglob("*"):
        if media.suffix.lower() in PICTURES:
            inside = media.relative_to(folder / "images")
            there = (folder / "masks" / inside).parent
            maps = sorted({*there.glob(f"{media.stem}.png"), *there.glob(f"{media.stem}_*.png")})
            if maps:
                yield Labelled(inside.as_posix(), media, tuple(maps))


def read_label_map(path: Path) -> np.ndarray:
    """(H, W) int64 ids of a PNG; colours become ids in the order of their values, black always 0. Raises MediaError."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            values = np.asarray(image).astype(np.int64)
    except FileNotFoundError as error:
        raise MediaError(f"The label map {path.name} does not exist.") from error
    except Exception as error:  # decoders raise nearly anything
        raise MediaError(f"The label map {path.name} is damaged or no PNG.") from error
    if values.ndim == 2:
        return values
    if values.shape[2] < 3:  # grey with transparency
        return values[..., 0]
    values = (values[..., :3] * [1 << 16, 1 << 8, 1]).sum(-1)
    return np.unique(values, return_inverse=True)[1].reshape(values.shape) + int(values.min() > 0)


def is_object_mask(labels: np.ndarray) -> bool:
    """Whether a label map holds 0 and one other id alone: an object before what is none; else all ids are regions."""
    ids = np.unique(labels)
    return len(ids) == 2 and ids[0] == 0


def maps_of(maps: tuple[Path, ...], media: Media, view: View, side: int | None = None) -> list[np.ndarray]:
    """Label maps over a view of their media: for each, (T, S, S) int64, or (T, side, side).

    Args:
        maps: files, or of a clip a folder with one per frame, in the order of their names; a file serves all frames.
    Raises:
        MediaError: a map is missing, damaged, or of another shape than its picture, or a folder holds too few.
    """
    return [_over_frames(path, media, view, side) for path in maps]


def _over_frames(path: Path, media: Media, view: View, side: int | None) -> np.ndarray:
    if not path.is_dir():
        return np.stack([over_view(path, media, view, side)] * len(view.times))
    files = sorted(path.glob("*.png"))
    # Where frames come unevenly, a time times the mean rate may point a little beyond the last one.
    numbers = np.rint(np.asarray(view.times) * media.fps).astype(int).clip(max=media.frames - 1)
    if numbers.max() >= len(files):
        raise MediaError(
            f"The folder {path.name} holds {len(files)} label maps, too few for {media.frames} frames of {media.name}."
        )
    cuts = {number: over_view(files[number], media, view, side) for number in set(numbers.tolist())}
    return np.stack([cuts[number] for number in numbers.tolist()])


def over_view(path: Path, media: Media, view: View, side: int | None = None) -> np.ndarray:
    """A label map at the pixels of a view: (S, S) int64, or (side, side). Raises MediaError.

    The map may have another resolution than its picture, but not another shape.
    """
    labels = read_label_map(path)
    height, width = labels.shape
    if abs(width * media.height / (height * media.width) - 1) > SAME_SHAPE:
        raise MediaError(
            f"The label map {path.name} is {width} × {height} pixels, but its picture {media.width} × {media.height}."
        )
    side = side or view.frames.shape[1]
    centres = (np.arange(side) + 0.5) / side
    x0, y0, x1, y1 = view.box
    columns = ((x0 + (x1 - x0) * centres) * width / media.width).astype(int).clip(0, width - 1)
    rows = ((y0 + (y1 - y0) * centres) * height / media.height).astype(int).clip(0, height - 1)
    return labels[rows[:, None], columns]
