"""What to compare: the examples, and how an example or an upload becomes something that the pipeline can open.

The raw file goes to ``focusmae.media`` as it was sent; Gradio's own image components would decode it first.
"""

from __future__ import annotations

import base64
import io
from functools import cache
from pathlib import Path

import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image

from focusmae.errors import MediaError

EXAMPLES_FOLDER = "assets/examples"
SHIPPED = Path(__file__).parents[2] / EXAMPLES_FOLDER
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")  # bundled with scikit-image, free to use
THUMB = 128  # pixels
FIRST = "parachute.jpg"  # of the few things that the embedded classifiers know


@cache
def example_keys() -> tuple[str, ...]:
    """Names of the examples: photos first, then the clips that lie in assets/examples."""
    return (FIRST, *PHOTOS, *(path.name for path in sorted(SHIPPED.glob("*.mp4"))))


def open_source(key: str) -> np.ndarray | Path:
    """What the pipeline opens for an example's name or an uploaded file's path.

    Raises MediaError for a path outside the upload folder, whoever asks for it.
    """
    if key in PHOTOS:
        return _photo(key)
    if key in example_keys():
        return SHIPPED / key
    path = Path(key).resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()):
        raise MediaError("This is no uploaded file: drop a photo or a clip onto the page.")
    return path


@cache
def _photo(name: str) -> np.ndarray:
    """uint8 (H, W, 3)."""
    import skimage.data

    return getattr(skimage.data, name)()


def entries() -> list[dict]:
    """All examples for the browser: {key, word, clip, thumb (data URL)}."""
    return [_entry(key) for key in example_keys()]


@cache
def _entry(key: str) -> dict:
    clip = key.endswith(".mp4")
    if key in PHOTOS:
        picture = Image.fromarray(_photo(key))
    else:
        from focusmae.media import open_media

        frames = open_media(SHIPPED / key).view().frames
        picture = Image.fromarray(frames[len(frames) // 2])
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    picture = picture.crop((left, top, left + side, top + side)).resize((THUMB, THUMB), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=85)
    thumb = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return {"key": key, "word": Path(key).stem.replace("_", " "), "clip": clip, "thumb": thumb}
