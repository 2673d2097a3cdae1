"""The finished example is what the networks say today, whichever machine computed it."""

import base64
import io

import numpy as np
from PIL import Image

from focusmae.evidence import KEEPS, SEEDS
from focusmae.ui import first


def picture(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"), float)


def test_the_shipped_example_equals_a_fresh_one():
    assert first.FILE.stat().st_size < 300_000
    kept, evidence = first.finished()
    fresh = first.compute()
    assert kept.keys() == fresh["result"].keys() and evidence.keys() == fresh["evidence"].keys()
    assert kept["weights"] == fresh["result"]["weights"], "run python -m focusmae.ui.first"
    assert np.abs(picture(kept["input"]) - picture(fresh["result"]["input"])).max() == 0
    np.testing.assert_allclose(kept["scores"], fresh["result"]["scores"], atol=0.15)
    for old, new in zip(kept["arms"], fresh["result"]["arms"], strict=True):
        assert old.keys() == new.keys() and old["name"] == new["name"]
        shared = len(set(old["visible"]) & set(new["visible"])) / len(new["visible"])
        assert shared >= 0.95  # another processor rounds differently, and a close call may fall the other way
        assert np.abs(picture(old["picture"]) - picture(new["picture"])).mean() < 3
        assert old["prediction"][0]["label"] == new["prediction"][0]["label"]
        assert abs(old["prediction"][0]["probability"] - new["prediction"][0]["probability"]) < 0.1
    assert len(evidence["seeds"]) == SEEDS and len(evidence["curve"]) == len(KEEPS)
    for old, new in zip(evidence["measures"], fresh["evidence"]["measures"], strict=True):
        assert old["key"] == new["key"]
        width = max(abs(new["high"] - new["low"]), 1e-6)
        assert abs(old["mean"] - new["mean"]) < 0.25 * width


def test_the_shipped_example_says_so():
    result, _ = first.finished()
    assert result["kind"] == "result" and result["shipped"] is True
