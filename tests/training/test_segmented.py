"""Photos with segments that people drew: which map, which frame, which regions."""

import numpy as np
import pytest
import torch

from focusmae.errors import MediaError
from focusmae.media import write_mp4, write_png
from focusmae.training.data import step_generator
from focusmae.training.segmented import HumanMaps, human_segments

GREY = torch.full((3, 224, 224), 128, dtype=torch.uint8)


def write(folder, name: str, values: np.ndarray) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, np.ascontiguousarray(values))


def quarters(side: int = 240) -> np.ndarray:
    """(side, side) uint8: four squares of the ids 0, 7, 7, 200."""
    half = side // 2
    return np.kron(np.array([[0, 7], [7, 200]], dtype=np.uint8), np.ones((half, half), dtype=np.uint8))


def test_regions_of_a_map_are_its_segments():
    segments = human_segments(quarters(224).astype(np.int64), GREY)
    assert segments.count == 3 and segments.labels.shape == (1, 224, 224)
    assert [segments.labels[0][place] for place in ((0, 0), (0, 223), (223, 0), (223, 223))] == [1, 2, 2, 3]


def test_an_objects_mask_leaves_the_rest_without_a_segment():
    mask = np.zeros((224, 224), dtype=np.int64)
    mask[60:160, 60:160] = 255
    segments = human_segments(mask, GREY)
    assert segments.count == 1 and (segments.labels[0] == (mask > 0)).all()


def test_of_many_regions_the_largest_stay():
    drawn = np.arange(100).repeat(224 * 2)[: 2 * 224 * 100]
    drawn = np.concatenate([drawn, np.full(224 * 24, 99)]).reshape(224, 224)  # 99 is the largest
    drawn[0, :100] = 1000  # smaller than all others
    segments = human_segments(drawn, GREY)
    assert segments.count == 64 == segments.labels.max()
    assert segments.labels[0, -1, 0] == 64 and (segments.labels[0, 0, :100] == 0).all()


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    write(tmp_path, "photos/images/a.png", rng.integers(0, 255, (240, 320, 3), dtype=np.uint8))
    write(tmp_path, "photos/masks/a_1.png", np.pad(quarters(), ((0, 0), (40, 40)), mode="edge"))
    write(tmp_path, "photos/masks/a_2.png", np.ones((240, 320), dtype=np.uint8))
    frames = np.stack([np.full((240, 240, 3), 8 * number, dtype=np.uint8) for number in range(20)])
    (tmp_path / "clips").mkdir()
    write_mp4(tmp_path / "clips/fade.mp4", frames, fps=20)
    for number in range(20):
        mask = np.zeros((240, 240), dtype=np.uint8)
        mask[:, : 20 + 10 * number] = 255
        write(tmp_path, f"clips/fade/{number:03}.png", mask)
    (tmp_path / "clips/train.txt").write_text("fade.mp4\tfade\n")
    (tmp_path / "clips/test.txt").write_text("hidden.mp4\thidden\n")
    return tmp_path


def test_one_of_the_maps_is_drawn(folder):
    maps = HumanMaps([folder / "photos"])
    found = [maps.example(0, step_generator(seed)) for seed in range(12)]
    assert len(maps) == 1 and all(label == -1 and picture.shape == (3, 224, 224) for picture, label, _ in found)
    assert {segments.count for _, _, segments in found} == {1, 3}
    again = maps.example(0, step_generator(0))
    assert torch.equal(again[0], found[0][0]) and np.array_equal(again[2].labels, found[0][2].labels)


def test_frames_of_clips_go_with_their_masks_and_test_parts_stay_out(folder):
    maps = HumanMaps([folder / "clips", folder / "photos"])
    assert len(maps) == 5
    examples = [maps.example(number, step_generator(0)) for number in range(4)]
    light = [picture.float().mean().item() for picture, _, _ in examples]
    covered = [segments.labels.mean() for _, _, segments in examples]
    assert light == sorted(light) and light[0] + 20 < light[-1]
    assert covered == sorted(covered) and covered[0] + 0.2 < covered[-1]
    # Frame n is 8 n bright, and its mask covers 20 + 10 n of 240 columns.
    for brightness, share in zip(light, covered, strict=True):
        assert share == pytest.approx((20 + 10 * brightness / 8) / 240, abs=0.03)


def test_a_broken_map_is_named_and_its_neighbour_taken(folder, capsys):
    (folder / "photos/masks/a_1.png").write_bytes(b"no picture")
    (folder / "photos/masks/a_2.png").write_bytes(b"no picture")
    _, _, segments = HumanMaps([folder / "photos", folder / "clips"]).example(0, step_generator(0))
    assert "skipped a.png: The label map a_" in capsys.readouterr().err and segments.count == 1
    with pytest.raises(MediaError, match="None of the photos with maps can be read"):
        HumanMaps([folder / "photos"]).example(0, step_generator(0))
    with pytest.raises(MediaError, match="no pictures with label maps"):
        HumanMaps([folder / "photos/masks"])
