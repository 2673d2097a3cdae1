"""The benchmark runs every row on the same weights and adds up; what it measures is not timed in tests."""

import json

import pytest
import torch
from segment_anything import sam_model_registry

from focusmae.segments import sam_benchmark
from tests.segments.sam_peers import random_sam


@pytest.fixture
def small(monkeypatch):
    """A small model in segment-anything's registry, and rows in this process, which knows it."""
    monkeypatch.setitem(sam_model_registry, "vit_t", lambda: random_sam(1))
    monkeypatch.setattr(sam_benchmark, "_child", sam_benchmark.answer)
    return "vit_t"


def test_random_weights_are_set_so_that_masks_pass(small, tmp_path):
    path = tmp_path / "random.pth"
    assert sam_benchmark.answer("prepare", small, str(path)) == {}
    before, after = random_sam(1).state_dict(), torch.load(path, weights_only=True)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed and all("hypernetworks" in key or "iou_prediction_head" in key for key in changed)
    found = sam_benchmark.answer("run", "ours, every point", str(path), small, "4", "0")
    assert found["masks"] >= 1 and found["prompts"] == 16 and found["seconds"] > 0 and found["peak_mb"] > 100


def test_every_row_is_printed_and_reported(small, capsys):
    report = sam_benchmark.compare(3, small, None, clip=True)
    assert set(report["rows"]) == set(sam_benchmark.WHO)
    rows = report["rows"]
    assert rows["ours, every point"]["prompts"] == rows["segment-anything"]["prompts"] == 9
    assert rows["ours, every point"]["masks"] == rows["segment-anything"]["masks"]
    assert "clip_seconds" in rows["ours"] and json.dumps(report)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(rows) and "clip of 16" in printed[2] and "1.0 times" in printed[0]


def test_an_unknown_part_is_refused():
    with pytest.raises(SystemExit):
        sam_benchmark.answer("walk")
