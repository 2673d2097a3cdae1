from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from focusmae.errors import MediaError
from focusmae.labelled import find_labelled, maps_of, over_view, read_label_map
from focusmae.media import open_media, write_mp4
from tests.tiny import is_one_sentence


def save(path, values, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values, mode).save(path)


def test_lists_name_pictures_and_their_maps(tmp_path):
    (tmp_path / "val.txt").write_text("images/b.jpg\tmasks/b_0.png,masks/b_1.png\n\nnot a line\nimages/a.jpg\tm.png\n")
    (tmp_path / "test.txt").write_text("clips/c.mp4\tmasks/c\n")
    items = find_labelled(tmp_path, "val")
    assert [item.name for item in items] == ["images/a.jpg", "images/b.jpg"]
    assert [path.name for path in items[1].maps] == ["b_0.png", "b_1.png"]
    assert len(find_labelled(tmp_path)) == 3


def test_folders_without_lists_are_paired_by_name(tmp_path):
    images, masks = ("x/1.png", "x/2.png", "3.jpg"), ("x/1.png", "3_s0.png", "3_s1.png")
    for name in (*(f"images/{name}" for name in images), *(f"masks/{name}" for name in masks)):
        save(tmp_path / name, np.zeros((20, 20), dtype=np.uint8))
    items = find_labelled(tmp_path)
    assert [(item.name, len(item.maps)) for item in items] == [("3.jpg", 2), ("x/1.png", 1)]


@pytest.mark.parametrize("part", [None, "val"])
def test_a_folder_without_any_says_so(tmp_path, part):
    with pytest.raises(MediaError, match="label maps") as error:
        find_labelled(tmp_path, part)
    assert is_one_sentence(str(error.value)) and str(tmp_path.parent) not in str(error.value)


def test_label_maps_of_every_kind(tmp_path):
    ids = np.array([[0, 1], [2, 1]], dtype=np.uint8)
    save(tmp_path / "grey.png", ids)
    save(tmp_path / "deep.png", ids.astype(np.uint16) * 300)
    palette = Image.fromarray(ids, "P")
    palette.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    palette.save(tmp_path / "palette.png")
    save(tmp_path / "colour.png", np.array([[0, 0, 0], [0, 0, 9], [5, 0, 0]], dtype=np.uint8)[ids])
    assert np.array_equal(read_label_map(tmp_path / "grey.png"), ids)
    assert np.array_equal(read_label_map(tmp_path / "deep.png"), ids.astype(int) * 300)
    assert np.array_equal(read_label_map(tmp_path / "palette.png"), ids)
    assert np.array_equal(read_label_map(tmp_path / "colour.png"), ids)
    colours = np.array([[7, 0, 0], [0, 9, 0], [0, 0, 9]], dtype=np.uint8)[ids]
    save(tmp_path / "regions.png", colours)  # no black: numbers of regions, and nothing is background
    found = read_label_map(tmp_path / "regions.png")
    assert found.min() == 1 and len(np.unique(found)) == 3
    save(tmp_path / "see-through.png", np.stack([ids, np.full_like(ids, 255)], -1), "LA")
    assert np.array_equal(read_label_map(tmp_path / "see-through.png"), ids)
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text.png", "missing.png"):
        with pytest.raises(MediaError, match=name) as error:
            read_label_map(tmp_path / name)
        assert is_one_sentence(str(error.value))


def test_maps_are_cut_as_the_view_is(tmp_path):
    """Where the map's values are the picture's own grey, the two agree after any cut."""
    grey = np.kron(np.arange(30).reshape(5, 6), np.ones((64, 64))).astype(np.uint8) * 8
    save(tmp_path / "images" / "a.png", np.stack([grey] * 3, -1))
    save(tmp_path / "masks" / "a.png", grey)
    item = find_labelled(tmp_path)[0]
    media = open_media(item.media)
    for view in media.views(crops=3):
        (labels,) = maps_of(item.maps, media, view)
        assert labels.shape == view.frames.shape[:3] and (labels == view.frames[..., 0]).mean() > 0.95
    save(tmp_path / "masks" / "a.png", grey[::2, ::2])  # the same at half of the size
    assert (maps_of(item.maps, media, view)[0] == labels).mean() > 0.95
    assert (over_view(item.maps[0], media, view, side=20) == labels[0, 8::16, 8::16]).mean() > 0.9
    save(tmp_path / "masks" / "a.png", grey[:-30])
    with pytest.raises(MediaError, match="384 × 290") as error:
        maps_of(item.maps, media, view)
    assert is_one_sentence(str(error.value))


def test_frame_k_of_a_clip_has_map_k(tmp_path):
    frames = np.full((40, 64, 96, 3), 40, dtype=np.uint8)
    frames += (np.arange(40) * 4).astype(np.uint8)[:, None, None, None]
    (tmp_path / "clips").mkdir()
    write_mp4(tmp_path / "clips" / "c.mp4", frames, fps=24)
    for number in range(40):
        save(tmp_path / "masks" / "c" / f"{number:05d}.png", np.full((64, 96), number, dtype=np.uint8))
    (tmp_path / "val.txt").write_text("clips/c.mp4\tmasks/c\n")
    item = find_labelled(tmp_path)[0]
    media = open_media(item.media)
    view = media.view()
    (labels,) = maps_of(item.maps, media, view)
    shown = (view.frames.mean((1, 2, 3)) - 40) / 4
    assert np.abs(labels[:, 0, 0] - shown).max() < 0.6 and labels.shape == view.frames.shape[:3]
    (tmp_path / "masks" / "c" / "00039.png").unlink()
    late = SimpleNamespace(frames=view.frames, box=view.box, times=tuple(t + 1 for t in view.times))
    with pytest.raises(MediaError, match="39 label maps") as error:
        maps_of(item.maps, media, late)
    assert is_one_sentence(str(error.value))
