"""What the browser gets instead of files: frames as one WebP, segment labels as packed bytes."""

from __future__ import annotations

import base64
import io
import math
import zlib

import numpy as np
from PIL import Image

CLIP_QUALITY = 95
ONE_BYTE = 255


def columns_of(count: int) -> int:
    """Tiles in a row of a sprite of ``count`` frames."""
    return math.ceil(math.sqrt(count))


def sprite(frames: np.ndarray, lossless: bool) -> str:
    """uint8 frames (T, S, S, C) -> one WebP data URL, tiles in raster order, ``columns_of(T)`` a row."""
    count, side, _, channels = frames.shape
    columns = columns_of(count)
    rows = math.ceil(count / columns)
    sheet = np.zeros((rows * columns, side, side, channels), dtype=np.uint8)
    sheet[:count] = frames
    sheet = sheet.reshape(rows, columns, side, side, channels).swapaxes(1, 2)
    picture = Image.fromarray(np.ascontiguousarray(sheet.reshape(rows * side, columns * side, channels)))
    buffer = io.BytesIO()
    if lossless:
        picture.save(buffer, "WEBP", lossless=True, quality=0, method=0, exact=False)
    else:
        picture.save(buffer, "WEBP", quality=CLIP_QUALITY, method=0)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def pack_labels(labels: np.ndarray, side: int) -> dict:
    """Labels int (T, S, S) -> {side, bytes, data}: (T, side, side) in little endian, deflated, as base64.

    Not a picture: a browser that guards against fingerprints falsifies what a page reads back from a canvas.
    """
    if labels.shape[1] != side:
        places = (2 * np.arange(side) + 1) * labels.shape[1] // (2 * side)
        labels = labels[:, places][:, :, places]
    kind = np.dtype(np.uint8 if labels.max() <= ONE_BYTE else "<u2")
    data = zlib.compress(labels.astype(kind).tobytes(), 6)
    return {"side": side, "bytes": kind.itemsize, "data": base64.b64encode(data).decode()}
