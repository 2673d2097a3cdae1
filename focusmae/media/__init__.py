"""User bytes -> Media -> View: the only place that decodes what visitors send, and the writers.

A ``View`` is what is compared: one frame of a photo, or 16 frames evenly spaced over at most 2.56 s of a
clip, VideoMAE's protocol on Kinetics (Tong et al., NeurIPS 2022: 16 frames, every 4th of 25 a second).
Several clips and crops follow its test protocol: windows spread over the clip, squares along the long side.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from focusmae.errors import MediaError, SettingsError
from focusmae.media.clip import ClipReader
from focusmae.media.file import call_it, check_bytes, form_of, read_file
from focusmae.media.image import Box, PhotoReader, check_photo_size, check_smallest, square
from focusmae.media.limits import LIMITS, Limits
from focusmae.media.write import write_mp4, write_png

if TYPE_CHECKING:
    import torch

__all__ = ["LIMITS", "Limits", "Media", "View", "open_media", "write_mp4", "write_png"]

ARRAY_FPS = 25.0  # frames a second of a clip that comes as an array


@dataclass(frozen=True, eq=False)
class View:
    """The square cut that is compared.

    frames: uint8 (T, S, S, 3) RGB, T = 1 for a photo, 16 for a clip; 224 <= S <= 1024, even.
    box: (x0, y0, x1, y1) in pixels of the upright media.  times: T seconds since the clip's first frame.
    """

    frames: np.ndarray
    box: Box
    times: tuple[float, ...]

    def pixels(self, size: int = 224) -> torch.Tensor:
        """float32 (1, 3, T, size, size) in [0, 1], antialiased."""
        import torch  # only here: a page can list and read media before torch is loaded

        pixels = torch.from_numpy(np.ascontiguousarray(self.frames)).permute(0, 3, 1, 2).float() / 255
        if pixels.shape[-1] != size:
            pixels = torch.nn.functional.interpolate(
                pixels, (size, size), mode="bicubic", antialias=True, align_corners=False
            ).clamp(0, 1)
        return pixels.transpose(0, 1)[None].contiguous()


class Reader(Protocol):
    """What decodes one input: the times of its frames in seconds, and square cuts of the wanted ones."""

    width: int
    height: int
    fps: float
    duration: float
    times: np.ndarray

    def cut(self, wanted: list[int], boxes: list[Box], side: int) -> dict[int, list[np.ndarray]]: ...


@dataclass(frozen=True, eq=False)
class Media:
    """What the visitor sent, checked against LIMITS; pixels are decoded when a view is asked for.

    kind: "image" or "clip".  width, height: pixels, upright.  frames: their number (1 for a photo).
    fps: mean frames a second, duration: seconds (both 0.0 for a photo).  name: for people.
    sha256: hexadecimal, of the bytes (of shape and pixels for arrays and PIL images).
    """

    kind: str
    width: int
    height: int
    frames: int
    fps: float
    duration: float
    name: str
    sha256: str
    _reader: Reader = field(repr=False)

    def view(self) -> View:
        """The central view of the usual size. Raises MediaError when the pixels cannot be decoded."""
        return self.views()[0]

    def views(
        self,
        clips: int = 1,
        crops: int = 1,
        size: int | None = None,
        start: float | None = None,
        seconds: float | None = None,
    ) -> list[View]:
        """``clips`` windows x ``crops`` squares, crops running fastest; a photo has one window.

        clips: 1 to 10 windows, spread evenly over the clip (one: its middle).  crops: 1 (centre) or 3 (left,
        centre, right; top, middle, bottom of an upright format).  size: side of the frames, 224 to 1024, by
        default 512 for photos and 256 for clips; never more than the media's short side, but at least 224.
        start: seconds at which a single window begins (None: it stands in the middle).  seconds: length of a
        window (None: 2.56, or the whole of a shorter clip). Both are of no consequence for a photo.
        Raises SettingsError for values out of range, MediaError when the pixels cannot be decoded.
        """
        if not isinstance(clips, int) or not 1 <= clips <= LIMITS.most_clips:
            raise SettingsError(f"{clips} is no number of clips: from 1 to {LIMITS.most_clips} work.")
        if crops not in LIMITS.crops:
            works = " or ".join(map(str, LIMITS.crops))
            raise SettingsError(f"{crops} is no number of crops: {works} works.")
        least, most = LIMITS.view_sides
        size = size or (512 if self.kind == "image" else 256)
        if not least <= size <= most:
            raise SettingsError(f"A view cannot be {size} pixels wide: from {least} to {most} works.")
        side = max(least, min(size, self.width, self.height)) // 2 * 2
        windows = [[0]] if self.kind == "image" else self._windows(clips, start, seconds)
        if len(windows) * crops * len(windows[0]) * side * side * 3 > LIMITS.views_bytes:
            raise SettingsError("So many clips and crops do not fit into memory at this size: ask for fewer.")
        boxes = square_boxes(self.width, self.height, crops)
        cuts = self._reader.cut(sorted({index for window in windows for index in window}), boxes, side)
        return [
            View(
                frames=np.stack([cuts[index][place] for index in window]),
                box=box,
                times=tuple(float(self._reader.times[index]) for index in window),
            )
            for window in windows
            for place, box in enumerate(boxes)
        ]


    def _windows(self, clips: int, start: float | None, seconds: float | None) -> list[list[int]]:
        if start is not None and not 0 <= start < max(self.duration, 1e-9):
            raise SettingsError(f"The clip lasts {self.duration:.1f} s: a window can begin from 0 s to before that.")
        if seconds is not None and not seconds > 0:
            raise SettingsError(f"A window cannot last {seconds} s: any length above 0 works.")
        return sample_windows(self._reader.times, self.duration, clips, start, seconds)

def sample_windows(
    times: np.ndarray, duration: float, clips: int, start: float | None = None, seconds: float | None = None
) -> list[list[int]]:
    """``clips`` lists of 16 frame numbers, ascending, repeated where the clip has too few.

    times: (F,) seconds of each frame, ascending.  A window lasts ``seconds`` (2.56), or the whole clip if that
    is shorter; each sixteenth of it gives the frame on screen at its middle, whatever the frame rate.  A single
    window begins at ``start`` seconds, moved back where it would run over the end.
    """
    length = min(seconds or LIMITS.window_seconds, duration)
    room = duration - length
    first = room / 2 if start is None else min(start, room)
    starts = [first] if clips == 1 else np.linspace(0, room, clips)
    middles = (np.arange(LIMITS.view_frames) + 0.5) * length / LIMITS.view_frames
    on_screen = [np.searchsorted(times, start + middles + 1e-6, side="right") - 1 for start in starts]
    return [np.clip(window, 0, len(times) - 1).tolist() for window in on_screen]


def square_boxes(width: int, height: int, crops: int) -> list[Box]:
    """Squares of the short side along the long side: the centre, or both ends and the centre."""
    side, room = min(width, height), abs(width - height)
    offsets = [room // 2] if crops == 1 else [0, room // 2, room]
    if width >= height:
        return [(offset, 0, offset + side, side) for offset in offsets]
    return [(0, offset, side, offset + side) for offset in offsets]


class ArrayReader:
    """Frames that are already decoded: uint8 (T, H, W, 3) RGB, not copied."""

    def __init__(self, frames: np.ndarray, still: bool):
        self._frames = frames
        self.height, self.width = frames.shape[1:3]
        self.fps = 0.0 if still else ARRAY_FPS
        self.duration = 0.0 if still else len(frames) / ARRAY_FPS
        self.times = np.arange(len(frames)) / ARRAY_FPS

    def cut(self, wanted: list[int], boxes: list[Box], side: int) -> dict[int, list[np.ndarray]]:
        """As ``ClipReader.cut``."""
        size = (self.width, self.height)
        images = {index: Image.fromarray(np.ascontiguousarray(self._frames[index])) for index in wanted}
        return {index: [square(images[index], box, side, size) for box in boxes] for index in wanted}


def open_media(source: str | Path | bytes | np.ndarray | Image.Image, name: str | None = None) -> Media:
    """Checks a photo or a clip against LIMITS; what it is, its content decides and not its name.

    source: a path; the file's bytes; a PIL image; uint8 RGB of (H, W, 3), a photo, or of (T, H, W, 3), a clip
    at 25 frames a second.  name: what to call it in messages (default: the file's name).
    Raises MediaError, whose text is one sentence for the visitor; damage deep inside a file is found by
    ``Media.views`` only, which raises the same.
    """
    if isinstance(source, np.ndarray):
        return _open_array(source, call_it(name or "array"))
    if isinstance(source, Image.Image):
        return _open_picture(source, call_it(name or "image"))
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, data = call_it(name or "upload"), bytes(source)
        check_bytes(len(data), name)
    elif isinstance(source, (str, os.PathLike)):
        name = call_it(name or os.fspath(source))
        data = read_file(source, name)
    else:
        what = type(source).__name__
        raise MediaError(f"A {what} is no media: give a path, bytes, an array or a PIL image.")
    form = form_of(data, name)
    reader = PhotoReader(data, name) if form == "photo" else ClipReader(data, form, name)
    return _media("image" if form == "photo" else "clip", reader, name, hashlib.sha256(data))


def _media(kind: str, reader: Reader, name: str, digest) -> Media:
    return Media(
        kind=kind,
        width=reader.width,
        height=reader.height,
        frames=len(reader.times),
        fps=float(reader.fps),
        duration=float(reader.duration),
        name=name,
        sha256=digest.hexdigest(),
        _reader=reader,
    )


def _open_picture(image: Image.Image, name: str) -> Media:
    reader = PhotoReader(image, name)
    try:
        digest = hashlib.sha256(f"{image.mode} {image.size} ".encode() + image.tobytes())
    except Exception as error:  # a PIL image decodes its file now
        raise MediaError(f'"{name}" is damaged and cannot be decoded: send it again.') from error
    return _media("image", reader, name, digest)


def _open_array(frames: np.ndarray, name: str) -> Media:
    if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or frames.shape[-1] != 3 or not frames.size:
        raise MediaError(
            f'"{name}" is an array of {frames.dtype} {frames.shape}: '
            "uint8 RGB of (H, W, 3) or (T, H, W, 3) works."
        )
    still = frames.ndim == 3
    height, width = frames.shape[-3:-1]
    if still:
        check_photo_size(width, height, name)
    else:
        check_smallest(width, height, name)
        most = int(LIMITS.clip_seconds * ARRAY_FPS)
        if max(width, height) > LIMITS.clip_side or len(frames) > most:
            raise MediaError(
                f'"{name}" is a clip of {len(frames)} frames of {width} × {height} pixels: '
                f"up to {most} frames and {LIMITS.clip_side} pixels a side work."
            )
    digest = hashlib.sha256(f"{frames.shape} ".encode() + np.ascontiguousarray(frames).tobytes())
    reader = ArrayReader(frames[None] if still else frames, still)
    return _media("image" if still else "clip", reader, name, digest)
