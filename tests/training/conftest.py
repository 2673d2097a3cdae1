"""A folder of a few photos in folders of classes, and one clip: enough for every training to run a few steps."""

import hashlib

import numpy as np
import pytest
import skimage.data

from focusmae.media import write_mp4, write_png


def name_for(part: str, number: int) -> str:
    """The ``number``-th file name that the hashed split puts into ``part``."""
    place = {"val": 0, "test": 1, "train": 5}[part]
    fitting = (
        name
        for name in (f"photo-{n}.png" for n in range(10_000))
        if int(hashlib.sha1(name.encode()).hexdigest(), 16) % 20 == place
    )
    return [next(fitting) for _ in range(number + 1)][number]


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    sources = {"cat": skimage.data.chelsea(), "person": skimage.data.astronaut()}
    for label, source in sources.items():
        (folder / label).mkdir()
        for number, part in enumerate(("train", "train", "val")):
            name = name_for(part, number % 2)
            write_png(folder / label / name, np.ascontiguousarray(source[:240, 40 * number : 40 * number + 260]))
    frames = np.stack([sources["person"][n : n + 128, 2 * n : 2 * n + 160] for n in range(40)])
    write_mp4(folder / "cat" / "glide.mp4", frames, fps=20)  # its name, too, belongs to the training part
    return folder
