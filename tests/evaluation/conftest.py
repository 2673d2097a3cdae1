"""The synthetic world, and one run over it that many tests read."""

import pytest

from focusmae.evaluation.plan import Plan
from focusmae.evaluation.run import evaluate
from focusmae.segments.base import SEGMENTERS
from tests.evaluation.fakes import ColourClassifier, Whole, networks, write_world


@pytest.fixture(scope="package", autouse=True)
def quick_segmenter():
    """Segments play no part in this world, and superpixels would take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SEGMENTERS, "whole", lambda *_: Whole())
        yield


@pytest.fixture(scope="package")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, each=3)
    return folder


@pytest.fixture(scope="package")
def plan() -> Plan:
    return Plan(keeps=(0.1, 0.25), curve=(0.05,), seeds=16, picture_seeds=1, scorers=("colour",), segmenter="whole")


@pytest.fixture(scope="package")
def run(world, plan, tmp_path_factory):
    """(the report as a dict, its folder)."""
    out = tmp_path_factory.mktemp("report")
    judge = ColourClassifier(["blue", "red", "GREEN THING"], sharpness=200.0)
    judge.head.weight.copy_(judge.head.weight[[2, 0, 1]])  # its classes come in another order
    return evaluate([world], out, plan, report=lambda _: None, load=lambda kind: networks(judge=judge)), out
