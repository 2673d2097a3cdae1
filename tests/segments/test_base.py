import subprocess
import sys

import numpy as np
import pytest

from focusmae import hub
from focusmae.errors import SettingsError, WeightsError
from focusmae.segments.base import SEGMENTERS, SegmentMap, load_segmenter


@pytest.mark.parametrize("name", SEGMENTERS)
def test_every_registered_segmenter_loads_or_says_what_to_fetch(name, monkeypatch):
    monkeypatch.setattr(hub, "here", lambda weights: False)
    monkeypatch.setattr(hub, "fetch", refuse)
    if name in ("auto", "superpixels"):
        assert load_segmenter(name).name in SEGMENTERS
    else:
        with pytest.raises(WeightsError, match=name):
            load_segmenter(name)


def refuse(weights, progress=None):
    raise WeightsError(f"{weights.name} is not here.")


def test_the_registry_loads_no_network_library():
    """The page reads the names of the sources before it has torch."""
    code = "import sys, focusmae.segments.base; print(sorted({'torch', 'transformers', 'skimage'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_wrong_name_answers_with_the_names_that_exist():
    with pytest.raises(SettingsError) as error:
        load_segmenter("superpixel")
    assert all(name in str(error.value) for name in SEGMENTERS)


def test_superpixels_refuse_a_checkpoint():
    with pytest.raises(SettingsError, match="no weights"):
        load_segmenter("superpixels", checkpoint="weights.pth")


def test_types_are_made_uniform():
    segments = SegmentMap(np.ones((1, 4, 4), dtype=np.int64), [0.5], "test", affinity=[1])
    assert segments.labels.dtype == np.int32
    assert segments.quality.dtype == segments.affinity.dtype == np.float32
    assert segments.count == 1


@pytest.mark.parametrize(
    "labels, quality, affinity",
    [
        (np.ones((4, 4)), [0.5], None),  # no time axis
        (np.ones((0, 4, 4)), [0.5], None),  # empty
        (np.full((1, 4, 4), 2), [0.5], None),  # an id without quality
        (np.full((1, 4, 4), -1), [0.5], None),
        (np.ones((1, 4, 4)), [1.5], None),
        (np.ones((1, 4, 4)), [np.nan], None),
        (np.ones((1, 4, 4)), [0.5], [0.1, 0.2]),
    ],
)
def test_contradictions_are_refused(labels, quality, affinity):
    with pytest.raises(ValueError):
        SegmentMap(labels, quality, "test", affinity)
