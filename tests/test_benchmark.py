"""The benchmark's own arithmetic; what it measures is not timed in tests."""

import json
import time

import numpy as np
import torch

from focusmae import benchmark, device, hub


def test_median_leaves_the_first_call_out_and_counts_every_other():
    seen = []
    seconds = benchmark.median(lambda n: (seen.append(n), time.sleep(0.05 if n == 0 else 0.001)), 5)
    assert seen == [0, 1, 2, 3, 4, 5]
    assert 0.001 <= seconds


def test_inputs_differ_by_number_and_repeat():
    pictures = [benchmark.photo(n, 64) for n in range(8)]
    assert all(p.shape == (64, 64, 3) and p.dtype == np.uint8 for p in pictures)
    assert len({p.tobytes() for p in pictures}) == 8
    assert np.array_equal(benchmark.photo(3, 64), pictures[3])
    clip = benchmark.clip(1, 32, 5)
    assert clip.shape == (5, 32, 32, 3)
    assert not np.array_equal(clip[0], clip[4])


def test_report_has_table_ratio_and_json(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "_photo_rows", lambda n: [benchmark.Row("ours", 1.0, "theirs", 4.0)])
    monkeypatch.setattr(benchmark, "_clip_rows", lambda n: [benchmark.Row("alone", 2.0)])
    monkeypatch.setattr(benchmark, "_model_rows", lambda n: [])
    light = [benchmark.Row("light", 1.0, "exact", 2.0, 48.5)]
    monkeypatch.setattr(benchmark, "model_rows", lambda n, large_file: light)
    monkeypatch.setattr(benchmark, "_start_row", lambda: benchmark.Row("start", 3.0))
    monkeypatch.setattr(benchmark, "_memory", lambda n: {"after 1": 10.0, "peak": 12.0})
    report = benchmark.run(tmp_path / "b.json", quick=True)
    assert report["rows"][0]["ratio"] == 0.25 and report["rows"][1]["ratio"] is None
    assert json.loads((tmp_path / "b.json").read_text()) == json.loads(json.dumps(report))
    printed = capsys.readouterr().out
    assert "theirs" in printed and "0.25" in printed and "peak 12" in printed
    assert "0.50" in printed and "48.5" in printed and report["rows"][2]["psnr"] == 48.5


def test_setup_is_done_once_and_says_what_runs():
    assert device.setup() is device.setup() or device.setup() == device.setup()
    assert torch.get_float32_matmul_precision() == "medium"
    assert "float32" in device.describe()


def test_hash_follows_the_file(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"a")
    first = hub.sha256(path)
    assert first == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    path.write_bytes(b"bb")
    assert hub.sha256(path) != first
