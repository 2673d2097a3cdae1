"""What training reads: folders of pictures and clips, split into train, val and test.

A folder with ``train.txt``, ``val.txt``, ``test.txt`` (lines ``path<TAB>label``) is split as the files say (further
``train_*.txt`` join the training part); any other folder is split 90/5/5 by a hash of each file's name, labels being
the names of sub-folders. Pictures also serve as clips: a slow pan and zoom over them.
"""

import functools
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from focusmae.errors import SettingsError
from focusmae.masking import Grid

PHOTOS, CLIPS = {".jpg", ".jpeg", ".png", ".webp"}, {".mp4", ".webm", ".mov", ".gif"}
SIDE, FRAMES, PATCH = 224, 16, 16
PHOTO_GRID, CLIP_GRID = Grid(1, 14, 14), Grid(8, 14, 14)  # tokens of such photos and clips


@dataclass(frozen=True)
class Item:
    """One file and its label ("" where there is none)."""

    path: Path
    label: str

    @property
    def is_clip(self) -> bool:
        return self.path.suffix.lower() in CLIPS


def read_items(folders: list[Path], part: str) -> list[Item]:
    """All items of ``part`` ("train", "val" or "test") in the folders, in a fixed order.

    Raises SettingsError for a folder that is missing or holds no picture and no clip.
    """
    items = []
    for folder in folders:
        if not folder.is_dir():
            raise SettingsError(f"There is no folder {folder.name}; --data takes folders of pictures or clips.")
        lists = [folder / f"{part}.txt"] if (folder / f"{part}.txt").exists() else []
        if part == "train":
            lists += sorted(folder.glob("train_*.txt"))
        found = _listed(folder, lists) if lists else _hashed(folder, part)
        items += [item for item in found if item.path.suffix.lower() in PHOTOS | CLIPS]
    if not items:
        names = ", ".join(folder.name for folder in folders)
        raise SettingsError(f"No picture and no clip for the {part} part in {names}.")
    return items


def labelled_photos(folders: list[Path]) -> tuple[list[Item], list[str]]:
    """The training part's photos with a label, and the labels in order. SettingsError if these are fewer than two."""
    items = [item for item in read_items(folders, "train") if item.label and not item.is_clip]
    labels = sorted({item.label for item in items})
    if len(labels) < 2:
        raise SettingsError("A classifier needs photos of two labels or more; put them into one folder for each label.")
    return items, labels


def held_out_photos(folders: list[Path], labels: list[str], count: int) -> list[Item]:
    """About ``count`` photos of the validation part with one of the labels, evenly spaced. SettingsError if none."""
    items = [item for item in read_items(folders, "val") if item.label in labels and not item.is_clip]
    if not items:
        raise SettingsError("The validation part holds no labelled photo; add a --data folder with more photos.")
    return items[:: max(1, len(items) // count)][:count]


def _listed(folder: Path, lists: list[Path]) -> list[Item]:
    rows = [line.split("\t") for file in lists for line in file.read_text().splitlines() if line.strip()]
    return [Item(folder / row[0], row[1] if len(row) == 2 and "/" not in row[1] else "") for row in rows]


def _hashed(folder: Path, part: str) -> list[Item]:
    def part_of(path: Path) -> str:
        place = int(hashlib.sha1(path.name.encode()).hexdigest(), 16) % 20
        return {0: "val", 1: "test"}.get(place, "train")

    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PHOTOS | CLIPS)
    return [
        Item(p, p.parent.name if p.parent != folder else "") for p in files if part_of(p) == part
    ]


def read_photo(path: Path) -> torch.Tensor:
    """The centre square as uint8 (3, 224, 224); the last 10,000 (1.5 GB) are kept until their files change."""
    return _photo(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=10_000)
def _photo(path: Path, _changed: int) -> torch.Tensor:
    with Image.open(path) as image:
        image = image.convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


@functools.lru_cache(maxsize=128)
def read_clip(path: Path) -> torch.Tensor:
    """All frames (at most 300), centre square, uint8 (T, 3, 224, 224)."""
    frames = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            side = min(frame.width, frame.height)
            scale = SIDE / side
            size = {"width": round(frame.width * scale), "height": round(frame.height * scale)}
            image = frame.reformat(**size, format="rgb24").to_ndarray()
            left, top = (image.shape[1] - SIDE) // 2, (image.shape[0] - SIDE) // 2
            frames.append(torch.from_numpy(image[top : top + SIDE, left : left + SIDE].copy()).permute(2, 0, 1))
            if len(frames) == 300:
                break
    return torch.stack(frames)


def clip_window(frames: torch.Tensor, draw: float | None = None) -> torch.Tensor:
    """16 frames of (T, 3, H, W) at a stride of up to 4 (VideoMAE); ``draw`` in [0, 1) places the window, None centres.

    Shorter clips are stretched: frames repeat in order.
    """
    count = len(frames)
    stride = max(1, min(4, (count - 1) // (FRAMES - 1)))
    span = stride * (FRAMES - 1) + 1
    start = int((max(count - span, 0) + 1) * (0.5 if draw is None else draw))
    index = start + stride * torch.arange(FRAMES)
    if count < FRAMES:
        index = torch.linspace(0, count - 1, FRAMES).round().long()
    return frames[index.clamp(max=count - 1)]


def crop(
    pictures: torch.Tensor,
    boxes: torch.Tensor,
    flips: torch.Tensor | None = None,
    visible: torch.Tensor | None = None,
    side: int = SIDE,
) -> torch.Tensor:
    """Cut boxes out of pictures, resized to ``side``: uint8 (M, 3, H, W), boxes (M, 4) = x0, y0, x1, y1 in [0, 1].

    Returns float (M, 3, side, side) in [0, 1]; never shrinks by much, so bilinear sampling is enough. With ``visible``
    (M, K), at 224 px, only these patches are computed, and the others are black.
    """
    where = box_grid(boxes, flips, side)
    if visible is None:
        return _sample(pictures, where)
    count, cells = len(boxes), SIDE // PATCH
    rows = torch.arange(count).unsqueeze(1)
    across = where[:, 0, :, 0].view(count, cells, PATCH)[rows, visible % cells]
    down = where[:, :, 0, 1].view(count, cells, PATCH)[rows, visible // cells]
    squares = torch.stack(torch.broadcast_tensors(across.unsqueeze(2), down.unsqueeze(3)), dim=-1)
    found = _sample(pictures, squares.flatten(1, 2))
    result = torch.zeros(count, cells, PATCH, cells, PATCH, 3).transpose(2, 3)
    result[rows, visible // cells, visible % cells] = found.view(count, 3, -1, PATCH, PATCH).permute(0, 2, 3, 4, 1)
    return result.transpose(2, 3).reshape(count, SIDE, SIDE, 3).permute(0, 3, 1, 2)


def _sample(pictures: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(pictures.float() / 255, where, align_corners=False, padding_mode="reflection").clamp(0, 1)


def box_grid(boxes: torch.Tensor, flips: torch.Tensor | None = None, side: int = SIDE) -> torch.Tensor:
    """Sampling positions (M, side, side, 2) for ``F.grid_sample`` that cut boxes (M, 4) out of whole pictures."""
    centres = (torch.arange(side) + 0.5) / side
    x0, y0, x1, y1 = (2 * boxes - 1).unsqueeze(-1).unbind(1)
    across = torch.where(flips.unsqueeze(1), 1 - centres, centres) if flips is not None else centres
    across, down = x0 + (x1 - x0) * across, y0 + (y1 - y0) * centres
    return torch.stack(torch.broadcast_tensors(across.unsqueeze(1), down.unsqueeze(2)), dim=-1)


def random_boxes(count: int, generator: torch.Generator, smallest: float = 0.35) -> torch.Tensor:
    """Random boxes (M, 4) of at least the share ``smallest`` of the area and an aspect of 3/4 to 4/3."""
    area = smallest + (1 - smallest) * torch.rand(count, generator=generator)
    ratio = torch.exp((torch.rand(count, generator=generator) - 0.5) * 2 * np.log(4 / 3))
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    x = (1 - width) * torch.rand(count, generator=generator)
    y = (1 - height) * torch.rand(count, generator=generator)
    return torch.stack([x, y, x + width, y + height], dim=1)


def pan_and_zoom(photos: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Photos uint8 (B, 3, 224, 224) -> clips float (B, 3, 16, 224, 224) in [0, 1]: a box that glides and resizes."""
    return glide(photos, glide_boxes(len(photos), generator))


def glide_boxes(count: int, generator: torch.Generator) -> torch.Tensor:
    """Boxes (M, 16, 4) that move evenly from one random place and size towards another."""
    first, last = random_boxes(count, generator, 0.45), random_boxes(count, generator, 0.45)
    reach = 0.5 * torch.rand(count, 1, generator=generator)
    steps = torch.linspace(0, 1, FRAMES).view(1, FRAMES, 1)
    return torch.lerp(first.unsqueeze(1), torch.lerp(first, last, reach).unsqueeze(1), steps)


def glide(photos: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """The clips (B, 3, 16, 224, 224) that boxes (B, 16, 4) cut out of photos uint8 (B, 3, 224, 224)."""
    frames = crop(photos.repeat_interleave(FRAMES, 0), boxes.reshape(-1, 4))
    return frames.view(len(photos), FRAMES, 3, SIDE, SIDE).transpose(1, 2)


def first_readable(items: list, number: int, read: Callable, errors: tuple[type[Exception], ...]):
    """read(items[number]), or of the next item that reads, round to the first; None if none does.

    A broken file is named by its item's ``path``, so that nobody trains on less without knowing.
    """
    for item in (*items[number:], *items[:number]):
        try:
            return read(item)
        except errors as error:
            print(f"skipped {item.path.name}: {error}", file=sys.stderr, flush=True)
    return None


class Reader(torch.utils.data.Dataset):
    """Reads items by number: photos uint8 (3, 224, 224), or clip windows (16, 3, 224, 224), with the label's number."""

    def __init__(self, items: list[Item], labels: list[str] = (), seed: int = 0, fixed: bool = False):
        self.items, self.seed, self.fixed = items, seed, fixed
        self.numbers = {label: number for number, label in enumerate(labels)}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int | tuple[int, int]) -> tuple[torch.Tensor, int]:
        number, draw = place if isinstance(place, tuple) else (place, 0)
        found = first_readable(
            self.items, number, lambda item: self._read(item, number, draw), (OSError, ValueError, av.FFmpegError)
        )
        if found is None:
            raise SettingsError("None of the pictures and clips can be read.")
        return found

    def _read(self, item: Item, number: int, draw: int) -> tuple[torch.Tensor, int]:
        label = self.numbers.get(item.label, -1)
        if not item.is_clip:
            return read_photo(item.path), label
        position = None if self.fixed else torch.rand((), generator=step_generator(self.seed, draw, number)).item()
        return clip_window(read_clip(item.path), position), label


class Steps(torch.utils.data.Sampler):
    """Batches as a function of the step alone, so that a resumed run sees what an unbroken one would have seen."""

    def __init__(self, size: int, batch: int, first: int, last: int, seed: int, rank: int = 0, world: int = 1):
        self.size, self.batch, self.range = size, batch, range(first, last)
        self.seed, self.rank, self.world = seed, rank, world

    def __len__(self) -> int:
        return len(self.range)

    def __iter__(self):
        epoch, order = -1, []
        for step in self.range:
            start = (step * self.world + self.rank) * self.batch
            batch = []
            for place in range(start, start + self.batch):
                if place // self.size != epoch:
                    epoch = place // self.size
                    order = torch.randperm(self.size, generator=step_generator(self.seed, 7, epoch)).tolist()
                batch.append((order[place % self.size], step))
            yield batch


def step_generator(*numbers: int) -> torch.Generator:
    """A generator that depends on the numbers alone (seed, step, rank, ...)."""
    digest = hashlib.sha256(repr(numbers).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def batches(reader: Reader, batch: int, first: int, last: int, seed: int, rank: int = 0, world: int = 1):
    """Iterator over steps ``first`` to ``last`` - 1, read ahead by one background process."""
    return read_ahead(reader, Steps(len(reader), batch, first, last, seed, rank, world))


def read_ahead(dataset: torch.utils.data.Dataset, sampler):
    """Iterator over the batches that ``sampler`` lists, read by one background process."""
    loader = torch.utils.data.DataLoader(
        dataset, batch_sampler=sampler, num_workers=1, prefetch_factor=4, worker_init_fn=_one_thread
    )
    return iter(loader)


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
