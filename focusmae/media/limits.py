"""What may be sent: every limit of the input in one place, and the line that tells visitors about them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of photos and clips; sizes in bytes, pixels or seconds. The page prints what stands here."""

    upload_bytes: int = 50 * 2**20
    image_pixels: int = 40_000_000  # by header, before anything is decoded
    clip_seconds: float = 60.0
    clip_side: int = 4096
    clip_frames: int = 60 * 240  # a minute of slow motion; counted, since headers may lie
    smallest_side: int = 16  # one patch of the models
    view_frames: int = 16
    view_sides: tuple[int, int] = (224, 1024)
    window_seconds: float = 2.56  # VideoMAE on Kinetics: 16 frames, every 4th of 25 a second
    most_clips: int = 10
    crops: tuple[int, ...] = (1, 3)
    views_bytes: int = 256 * 2**20  # what one call of Media.views may hold
    photo_formats: tuple[str, ...] = ("JPEG", "PNG", "WebP")
    clip_formats: tuple[str, ...] = ("MP4", "WebM", "MOV", "GIF")
    clip_codecs: tuple[str, ...] = ("H.264", "HEVC", "VP9", "AV1", "VP8", "MPEG-4", "GIF")
    extensions: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".webp", ".mp4", ".webm", ".mov", ".gif")

    @property
    def upload_megabytes(self) -> int:
        return self.upload_bytes // 2**20

    @property
    def image_megapixels(self) -> int:
        return self.image_pixels // 1_000_000

    def formats(self) -> str:
        """The formats in words: ``a photo (JPEG, PNG, WebP) or a clip (MP4, WebM, MOV, GIF)``."""
        return f"a photo ({', '.join(self.photo_formats)}) or a clip ({', '.join(self.clip_formats)})"

    def sentence(self) -> str:
        """One line for the page: formats, sizes and lengths that work."""
        return (
            f"Photos: {', '.join(self.photo_formats)}, up to {self.image_megapixels} megapixels. "
            f"Clips: {', '.join(self.clip_formats)}, up to {self.clip_seconds:g} s "
            f"and {self.clip_side} px a side. Files up to {self.upload_megabytes} MB."
        )


LIMITS = Limits()
