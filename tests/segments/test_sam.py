"""The SAM segmenter as a whole: everything, clicks, what is kept, and how long it says it will take."""

import threading

import numpy as np
import pytest
import torch
from scipy.ndimage import label

from focusmae import device, hub
from focusmae.errors import SettingsError
from focusmae.masking import Grid
from focusmae.segments import base, sam_wait
from focusmae.segments.base import SEGMENTERS, SegmentMap, load_segmenter
from focusmae.segments.descriptors import describe
from focusmae.segments.sam import KEPT_FRAMES, SamSegmenter
from focusmae.segments.sam_clicks import MOST
from focusmae.segments.sam_model import SamModel
from focusmae.segments.sam_wait import OPERATIONS, PACE, POINTS, Pace, estimate
from focusmae.segments.sam_weights import read_sam
from tests.segments.sam_peers import ColourSam, colour_frame, random_sam, view_of
from tests.tiny import is_one_sentence

RED, BLUE = (220, 40, 40), (40, 60, 230)


def colour_segmenter(**options) -> SamSegmenter:
    return SamSegmenter(ColourSam(), "sam-vit-base", {}, points_per_side=8, **options)


def moving(frames=6):
    return view_of(*(colour_frame((40 + 10 * t, 100, 24, RED), (200, 200, 30, BLUE)) for t in range(frames)))


def test_things_on_a_photo_are_segments_without_holes():
    view = view_of(colour_frame((80, 80, 40, RED), (80, 80, 16, BLUE)))
    segments = colour_segmenter()(view, text="a red disc")
    at = [int(segments.labels[0, y, x]) for y, x in ((80, 80), (80, 110), (250, 250))]
    assert len(set(at)) == 3 and (segments.labels > 0).all() and segments.affinity is None
    assert segments.labels.shape == (1, 256, 256) and segments.source == "sam-vit-base"
    assert all(segments.quality[n - 1] == pytest.approx(0.95, abs=0.01) for n in at)


def test_ids_persist_through_a_clip():
    segments = colour_segmenter(stride=1)(moving())
    red, blue = segments.labels[0, 100, 40], segments.labels[0, 200, 200]
    assert red != blue and min(red, blue) > 0
    assert all(segments.labels[t, 100, 40 + 10 * t] == red and segments.labels[t, 200, 200] == blue for t in range(6))


def test_random_weights_give_a_valid_map_on_photos_and_clips(tmp_path, astronaut):
    path = tmp_path / "sam.pth"
    torch.save(random_sam(2, sharp=True).state_dict(), path)
    segmenter = SamSegmenter(SamModel(read_sam(path)), "sam-vit-base", {}, points_per_side=4)
    for frames in ([astronaut], [astronaut[:256, k : k + 256] for k in range(0, 64, 16)]):
        view = view_of(*frames)
        told = []
        segments = segmenter(view, progress=told.append)
        assert segments.labels.shape == view.frames.shape[:3] and told == sorted(told) and told
        gaps, count = label(segments.labels[0] == 0)
        sizes = np.bincount(gaps.ravel(), minlength=2)[1:]
        assert segments.count == 0 or sizes.max(initial=0) <= segments.labels[0].size / 14**2


@pytest.mark.parametrize("frames", [1, 4])
def test_a_flat_view_has_no_segments_and_costs_nothing(frames):
    segmenter = colour_segmenter()
    view = view_of(*[colour_frame()] * frames)
    segments = segmenter(view)
    assert segments.count == 0 and not segments.labels.any() and segmenter.model.cost.prompts == 0
    grid = Grid(1 if frames == 1 else frames // 2, 14, 14)
    assert torch.isfinite(describe(segments, view.frames, grid)).all()


def test_one_thing_is_one_segment():
    """Half black, which is nothing to this SAM nor to the eye."""
    frame = colour_frame()
    frame[:, 128:] = 0
    segments = colour_segmenter()(view_of(frame))
    assert segments.count == 1 and segments.labels[0, 10, 10] == 1 and segments.labels[0, 10, 250] == 0


def test_embeddings_are_computed_once_and_kept_within_bounds():
    segmenter = colour_segmenter(stride=1)
    view = moving(4)
    segmenter(view)
    segmenter(view)
    assert segmenter.model.cost.frames == 4
    repeated = view_of(*[colour_frame((9, 9, 5, RED))] * 3)
    list(segmenter.embed(repeated.frames))
    assert segmenter.model.cost.frames == 5
    for n in range(KEPT_FRAMES):
        next(segmenter.embed(colour_frame((n, n, 9, BLUE))[None]))
    assert len(segmenter._embeddings) == KEPT_FRAMES
    before = segmenter.model.cost.frames
    next(segmenter.embed(view.frames[:1]))
    assert segmenter.model.cost.frames == before + 1


def test_a_click_adds_what_lies_there_and_leaves_the_rest():
    view = view_of(colour_frame((80, 80, 40, RED), (200, 200, 30, BLUE)))
    segmenter = colour_segmenter()
    start = SegmentMap(np.ones((1, 256, 256)), [0.4], "superpixels")
    once = segmenter.click(view, start, 80 / 256, 80 / 256)
    twice = segmenter.click(view, once, 200 / 256, 200 / 256, label=1)
    assert once.count == 2 and twice.count == 3 and twice.source == "superpixels + clicks"
    assert twice.labels[0, 80, 80] == 2 and twice.labels[0, 200, 200] == 3 and twice.labels[0, 5, 5] == 1
    assert twice.quality.tolist() == pytest.approx([0.4, 0.95, 0.95], abs=0.01)
    red = (view.frames[0] == RED).all(-1)
    assert ((twice.labels[0] == 2) & red).sum() / ((twice.labels[0] == 2) | red).sum() > 0.9
    assert segmenter.model.cost.frames == 1 and (start.labels == 1).all()


def test_a_click_removes_and_ids_of_others_stay():
    view = moving()
    segmenter = colour_segmenter(stride=1)
    full = segmenter(view)
    red, blue = full.labels[0, 100, 40], full.labels[0, 200, 200]
    less = segmenter.click(view, full, 60 / 256, 100 / 256, label=0, frame=2)
    assert not (less.labels == red).any() and less.quality[red - 1] == 0 and less.count == full.count
    assert ((less.labels == blue) == (full.labels == blue)).all() and (full.labels == red).any()
    assert torch.isfinite(describe(less, view.frames, Grid(3, 14, 14))).all()


@pytest.mark.parametrize("frame", [0, 3, 5])
def test_a_click_on_a_clip_follows_the_thing_both_ways(frame):
    view = moving()
    start = SegmentMap(np.ones((6, 256, 256)), [0.4], "superpixels")
    for stride in (1, 2):
        segmenter = colour_segmenter(stride=stride)
        segments = segmenter.click(view, start, (40 + 10 * frame) / 256, 100 / 256, frame=frame)
        assert [int(segments.labels[t, 100, 40 + 10 * t]) for t in range(6)] == [2] * 6
        assert (segments.labels[:, 200, 200] == 1).all()
        assert segmenter.model.cost.frames == (6 if stride == 1 else 3 + frame % 2)


def test_a_click_stops_at_cuts():
    other = colour_frame((40, 100, 24, RED), ground=(150, 150, 150))
    view = view_of(*[colour_frame((40, 100, 24, RED))] * 2, *[other] * 2, *[colour_frame((40, 100, 24, RED))] * 2)
    start = SegmentMap(np.ones((6, 256, 256)), [0.4], "superpixels")
    segments = colour_segmenter().click(view, start, 40 / 256, 100 / 256, frame=2)
    assert [int(segments.labels[t, 100, 40]) for t in range(6)] == [1, 1, 2, 2, 1, 1]


@pytest.mark.parametrize(
    "click",
    [
        {"x": 1.01, "y": 0.5},
        {"x": 0.5, "y": -0.01},
        {"x": float("nan"), "y": 0.5},
        {"x": 300, "y": 200},
        {"x": 0.5, "y": 0.5, "frame": 1},
        {"x": 0.5, "y": 0.5, "frame": -1},
        {"x": 0.5, "y": 0.5, "label": 2},
        {"x": 0.9, "y": 0.1},  # black: nothing there
        {"x": 0.9, "y": 0.1, "label": 0},
    ],
)
def test_clicks_that_mean_nothing_are_refused_in_one_sentence(click):
    frame = colour_frame((80, 80, 40, RED))
    frame[:, 160:] = 0
    start = SegmentMap((np.arange(256) < 128)[None, None] * np.ones((1, 256, 1)), [0.4], "superpixels")
    with pytest.raises(SettingsError) as error:
        colour_segmenter().click(view_of(frame), start, **click)
    assert is_one_sentence(str(error.value))


def test_clicks_on_the_very_border_count():
    start = SegmentMap(np.ones((1, 256, 256)), [0.4], "superpixels")
    segments = colour_segmenter().click(view_of(colour_frame((80, 80, 40, RED))), start, 1.0, 1.0)
    assert segments.labels[0, 255, 255] == 2


def test_segments_of_another_picture_and_too_many_are_refused():
    view = view_of(colour_frame((80, 80, 40, RED)))
    other = SegmentMap(np.ones((1, 128, 128)), [0.4], "superpixels")
    with pytest.raises(SettingsError, match="another picture"):
        colour_segmenter().click(view, other, 0.5, 0.5)
    many = SegmentMap(np.ones((1, 256, 256)), [0.4] * MOST, "superpixels")
    with pytest.raises(SettingsError, match=str(MOST)):
        colour_segmenter().click(view, many, 0.5, 0.5)


def test_threads_share_one_segmenter(tmp_path, astronaut):
    path = tmp_path / "sam.pth"
    torch.save(random_sam(1, sharp=True).state_dict(), path)
    segmenter = SamSegmenter(SamModel(read_sam(path)), "sam-vit-base", {}, points_per_side=3)
    views = [view_of(astronaut[k : k + 128, k : k + 128]) for k in (0, 100, 200, 300)]
    alone = [segmenter(view) for view in views]
    found = {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: segmenter(views[n])})) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, expected in enumerate(alone):
        assert (found[n].labels == expected.labels).all() and (found[n].quality == expected.quality).all()


def test_the_default_is_sam_only_on_a_gpu_that_has_its_weights(monkeypatch):
    monkeypatch.setitem(SEGMENTERS, base.ON_A_GPU, lambda checkpoint, progress=None: "SAM")
    for kind, there, expected in (("cuda", True, "SAM"), ("cuda", False, None), ("cpu", True, None)):
        monkeypatch.setattr(device, "setup", lambda kind=kind: torch.device(kind))
        monkeypatch.setattr(hub, "here", lambda weights, there=there: there)
        found = load_segmenter("auto")
        assert found == expected if expected else found.name == "superpixels"


def test_points_by_device():
    assert POINTS["cuda"] == 32 and 8 <= POINTS["cpu"] <= 12
    assert SamSegmenter(ColourSam(), "sam-vit-base", {}).points_per_side == POINTS["cpu"]


def test_the_estimate_grows_with_the_work_and_learns(monkeypatch):
    monkeypatch.setattr(sam_wait, "PACE", Pace())
    monkeypatch.setattr(sam_wait, "speed", lambda kind: 4e11)
    photo, clip = estimate("cpu", 1, 12), estimate("cpu", 16, 12)
    assert 1 < photo < 20 and 6 * photo < clip < 16 * photo
    assert estimate("cpu", 1, 32) > photo and estimate("cpu", 1) == photo
    waits = [estimate("cpu", 1, 12, name) for name in OPERATIONS]
    assert waits == sorted(waits) and waits[-1] > 4 * waits[0]
    sam_wait.PACE.learn("sam-vit-base", "cpu", seconds=10.0, units=sam_wait.work(1, 12))
    assert estimate("cpu", 1, 12) == pytest.approx(10.0)
    sam_wait.PACE.learn("sam-vit-base", "cpu", seconds=20.0, units=sam_wait.work(1, 12))
    assert estimate("cpu", 1, 12) == pytest.approx(15.0)
    sam_wait.PACE.learn("sam-vit-base", "cpu", seconds=20.0, units=0)
    with pytest.raises(SettingsError) as error:
        estimate("cpu", name="sam")
    assert is_one_sentence(str(error.value))


def test_operations_are_those_of_the_encoder():
    """Counted by PyTorch on the model without weights; attention's products included."""
    from segment_anything import sam_model_registry
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        encoder = sam_model_registry["vit_b"]().image_encoder
        with FlopCounterMode(display=False) as counter:
            encoder(torch.empty(1, 3, 1024, 1024))
    assert counter.get_total_flops() == pytest.approx(OPERATIONS["sam-vit-base"], rel=0.15)


def test_a_run_teaches_the_pace():
    PACE._known.pop(("sam-vit-base", "cpu"), None)
    colour_segmenter()(view_of(colour_frame((80, 80, 40, RED))))
    assert 0 < PACE.get("sam-vit-base", "cpu") < 1
    PACE._known.pop(("sam-vit-base", "cpu"))


def test_speed_is_measured_once():
    sam_wait.speed.cache_clear()
    first = sam_wait.speed("cpu")
    assert first > 1e8 and sam_wait.speed("cpu") == first
