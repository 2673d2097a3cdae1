"""Which files are found, what they are called, and the masks that lie beside them."""

import hashlib

import numpy as np
import pytest
import torch

from focusmae.errors import MediaError, SettingsError
from focusmae.evaluation.inputs import gather, match, survey
from focusmae.evaluation.masks import read_masks, regions_seen
from focusmae.masking import Grid
from focusmae.media import open_media, write_png
from tests.tiny import is_one_sentence

GRID = Grid(1, 14, 14)


def names(found) -> set[str]:
    return {each.name for each in found}


def flat(value: int, size=(32, 48)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("gas pump/a.png", "gas pump/b.png", "images/deep/c.png", "d.png")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(tmp_path / name, flat(10 * number))
    for name in ("masks/gas pump/a.png", "masks/deep/c.png", "masks/d/00000.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(tmp_path / name, flat(0)[..., 0])
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    return tmp_path


def test_a_folder_is_read_whole(folder):
    found = {each.name: each for each in gather([folder])}
    assert set(found) == {"gas pump/a.png", "gas pump/b.png", "images/deep/c.png", "d.png"}
    assert found["gas pump/a.png"].labels == ("gas pump", folder.name)
    assert found["images/deep/c.png"].labels == ("deep", "images", folder.name)
    masks = {name: tuple(mask.relative_to(folder).as_posix() for mask in each.masks) for name, each in found.items()}
    assert masks == {
        "gas pump/a.png": ("masks/gas pump/a.png",), "gas pump/b.png": (),
        "images/deep/c.png": ("masks/deep/c.png",), "d.png": ("masks/d",),
    }  # fmt: skip
    assert names(gather([folder / "d.png"])) == {"d.png"}


def test_the_order_is_without_rhyme_and_the_few_are_among_the_many(folder):
    found = gather([folder])
    assert found == gather([folder])
    assert found == sorted(found, key=lambda each: hashlib.sha1(each.name.encode()).hexdigest())
    few, many = (survey(found, limit)[0] for limit in (2, 4))
    assert many[:2] == few and len(many) == 4


def test_lists_are_followed(tmp_path):
    for number, name in enumerate("abc"):
        write_png(tmp_path / f"{name}.png", flat(number))
    (tmp_path / "test.txt").write_text("a.png\tchurch\nb.png\tmasks/b0.png,masks/b1.png\n")
    (tmp_path / "val.txt").write_text("c.png\tchurch\n")
    found = {each.name: each for each in gather([tmp_path])}
    assert set(found) == {"a.png", "b.png"} and found["a.png"].labels == ("church",)
    assert found["b.png"].labels == () and [mask.name for mask in found["b.png"].masks] == ["b0.png", "b1.png"]
    assert names(gather([tmp_path], "val")) == {"c.png"}
    with pytest.raises(SettingsError, match="train.txt") as caught:
        gather([tmp_path], "train")
    assert "test, val" in str(caught.value) and is_one_sentence(str(caught.value))


def test_what_cannot_be_read_is_named_and_what_repeats_is_left_out(folder):
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "old.bmp").write_bytes(b"BM" + bytes(60))
    (folder / "twin.png").write_bytes((folder / "d.png").read_bytes())
    told = []
    found, broken, repeated = survey(gather([folder]), None, told.append)
    assert {line["name"] for line in broken} == {"broken.jpg", "old.bmp"} and len(found) == 4
    assert len(repeated) == 1 and repeated[0] in ("d.png", "twin.png")
    assert all(is_one_sentence(line["why"]) for line in broken) and len(told) == 2


def test_nothing_there(tmp_path):
    for data in ([tmp_path], [tmp_path / "nowhere"], []):
        with pytest.raises(SettingsError) as caught:
            gather(data)
        assert is_one_sentence(str(caught.value))
    (tmp_path / "a.jpg").write_text("x")
    with pytest.raises(SettingsError, match="None of"):
        survey(gather([tmp_path]), None)
    with pytest.raises(SettingsError, match="part"):
        gather([tmp_path], "all")


@pytest.mark.parametrize(
    "name, number",
    [
        ("gas_pump", 0), ("Gas Pump", 0), ("GASPUMP", 0), ("gas-pump", 0), ("n03425413_gas_pump", 0), ("tench", 1),
        ("Tinca tinca", 1), ("n01440764", None), ("pump", None), ("", None),
    ],
)  # fmt: skip
def test_names_are_matched_by_what_they_mean(name, number):
    assert match((name,), ["gas pump", "tench, Tinca tinca"]) == number
    assert match(("photos", name), ["gas pump", "tench, Tinca tinca"]) == number


def test_the_nearest_folder_counts():
    assert match(("tench", "church"), ["church", "tench"]) == 1


def read(folder, mask: np.ndarray, size=(64, 128)):
    """The masks of one picture of ``size`` (H, W), of which the view shows the middle square."""
    write_png(folder / "mask.png", mask)
    media = open_media(flat(7, size))
    return read_masks((folder / "mask.png",), media, media.view(), GRID)


def test_an_object_mask_is_cut_as_the_view(tmp_path):
    mask = np.zeros((64, 128), np.uint8)
    mask[:32, 32:64] = 255  # the upper left quarter of the middle square
    shares = read(tmp_path, mask).shares(GRID).reshape(14, 14)
    assert (shares[:7, :7] == 1).all() and shares.sum() == 49
    small = read(tmp_path, mask[::2, ::2]).shares(GRID).reshape(14, 14)  # half the size, the same place
    assert torch.equal(small, shares)
    mask[:] = 0
    assert read(tmp_path, mask) is None
    mask[:, :10] = 1  # outside the square
    assert read(tmp_path, mask) is None


def test_region_maps(tmp_path):
    labels = np.ones((64, 128), np.uint8)
    labels[:, 64:] = 7
    found = read(tmp_path, labels)
    assert found.foreground is None and [owners.unique().numel() for owners in found.regions] == [2]
    visible = torch.tensor([[0, 14], [0, 13]])  # left alone; left and right
    assert regions_seen(found.regions, visible).tolist() == [0.5, 1.0]


def test_masks_of_a_clip_follow_its_frames(tmp_path, clip_file):
    media = open_media(clip_file)
    view = media.view()
    (tmp_path / "masks").mkdir()
    for number in range(media.frames):
        mask = np.zeros((240, 320), np.uint8)
        mask[:, : 40 + 6 * number] = 255
        write_png(tmp_path / "masks" / f"{number:05d}.png", mask)
    shares = read_masks((tmp_path / "masks",), media, view, Grid(8, 14, 14)).shares(Grid(8, 14, 14)).view(8, -1).mean(1)
    # The view's square begins at column 40; the frame on screen at a time is time x 20.
    expected = [(np.clip(6 * round(time * 20), 0, 240)) / 240 for time in view.times]
    assert shares.tolist() == pytest.approx(np.reshape(expected, (8, 2)).mean(1).tolist(), abs=0.01)


def test_masks_that_cannot_be_used(tmp_path):
    media = open_media(flat(7, (64, 128)))
    (tmp_path / "text.png").write_text("no picture")
    write_png(tmp_path / "square.png", np.zeros((64, 64), np.uint8))
    (tmp_path / "empty").mkdir()
    for name in ("text.png", "square.png", "empty", "missing.png"):
        with pytest.raises(MediaError) as caught:
            read_masks((tmp_path / name,), media, media.view(), GRID)
        assert name in str(caught.value) and is_one_sentence(str(caught.value))
