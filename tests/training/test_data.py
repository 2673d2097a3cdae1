"""What training reads: lists, hashed splits, photos, clips, and the cuts that are made of them."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from focusmae.errors import SettingsError
from focusmae.media import write_mp4, write_png
from focusmae.training.data import (
    Item,
    Reader,
    Steps,
    batches,
    clip_window,
    crop,
    pan_and_zoom,
    random_boxes,
    read_clip,
    read_items,
    read_photo,
    step_generator,
)
from tests.tiny import is_one_sentence


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_lists_say_what_belongs_where(tmp_path):
    touch(tmp_path, "a.jpg", "b.png")
    (tmp_path / "train.txt").write_text("a.jpg\tcat\n\nsub/b.PNG\tdog\nnotes.txt\tcat\n")
    (tmp_path / "train_more.txt").write_text("c.mp4\td/e\nd.webp\n")
    (tmp_path / "val.txt").write_text("v.jpg\tdog\n")
    assert read_items([tmp_path], "train") == [
        Item(tmp_path / "a.jpg", "cat"),
        Item(tmp_path / "sub/b.PNG", "dog"),
        Item(tmp_path / "c.mp4", ""),
        Item(tmp_path / "d.webp", ""),
    ]
    assert read_items([tmp_path], "val") == [Item(tmp_path / "v.jpg", "dog")]
    assert [item.is_clip for item in read_items([tmp_path], "train")] == [False, False, True, False]


def test_the_hashed_split_is_disjoint_complete_and_stable(tmp_path):
    names = [f"{kind}/photo-{number}.jpg" for kind in ("cat", "dog") for number in range(150)]
    touch(tmp_path, *names, "cat/notes.txt")
    parts = {part: read_items([tmp_path], part) for part in ("train", "val", "test")}
    found = [item.path.relative_to(tmp_path).as_posix() for items in parts.values() for item in items]
    assert sorted(found) == sorted(names)
    assert all(item.label == item.path.parent.name for items in parts.values() for item in items)
    assert 0.8 < len(parts["train"]) / len(names) < 0.97 and parts["val"] and parts["test"]
    for part, places in (("val", {0}), ("test", {1}), ("train", set(range(2, 20)))):
        for item in parts[part]:
            assert int.from_bytes(hashlib.sha1(item.path.name.encode()).digest(), "big") % 20 in places
    # A file's part depends on its own name alone: more files move none of the others.
    touch(tmp_path, "dog/another.jpg")
    for part, items in parts.items():
        assert set(items) <= set(read_items([tmp_path], part))


def test_pictures_without_a_folder_of_their_own_have_no_label(tmp_path):
    touch(tmp_path, *(f"{number}.jpg" for number in range(10)))
    assert {item.label for item in read_items([tmp_path], "train")} == {""}


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(SettingsError) as error:
        read_items([tmp_path / "nowhere"], "train")
    assert is_one_sentence(str(error.value)) and "nowhere" in str(error.value)
    with pytest.raises(SettingsError) as error:
        read_items([tmp_path], "val")
    assert is_one_sentence(str(error.value)) and "val" in str(error.value)


def test_a_photo_is_its_centre_square(tmp_path):
    frame = np.zeros((100, 300, 3), np.uint8)
    frame[:, :100], frame[:, 100:200], frame[:, 200:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    write_png(tmp_path / "wide.png", frame)
    Image.fromarray(frame).convert("P").save(tmp_path / "palette.png")
    for name in ("wide.png", "palette.png"):
        photo = read_photo(tmp_path / name)
        assert photo.shape == (3, 224, 224) and photo.dtype == torch.uint8
        assert (photo[1, :, 4:-4] > 250).all() and (photo[[0, 2], :, 4:-4] < 5).all()


def test_a_clip_is_read_in_order_as_its_centre_square(tmp_path):
    frames = np.zeros((20, 64, 128, 3), np.uint8)
    frames[:, :, 32:96] = np.arange(20, dtype=np.uint8)[:, None, None, None] * 12
    write_mp4(tmp_path / "clip.mp4", frames, fps=10)
    clip = read_clip(tmp_path / "clip.mp4")
    assert clip.shape == (20, 3, 224, 224) and clip.dtype == torch.uint8
    levels = clip[:, :, 20:-20, 20:-20].float().mean((1, 2, 3))
    assert (levels - torch.arange(20) * 12).abs().max() < 4


@pytest.mark.parametrize("count, stride", [(16, 1), (31, 2), (40, 2), (61, 4), (300, 4)])
def test_windows_are_16_frames_at_an_even_stride(count, stride):
    frames = torch.arange(count).view(-1, 1, 1, 1)
    starts = set()
    for draw in (None, 0.0, 0.3, 0.999):
        window = clip_window(frames, draw).flatten()
        assert len(window) == 16 and (window.diff() == stride).all()
        assert window[0] >= 0 and window[-1] < count
        starts.add((draw, int(window[0])))
    places = dict(starts)
    assert places[0.0] == 0 and places[0.999] == count - 1 - 15 * stride
    assert abs(places[None] - (count - 1 - 15 * stride) / 2) <= 1


@pytest.mark.parametrize("count", [1, 5, 15])
def test_short_clips_are_stretched(count):
    window = clip_window(torch.arange(count).view(-1, 1, 1, 1), 0.7).flatten()
    assert len(window) == 16 and set(window.tolist()) == set(range(count)) and (window.diff() >= 0).all()


def photos(batch: int = 3) -> torch.Tensor:
    """Smooth pictures uint8 (B, 3, 224, 224): red grows to the right, green downwards, blue is the picture's number."""
    line = torch.linspace(0, 255, 224)
    rows = [torch.stack([line.expand(224, 224), line[:, None].expand(224, 224), torch.full((224, 224), 20.0 * n)])
            for n in range(batch)]  # fmt: skip
    return torch.stack(rows).round().to(torch.uint8)


def test_the_whole_box_is_the_whole_picture():
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(3, -1)
    torch.testing.assert_close(crop(photos(), whole), photos().float() / 255, rtol=0, atol=1e-3)
    flipped = crop(photos(), whole, torch.tensor([True, False, True]))
    torch.testing.assert_close(flipped[0], photos()[0].flip(-1).float() / 255, rtol=0, atol=1e-3)
    torch.testing.assert_close(flipped[1], photos()[1].float() / 255, rtol=0, atol=1e-3)


def test_a_box_is_cut_where_it_lies():
    boxes = torch.tensor([[0.0, 0.5, 0.5, 1.0], [0.25, 0.0, 0.75, 0.25], [0.1, 0.2, 0.9, 0.6]])
    cut = crop(photos(), boxes)
    assert cut.shape == (3, 3, 224, 224) and cut.dtype == torch.float32
    inside = (torch.arange(224) + 0.5) / 224
    for number, (x0, y0, x1, y1) in enumerate(boxes):
        # The ramps run from the first pixel's centre to the last one's.
        expected = [((low + inside * (high - low)) * 224 - 0.5) / 223 for low, high in ((x0, x1), (y0, y1))]
        across, down = cut[number, 0].mean(0), cut[number, 1].mean(1)
        assert (across - expected[0]).abs().max() < 0.005 and (down - expected[1]).abs().max() < 0.005
        assert (cut[number, 2] - 20 * number / 255).abs().max() < 1e-4


def test_random_boxes_lie_within_and_are_large_enough():
    boxes = random_boxes(2000, step_generator(1), smallest=0.35)
    assert boxes.min() >= 0 and boxes.max() <= 1 + 1e-6
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    assert (width * height).min() > 0.28 and width.max() <= 1 and height.max() <= 1
    inner = (width < 1) & (height < 1)
    assert (width * height)[inner].min() >= 0.35 - 1e-5
    ratio = (width / height)[inner]
    assert ratio.min() > 0.74 and ratio.max() < 1.34
    assert boxes[:, 0].std() > 0.05 and boxes[:, 1].std() > 0.05


def test_pan_and_zoom_glides():
    clips = pan_and_zoom(photos(), step_generator(2))
    assert clips.shape == (3, 3, 16, 224, 224) and clips.min() >= 0 and clips.max() <= 1
    assert torch.equal(clips, pan_and_zoom(photos(), step_generator(2)))
    assert not torch.equal(clips, pan_and_zoom(photos(), step_generator(3)))
    for number in range(3):
        assert (clips[number, 2] - 20 * number / 255).abs().max() < 1e-3  # no clip shows another one's photo
    # The box moves evenly from its first to its last place, so the ramps' mean does.
    for channel in (0, 1):
        means = clips[:, channel].mean((2, 3))
        assert (means.diff(dim=1).diff(dim=1)).abs().max() < 2e-3
    assert (clips[:, :, 0] - clips[:, :, -1]).abs().mean() > 1e-3


def test_step_generator_depends_on_its_numbers_alone():
    def draw(*numbers):
        return torch.rand(4, generator=step_generator(*numbers)).tolist()

    assert draw(1, 2) == draw(1, 2)
    assert len({tuple(draw(*numbers)) for numbers in [(1, 2), (2, 1), (12,), (1, 2, 0), (0, 1, 2)]}) == 5


def test_batches_are_a_function_of_the_step():
    everything = list(Steps(10, 3, 0, 20, seed=4))
    assert len(everything) == 20 and list(Steps(10, 3, 7, 20, seed=4)) == everything[7:]
    assert all(step == number for number, batch in enumerate(everything) for _, step in batch)
    order = [place for batch in everything for place, _ in batch]
    for epoch in range(6):  # every item once in each epoch, in another order
        assert sorted(order[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert order[:10] != order[10:20] and list(Steps(10, 3, 0, 20, seed=5)) != everything


def test_processes_share_an_epoch_without_overlap():
    ranks = [list(Steps(12, 2, 0, 3, seed=0, rank=rank, world=2)) for rank in range(2)]
    seen = [place for batches_of in ranks for batch in batches_of for place, _ in batch]
    assert sorted(seen) == list(range(12))


def test_a_batch_is_what_its_items_are(tmp_path):
    for number, photo in enumerate(photos(4)):
        write_png(tmp_path / f"{number}.png", photo.permute(1, 2, 0).numpy())
    items = [Item(tmp_path / f"{number}.png", "ab"[number % 2]) for number in range(4)]
    reader = Reader(items, ["a", "b"])
    read = list(batches(reader, 2, 1, 3, seed=0))
    expected = list(Steps(4, 2, 1, 3, seed=0))
    for (pictures, labels), batch in zip(read, expected, strict=True):
        for picture, label, (place, _) in zip(pictures, labels, batch, strict=True):
            assert torch.equal(picture, photos(4)[place]) and label == place % 2
    assert Reader(items)[0][1] == -1


def test_clip_windows_move_with_the_step_and_stay_where_fixed(tmp_path):
    frames = np.zeros((80, 32, 32, 3), np.uint8) + np.arange(80, dtype=np.uint8)[:, None, None, None] * 3
    write_mp4(tmp_path / "clip.mp4", frames, fps=25)
    items = [Item(tmp_path / "clip.mp4", "")]
    starts = [round(Reader(items, seed=1)[0, step][0][0].float().mean().item() / 3) for step in range(12)]
    again = [round(Reader(items, seed=1)[0, step][0][0].float().mean().item() / 3) for step in range(12)]
    assert starts == again and len(set(starts)) > 3 and all(-1 <= start <= 20 for start in starts)
    fixed = [Reader(items, fixed=True)[0, step][0] for step in (0, 1)]
    assert torch.equal(*fixed) and fixed[0].shape == (16, 3, 224, 224)


def test_a_broken_picture_is_named_and_its_neighbour_taken(tmp_path, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"no picture at all")
    Image.new("RGB", (40, 30), (200, 10, 10)).save(tmp_path / "good.png")
    reader = Reader([Item(tmp_path / "broken.jpg", ""), Item(tmp_path / "good.png", "")])
    picture, _ = reader[0]
    assert picture[0].float().mean() > 190
    assert "skipped broken.jpg" in capsys.readouterr().err
    (tmp_path / "good.png").unlink()
    with pytest.raises(SettingsError, match="None of the pictures"):
        reader[0]
