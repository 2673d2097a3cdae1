import json
import math

import numpy as np
import pytest
from PIL import Image

from focusmae.__main__ import main
from focusmae.errors import MediaError
from focusmae.media import write_mp4
from focusmae.segments_report import PEERS, felzenszwalb_like, judge, run, slic_like, table

SIDE = 224


def discs(number):
    """A picture of flat things on a flat ground, a little noise, and its label map: both (SIDE, SIDE)."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:SIDE, :SIDE]
    labels = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for thing in range(1, 5):
        cy, cx = 56 + 112 * ((thing - 1) // 2), 56 + 112 * ((thing - 1) % 2)
        labels[np.hypot(y - cy + rng.integers(-8, 9), x - cx + rng.integers(-8, 9)) < rng.integers(22, 34)] = thing
    colours = np.array([[90, 90, 90], [220, 40, 40], [40, 200, 60], [50, 60, 220], [230, 210, 50]])
    picture = np.clip(colours[labels] + rng.integers(-3, 4, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    return picture, labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two pictures with two people's maps each; one picture and one map that are broken."""
    folder = tmp_path_factory.mktemp("labelled")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    lines = []
    for number in range(4):
        picture, labels = discs(number)
        Image.fromarray(picture).save(folder / "images" / f"{number}.png")
        for person in range(2):
            Image.fromarray(labels + person).save(folder / "masks" / f"{number}_{person}.png")
        lines.append(f"images/{number}.png\tmasks/{number}_0.png,masks/{number}_1.png")
    (folder / "images" / "2.png").write_bytes(b"broken")
    Image.fromarray(labels[:-5]).save(folder / "masks" / "3_1.png")
    (folder / "val.txt").write_text("\n".join(lines))
    return folder


def test_a_picture_of_flat_things_is_followed_and_broken_files_are_named(folder, tmp_path, capsys):
    report = run(folder, part="val", json_path=tmp_path / "report.json")
    ours = report["sources"]["superpixels"]
    assert report["pictures"] == 2 and [row["name"] for row in report["skipped"]] == ["images/2.png", "images/3.png"]
    assert ours["boundary_recall"]["mean"] > 0.99 and ours["accuracy"]["mean"] > 0.99
    assert 5 <= ours["regions"]["mean"] <= 8 and ours["overlap"] is None
    low, high = ours["accuracy"]["low"], ours["accuracy"]["high"]
    assert low <= ours["accuracy"]["mean"] <= high
    assert set(report["paired"]) == set(PEERS) and report["paired"]["slic"]["boundary_recall"]["mean"] > 0
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(json.dumps(report))
    printed = capsys.readouterr().out
    assert printed.strip() == table(report).strip() and "| superpixels |" in printed and "images/3.png: " in printed


def test_the_measures_of_known_labels():
    _, labels = discs(0)
    perfect = judge(labels[None], [labels[None].astype(int)] * 2)
    assert perfect["boundary_recall"] == perfect["boundary_precision"] == perfect["accuracy"] == 1
    assert perfect["regions"] == 5 and math.isnan(perfect["overlap"])
    nothing = judge(np.zeros((1, SIDE, SIDE)), [labels[None], (labels[None] == 1) * 255])
    assert nothing["boundary_recall"] == 0 and nothing["overlap"] == pytest.approx((labels == 1).mean())
    assert nothing["accuracy"] == pytest.approx(((labels == 0).mean() + (labels != 1).mean()) / 2)


def test_peers_come_near_our_number_of_regions(astronaut):
    frames = astronaut[None, ::2, ::2]
    for peer in PEERS.values():
        labels, seconds = peer(frames, 40)
        assert labels.shape == frames.shape[:3] and seconds > 0
        assert 30 <= len(np.unique(labels)) <= 50
    two, _ = felzenszwalb_like(frames.repeat(2, 0), 40)
    assert two[0].max() + 1 == two[1].min()  # each frame alone: no id in both
    assert slic_like(np.full((1, 64, 64, 3), 9, dtype=np.uint8), 1)[0].shape == (1, 64, 64)


def test_clips_are_judged_through_time(tmp_path, monkeypatch):
    monkeypatch.setattr("focusmae.segments_report.PEERS", {})  # slow on clips
    frames, folder = np.full((24, SIDE, SIDE, 3), 90, dtype=np.uint8), tmp_path / "masks" / "c"
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        frame[80:150, 20 + 4 * number : 90 + 4 * number] = (220, 40, 40)
        Image.fromarray((frame[..., 0] > 150).astype(np.uint8) * 255).save(folder / f"{number:05d}.png")
    (tmp_path / "clips").mkdir()
    write_mp4(tmp_path / "clips" / "c.mp4", frames, fps=24)
    (tmp_path / "test.txt").write_text("clips/c.mp4\tmasks/c\n")
    report = run(tmp_path)
    ours = report["sources"]["superpixels"]
    assert ours["overlap"]["mean"] > 0.9 and ours["overlap"]["low"] is None and report["paired"] == {}


def test_nothing_to_measure_is_one_sentence(folder, tmp_path, capsys):
    assert main(["segments", str(tmp_path)]) == 2
    assert main(["segments", str(folder), "--part", "train"]) == 2
    assert main(["segments", str(folder), "--part", "val", "--segmenter", "slic"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 3
    (tmp_path / "val.txt").write_text("images/3.png\tmasks/3_1.png\n")
    with pytest.raises(MediaError, match="None of the 1"):
        run(tmp_path)


def test_the_command_prints_the_table(folder, tmp_path, capsys):
    out = tmp_path / "report.json"
    assert main(["segments", str(folder), "--part", "val", "--limit", "1", "--json", str(out)]) == 0
    assert "| slic |" in capsys.readouterr().out and json.loads(out.read_text())["pictures"] == 1
