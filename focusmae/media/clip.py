"""Clips through PyAV: packets are counted without decoding, then only the frames that are needed are decoded.

The demuxer is chosen by the file's first bytes, codecs by a list: nothing else of FFmpeg's ever runs on what
users send. Headers may lie, so lengths and sizes are counted while reading. A WebM or GIF that was cut off is
played as far as it goes, as their formats intend; an MP4 or MOV that was cut off is refused.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager

import av
import numpy as np
from PIL import Image

from focusmae.errors import MediaError
from focusmae.media.image import Box, check_smallest, square
from focusmae.media.limits import LIMITS

# FFmpeg's names: of the formats, and of the decoders that may run.
_CODECS = {"h264", "hevc", "vp9", "av1", "vp8", "mpeg4", "gif"}
_DECODERS = "h264,hevc,vp9,libvpx-vp9,libdav1d,av1,vp8,libvpx,mpeg4,gif"
_TOLERANCE = 0.5  # seconds: a clip trimmed to a minute is often a frame or two longer


class ClipReader:
    """A clip's bytes and the times of its frames; frames are decoded at each ``cut`` only.

    ``width``, ``height``: upright, square pixels. ``times`` (F,) float: seconds of each frame since the
    first, ascending. ``duration`` in seconds, ``fps`` the mean rate. ``container``: FFmpeg's demuxer, "mov",
    "matroska" or "gif".
    """

    def __init__(self, data: bytes, container: str, name: str):
        """Reads the packets' times and decodes one frame. Raises MediaError when the clip cannot be used."""
        self._data, self._container, self._name = data, container, name
        self._matrix = np.eye(2)
        if container == "gif":  # FFmpeg would refuse the size, yet not say so
            self._check_side(*struct.unpack("<HH", data[6:10].ljust(4, b"\0")))
        self._read_times()
        first = next(frame for _, frame in self._decode([0]))
        self._matrix = _display_matrix(first)
        width, height = first.width, first.height
        ratio = self._pixel_ratio
        # Pixels that are not square (anamorphic video): the shorter direction is stretched, as players do.
        width, height = (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
        self.width, self.height = (height, width) if _on_its_side(self._matrix) else (width, height)
        check_smallest(self.width, self.height, name)

    @contextmanager
    def _open(self):
        """The container and its one video stream, size and codec checked; FFmpeg's errors become ours."""
        try:
            options = {"codec_whitelist": _DECODERS, "max_pixels": str(LIMITS.clip_side**2)}
            with av.open(
                io.BytesIO(self._data), format=self._container, options=options, metadata_errors="ignore"
            ) as container:
                yield container, self._video_stream(container)
        except MediaError:
            raise
        except Exception as error:  # demuxers and decoders of hostile bytes raise nearly anything
            raise MediaError(
                f'"{self._name}" is cut off or damaged and cannot be decoded: send the complete file again.'
            ) from error

    def _video_stream(self, container) -> av.VideoStream:
        streams = [
            stream
            for stream in container.streams.video
            if not stream.disposition & av.stream.Disposition.attached_pic  # the cover of a song
        ]
        if not streams:
            if container.streams.audio:
                raise MediaError(f'"{self._name}" holds sound but no picture: send a clip with a picture.')
            raise MediaError(f'"{self._name}" holds no picture at all: send a clip with at least one frame.')
        stream = streams[0]
        context = stream.codec_context
        codec = context.codec.canonical_name if context is not None else None
        if codec not in _CODECS:
            named = f"the codec {codec}" if codec else "a codec that is unknown here"
            raise MediaError(
                f'"{self._name}" is packed with {named}: clips in {", ".join(LIMITS.clip_codecs)} work.'
            )
        self._check_side(context.width, context.height)
        ratio = float(context.sample_aspect_ratio or 1)
        self._pixel_ratio = ratio if 0.25 <= ratio <= 4 else 1.0
        context.thread_count, context.thread_type = 2, "AUTO"
        context.options = {"max_pixels": str(LIMITS.clip_side**2)}
        return stream

    def _check_side(self, width: int, height: int) -> None:
        if max(width, height) > LIMITS.clip_side:
            raise MediaError(
                f'"{self._name}" has frames of {width} × {height} pixels: '
                f"clips up to {LIMITS.clip_side} pixels a side work."
            )

    def _check_length(self, seconds: float) -> None:
        if seconds > LIMITS.clip_seconds + _TOLERANCE:
            raise MediaError(
                f'"{self._name}" lasts longer than {LIMITS.clip_seconds:g} s: cut it to '
                f"{LIMITS.clip_seconds:g} s or less."
            )

    def _read_times(self) -> None:
        """Walks over all packets without decoding; sets the frames' times, key frames and the duration."""
        stamps: list[int] = []
        self._keys: list[tuple[int, int]] = []  # (timestamp, number of the packet)
        self._packet_of: dict[int, int] = {}  # timestamp -> number of the packet
        length = step = 0
        number = -1
        with self._open() as (container, stream):
            tick = float(stream.time_base)
            declared = float(stream.duration * stream.time_base) if stream.duration else 0.0
            self._check_length(declared)
            for packet in container.demux(stream):
                if packet.size == 0:  # the demuxer's last word, not a frame
                    continue
                number += 1
                if packet.is_corrupt:
                    raise MediaError(
                        f'"{self._name}" is cut off: its end is missing, so send the complete clip again.'
                    )
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp is None:
                    stamp = stamps[-1] + step if stamps else 0
                step = packet.duration or step
                # A GIF's frames build on all before them.
                if packet.is_keyframe and (self._container != "gif" or not number):
                    self._keys.append((stamp, number))
                if packet.is_discard:  # trimmed away by the file's edit list, yet needed for decoding
                    continue
                stamps.append(stamp)
                self._packet_of[stamp] = number
                if len(stamps) > LIMITS.clip_frames:
                    raise MediaError(
                        f'"{self._name}" has more than {LIMITS.clip_frames} frames: cut it shorter.'
                    )
                length = max(length, stamp - stamps[0])
                self._check_length(length * tick)
            rate = float(stream.average_rate or 0)
        if not stamps:
            raise MediaError(f'"{self._name}" holds no frame at all: send a clip with at least one frame.')
        self._stamps = sorted(set(stamps))
        self._keys.sort()
        length = self._stamps[-1] - self._stamps[0]
        if length * tick < (len(stamps) - 1) / 1000:  # FFmpeg makes one tick of a frame that lasts none
            raise MediaError(f'"{self._name}" lasts 0 seconds: all its frames carry the same time.')
        # How long the last frame stays: what its packet says, else as long as the others do.
        last = step * tick or (length * tick / (len(self._stamps) - 1) if length else 1 / (rate or 25))
        self.duration = length * tick + last
        self._check_length(self.duration)
        if declared and self.duration < 0.9 * declared - _TOLERANCE:
            raise MediaError(
                f'"{self._name}" is cut off: only {self.duration:.1f} of its {declared:.1f} s are there.'
            )
        self.times = (np.array(self._stamps) - self._stamps[0]) * tick
        self.fps = len(self._stamps) / self.duration

    def _plan(self, wanted: list[int]) -> list[tuple[int, int, list[int]]]:
        """[(first packet, last packet, wanted frames)] in file order, each from a key frame on."""
        runs: list[tuple[int, int, list[int]]] = []
        key_stamps = [stamp for stamp, _ in self._keys]
        for index in wanted:
            place = bisect_right(key_stamps, self._stamps[index])
            first = self._keys[place - 1][1] if place else 0
            last = self._packet_of[self._stamps[index]]
            if runs and first <= runs[-1][1] + 1:  # the same group of pictures, or the next one at once
                begun, ended, frames = runs.pop()
                runs.append((begun, max(ended, last), [*frames, index]))
            else:
                runs.append((first, last, [index]))
        return runs

    def _decode(self, wanted: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """(index, frame) for each of the ``wanted`` frame numbers, which are ascending and without repeats.

        Packets between the runs of the plan are passed over undecoded: exact in every container, where
        seeking is not, and cheap, since the bytes are in memory.
        """
        runs = self._plan(wanted)
        with self._open() as (container, stream):
            context = stream.codec_context
            number = -1
            first, last, todo = runs.pop(0)
            shown = None  # the newest frame: it stands for wanted ones that the decoder leaves out
            for packet in container.demux(stream):
                if packet.size == 0:
                    continue
                number += 1
                if number < first:
                    continue
                frames = packet.decode()
                if number == last:
                    frames = [*frames, *context.decode(None)]  # what the decoder still holds back
                for frame in frames:
                    self._check_side(frame.width, frame.height)
                    now = self._stamps[todo[0]] if todo and frame.pts is None else frame.pts
                    while todo and now >= self._stamps[todo[0]]:
                        fits = now == self._stamps[todo[0]] or shown is None
                        yield todo.pop(0), frame if fits else shown
                    shown = frame
                if number < last:
                    continue
                if todo and shown is None:
                    break
                yield from ((index, shown) for index in todo)
                if not runs:
                    return
                context.flush_buffers()
                (first, last, todo), shown = runs.pop(0), None
            raise MediaError(
                f'"{self._name}" has frames that cannot be decoded: '
                "save it again as MP4 (H.264) and send that."
            )

    def cut(self, wanted: list[int], boxes: list[Box], side: int) -> dict[int, list[np.ndarray]]:
        """{frame number: one uint8 (side, side, 3) RGB square per box} for the ``wanted`` ascending numbers.

        ``boxes`` in upright pixels. One full frame is held at a time. Raises MediaError on damaged frames.
        """
        squares = {}
        for index, frame in self._decode(wanted):
            image = Image.fromarray(_upright(_rgb(frame), self._matrix))
            squares[index] = [square(image, box, side, (self.width, self.height)) for box in boxes]
        return squares


def _rgb(frame: av.VideoFrame) -> np.ndarray:
    """uint8 (H, W, 3); transparent pixels (GIF) on white."""
    if not any(part.is_alpha for part in frame.format.components):
        return frame.to_ndarray(format="rgb24")
    pixels = frame.to_ndarray(format="rgba")
    alpha = pixels[..., 3:].astype(np.uint16)
    return ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _display_matrix(frame: av.VideoFrame) -> np.ndarray:
    """(2, 2) of -1, 0, 1: how phones turn and mirror what they stored; rows (x', y') from columns (x, y)."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(float)
            matrix = np.array([[a, c], [b, d]])
            if abs(a) + abs(d) >= abs(b) + abs(c):
                matrix[0, 1] = matrix[1, 0] = 0
            else:
                matrix[0, 0] = matrix[1, 1] = 0
            return np.sign(matrix)
    return np.eye(2)


def _on_its_side(matrix: np.ndarray) -> bool:
    return matrix[0, 0] == 0 and matrix[0, 1] != 0


def _upright(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Turns and mirrors (H, W, 3) by the display matrix."""
    if _on_its_side(matrix):
        frame = frame.swapaxes(0, 1)
    across, down = matrix.sum(axis=1)
    frame = frame[:, ::-1] if across < 0 else frame
    frame = frame[::-1] if down < 0 else frame
    return np.ascontiguousarray(frame)
