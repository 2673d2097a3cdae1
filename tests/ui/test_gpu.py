"""ZeroGPU: functions are wrapped with the time that their input needs, and elsewhere left alone."""

import sys
import types

from focusmae.ui import gpu
from focusmae.ui.job import DEFAULTS


def test_elsewhere_nothing_is_wrapped():
    def work(job):
        return job

    assert not gpu.ZERO and gpu.on_gpu(gpu.run_seconds)(work) is work


def test_on_zerogpu_the_time_follows_the_input(monkeypatch):
    asked = {}

    def decorator(duration):
        asked["duration"] = duration
        return lambda function: ("wrapped", function)

    monkeypatch.setitem(sys.modules, "spaces", types.SimpleNamespace(GPU=decorator))
    monkeypatch.setattr(gpu, "ZERO", True)
    assert gpu.on_gpu(gpu.run_seconds)(len)[0] == "wrapped"
    photo = asked["duration"](DEFAULTS)
    clip = asked["duration"]({**DEFAULTS, "source": "golf_ball.mp4"})
    paper = asked["duration"]({**DEFAULTS, "source": "golf_ball.mp4", "clips": 5, "crops": 3})
    assert 0 < photo < clip < paper <= gpu.LONGEST and photo < 30
    most = {**DEFAULTS, "source": "a.mp4", "clips": 10, "crops": 3, "segmenter": "sam-vit-huge"}
    assert asked["duration"](most) == gpu.LONGEST
