"""Labelled clips are found by table or by folder, and folds never part what belongs together."""

import numpy as np
import pytest

from focusmae.errors import SettingsError
from focusmae.evaluation.folds import Clip, make_folds, read_clips
from focusmae.media import write_mp4
from tests.tiny import is_one_sentence


def save(path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, np.full((20, 64, 64, 3), shade, np.uint8), fps=10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(("well/a.mp4", "well/b.mp4", "ill/c.mp4", "sick/d.mp4")):
        save(folder / name, 20 + 30 * number)
    (folder / "ill" / "copy.mp4").write_bytes((folder / "ill" / "c.mp4").read_bytes())
    (folder / "ill" / "broken.mp4").write_bytes(b"no clip")
    (folder / "ill" / "notes.txt").write_text("nothing")
    return folder


def test_folders_are_labels(folder):
    clips, broken = read_clips(folder, {"sick": "ill", "absent": "well"})
    assert [(clip.name, clip.label) for clip in clips] == [
        ("ill/c.mp4", "ill"), ("ill/copy.mp4", "ill"), ("sick/d.mp4", "ill"), ("well/a.mp4", "well"),
        ("well/b.mp4", "well"),
    ]  # fmt: skip
    groups = [clip.group for clip in clips]
    assert groups[0] == groups[1] and len(set(groups)) == 4  # the same content is the same group
    assert [row["name"] for row in broken] == ["ill/broken.mp4"] and is_one_sentence(broken[0]["why"])


@pytest.mark.parametrize("ending, mark", [("tsv", "\t"), ("csv", ",")])
def test_a_table_names_labels_and_groups(folder, tmp_path, ending, mark):
    head = "path,label,group,note"
    rows = [head, "well/a.mp4,fine,p1,x", "ill/c.mp4,bad,p1,x", "sick/d.mp4,bad,,x", "gone.mp4,bad,p2,x"]
    for name in ("well", "ill", "sick"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / f"table.{ending}").write_text("\n".join(rows).replace(",", mark))
    clips, broken = read_clips(tmp_path, {})
    assert [(clip.name, clip.label, clip.group) for clip in clips] == [
        ("ill/c.mp4", "bad", "p1"), ("sick/d.mp4", "bad", "sick/d.mp4"), ("well/a.mp4", "fine", "p1"),
    ]  # fmt: skip
    assert [row["name"] for row in broken] == ["gone.mp4"]


def test_without_labels_there_is_no_study(tmp_path):
    save(tmp_path / "loose.mp4", 9)
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SettingsError) as error:
            read_clips(folder, {})
        assert is_one_sentence(str(error.value))


def clips_of(*groups: str) -> list[Clip]:
    """One clip per letter, each word a group."""
    return [
        Clip(None, f"{number}-{place}", letter, str(number), f"{number}{place}")
        for number, group in enumerate(groups)
        for place, letter in enumerate(group)
    ]


def test_folds_keep_groups_whole_and_labels_spread():
    clips = clips_of("aaaa", "aaa", "aab", "bb", "bb", "b", "a", "a", "a", "c", "c", "cc", "c", "b", "a", "a")
    folds = make_folds(clips, 4)
    for group in {clip.group for clip in clips}:
        assert len({fold for clip, fold in zip(clips, folds, strict=True) if clip.group == group}) == 1
    for label, least, most in (("a", 3, 4), ("b", 1, 2), ("c", 1, 2)):
        counts = [sum(c.label == label and f == fold for c, f in zip(clips, folds, strict=True)) for fold in range(4)]
        assert min(counts) >= least and max(counts) <= most, (label, counts)
    assert make_folds(clips, 4) == folds


@pytest.mark.parametrize("groups, count", [(("aab", "ab", "b"), 3), (("a", "a"), 2), (("a", "b"), 1)])
def test_folds_that_cannot_be(groups, count):
    with pytest.raises(SettingsError) as error:
        make_folds(clips_of(*groups), count)
    assert is_one_sentence(str(error.value))
