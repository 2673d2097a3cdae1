"""The page for a slide and the file to take along."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from focusmae.comparison import compare
from focusmae.errors import SettingsError
from focusmae.export import bundle
from focusmae.panel import ARMS, GROUND, draw_panel


@pytest.fixture(scope="module")
def photo(photo_file):
    return compare(photo_file, seeds=2)


def test_the_panel_shows_both_arms_in_their_colours(photo):
    page = draw_panel(photo)
    assert page.shape == (1080, 1920, 3) and page.dtype == np.uint8
    for colour in ARMS:
        assert (page == colour).all(-1).sum() > 300
    assert (page[0] == GROUND).all()
    other = compare(photo.view.frames[0], seed=1)
    assert (draw_panel(other) != page).any(-1).mean() > 0.02  # another draw, another page


def test_the_panel_serves_clips_and_single_arms(clip_file):
    result = compare(clip_file, strategies=("random", "tube"), keep=0.1)
    assert draw_panel(result).shape == (1080, 1920, 3)
    del result.arms["tube"]
    assert draw_panel(result).shape == (1080, 1920, 3)


def test_the_bundle_holds_everything(photo, tmp_path):
    path = bundle(photo, tmp_path / "new" / "all.zip", {"how.txt": "so"})
    archive = zipfile.ZipFile(path)
    saved = {file.name for file in photo.save(tmp_path / "out")}
    assert set(archive.namelist()) == saved | {"panel.png", "how.txt"}
    assert json.loads(archive.read("result.json")) == json.loads(json.dumps(photo.summary()))
    assert archive.read("how.txt") == b"so"
    panel = np.asarray(Image.open(io.BytesIO(archive.read("panel.png"))))
    assert np.array_equal(panel, draw_panel(photo))
    for name in archive.namelist():
        if name.endswith(".png") and name != "panel.png":
            assert archive.read(name) == (tmp_path / "out" / name).read_bytes()


def test_a_place_that_cannot_be_written_is_said(photo, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        bundle(photo, tmp_path / "file" / "all.zip")
