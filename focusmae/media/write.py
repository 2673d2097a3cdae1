"""The writers: uint8 frames to PNG and MP4, in memory, without an ffmpeg binary."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from focusmae.errors import SettingsError


def write_png(path: str | Path | None, frame: np.ndarray) -> bytes:
    """uint8 (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey as PNG bytes, also written to ``path`` if given.

    Raises SettingsError for another dtype or shape.
    """
    if frame.dtype != np.uint8 or not (frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] in (3, 4))):
        raise SettingsError(f"A PNG needs uint8 (H, W, 3), not {frame.dtype} {frame.shape}.")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(frame)).save(buffer, "PNG", compress_level=4)
    return _written(path, buffer.getvalue())


def write_mp4(path: str | Path | None, frames: np.ndarray, fps: float, crf: int = 16) -> bytes:
    """uint8 (T, H, W, 3) RGB as MP4 bytes (H.264, yuv420p, BT.709), also written to ``path`` if given.

    H and W even (4:2:0 colour).  fps: frames a second, above 0, at most 240.  crf: x264's quality, 0 to 51,
    16 looks lossless.  A key frame every 12, so that players step back quickly.  Raises SettingsError.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not frames.size:
        raise SettingsError(f"An MP4 needs uint8 (T, H, W, 3), not {frames.dtype} {frames.shape}.")
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise SettingsError(f"An MP4 needs an even width and height, not {width} × {height}.")
    if not 0 < fps <= 240:
        raise SettingsError(f"An MP4 needs between 0 and 240 frames a second, not {fps}.")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast", "g": "12"}
        context = stream.codec_context
        context.thread_count = 2
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709, said and done
        context.color_range = 1  # limited, as players expect
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(stream.encode())
    return _written(path, buffer.getvalue())


def _written(path: str | Path | None, data: bytes) -> bytes:
    if path is not None:
        Path(path).write_bytes(data)
    return data
