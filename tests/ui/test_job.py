"""What the page may send, and what it may not."""

import pytest

from focusmae.errors import SettingsError
from focusmae.settings import Settings
from focusmae.ui.job import DEFAULTS, read_job
from tests.tiny import is_one_sentence


def test_the_first_job_is_the_standard_comparison():
    assert read_job(DEFAULTS) == ("parachute.jpg", Settings())


def test_every_setting_arrives():
    job = {
        "source": "coffee", "keep": 10, "seed": 7, "left": "tube", "right": "prior", "autoencoder": "embedded",
        "segmenter": "superpixels", "text": " a cup ", "clips": 1, "crops": 3, "start": 1.5, "seconds": 2,
        "focus": [[3, 2.5]], "clicks": [[0.5, 0.25, 1, 0]], "offer": {"role": "x"},
    }  # fmt: skip
    assert read_job(job) == (
        "coffee",
        Settings(
            keep=0.1, seed=7, strategies=("tube", "prior"), autoencoder="embedded", segmenter="superpixels",
            text="a cup", crops=3, start=1.5, seconds=2, focus=((3, 2.5),), clicks=((0.5, 0.25, 1, 0),),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    "job",
    [
        None,
        {"keep": "25"},
        {"keep": True},
        {"seed": float("nan")},
        {"source": 3},
        {"text": "x" * 2000},
        {"start": "soon"},
        {"focus": "3:2"},
        {"focus": [[1, 2, 3]]},
        {"focus": [[1, "2"]]},
        {"focus": [[1, 1.0]] * 5000},
        {"clicks": [[0.5, 0.5]]},
        {"autoencoder": "/etc/passwd"},
        {"autoencoder": "assets/weights/autoencoder.safetensors"},
        {"classifier": "timm:resnet50"},
    ],
)
def test_what_no_page_would_send_is_refused_in_one_sentence(job):
    with pytest.raises(SettingsError) as caught:
        read_job(job)
    assert is_one_sentence(str(caught.value))
