"""Photos: JPEG, PNG and WebP bytes to upright RGB, checked by their header before anything is decoded."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from focusmae.errors import MediaError
from focusmae.media.limits import LIMITS

Box = tuple[int, int, int, int]

_ORIENTATION_TAG = 0x0112  # EXIF
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TRANSPARENT = {"RGBA", "RGBa", "LA", "La", "PA"}


class PhotoReader:
    """A photo's bytes (or a PIL image), its size checked; pixels are decoded at each ``cut`` only.

    ``width`` and ``height`` are those of the upright photo, in pixels. Of an animation the first frame
    counts.
    """

    times = np.zeros(1)
    fps = 0.0
    duration = 0.0

    def __init__(self, source: bytes | Image.Image, name: str):
        """Raises MediaError when the header is broken, or tells of a size outside the limits."""
        self._source, self._name = source, name
        image = self._open()
        width, height = image.size
        check_photo_size(width, height, name)
        self._turn = _UPRIGHT.get(self._orientation(image))
        # Orientations 5 to 8 lie on their side.
        on_its_side = (Image.Transpose.TRANSPOSE, Image.Transpose.TRANSVERSE,
                       Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)
        self.width, self.height = (height, width) if self._turn in on_its_side else (width, height)

    def _open(self) -> Image.Image:
        """The image with its header read, nothing decoded."""
        if isinstance(self._source, Image.Image):
            return self._source
        try:
            return Image.open(io.BytesIO(self._source), formats=("PNG", "JPEG", "WEBP"))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise MediaError(
                f'"{self._name}" has far more than {LIMITS.image_megapixels} megapixels: '
                "make it smaller and send it again."
            ) from error
        except Exception as error:  # decoders of hostile bytes raise nearly anything
            raise MediaError(_damaged(self._name, error)) from error

    def _orientation(self, image: Image.Image) -> int:
        # A PNG may carry its EXIF behind the pixels, and Pillow then decodes them to find it.
        if image.format == "PNG" and isinstance(self._source, bytes) and b"eXIf" not in self._source:
            return 1
        try:
            return int(image.getexif().get(_ORIENTATION_TAG, 1))
        except Exception:  # broken EXIF does not spoil the photo
            return 1

    def cut(self, wanted: list[int], boxes: list[Box], side: int) -> dict[int, list[np.ndarray]]:
        """{0: one uint8 (side, side, 3) RGB square per box}; ``boxes`` in upright pixels, ``wanted`` is [0].

        Raises MediaError when the pixels are damaged or cut off.
        """
        image = self._open()
        try:
            if isinstance(self._source, bytes) and image.format in ("JPEG", "MPO"):
                # libjpeg decodes at 1/2, 1/4 or 1/8 of the size for little; twice the side keeps it sharp.
                image.draft(image.mode, (2 * side, 2 * side))
            image = as_rgb(image)
            if self._turn is not None:
                image = image.transpose(self._turn)
        except Exception as error:
            raise MediaError(_damaged(self._name, error)) from error
        return {0: [square(image, box, side, (self.width, self.height)) for box in boxes]}


def check_photo_size(width: int, height: int, name: str) -> None:
    """Raises MediaError unless the photo lies within LIMITS."""
    if width * height > LIMITS.image_pixels:
        raise MediaError(
            f'"{name}" has {width} × {height} pixels, which is {width * height / 1e6:.0f} megapixels: '
            f"photos up to {LIMITS.image_megapixels} megapixels work."
        )
    check_smallest(width, height, name)


def check_smallest(width: int, height: int, name: str) -> None:
    """Raises MediaError when a side is shorter than one patch."""
    if min(width, height) < LIMITS.smallest_side:
        raise MediaError(
            f'"{name}" has only {width} × {height} pixels: each side needs at least {LIMITS.smallest_side}.'
        )


def as_rgb(image: Image.Image) -> Image.Image:
    """Any mode to 8-bit RGB: 16-bit grey scaled (not clipped), transparency composited on white."""
    if image.mode.startswith("I"):  # "I", "I;16", "I;16B": grey with 16 bits
        grey = np.clip(np.asarray(image), 0, 65535) >> 8
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        image = image.convert("RGBA")
        opaque = Image.new("RGB", image.size, "white")
        opaque.paste(image, mask=image.getchannel("A"))
        return opaque
    if image.mode == "RGB":
        image.load()
        return image
    return image.convert("RGB")


def square(image: Image.Image, box: Box, side: int, size: tuple[int, int]) -> np.ndarray:
    """uint8 (side, side, 3) of a ``box`` that is given for a picture of ``size`` (width, height).

    The image may have been decoded at another size than that: the box is scaled along. Antialiased.
    """
    across, down = image.width / size[0], image.height / size[1]
    scaled = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    resized = image.resize((side, side), Image.Resampling.BICUBIC, box=scaled, reducing_gap=2.0)
    return np.array(resized)


def _damaged(name: str, error: Exception) -> str:
    if "truncated" in str(error).lower():
        return f'"{name}" is cut off: its end is missing, so send the complete photo again.'
    return f'"{name}" is damaged and cannot be decoded: save it again as JPEG or PNG and send that.'
