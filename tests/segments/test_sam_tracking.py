"""Segments through a clip: motion, ids, ends, beginnings, cuts."""

import numpy as np
import pytest
import torch

from focusmae.segments.sam_masks import Rules
from focusmae.segments.sam_motion import CELLS, colours, cuts, innermost, moves, shifted
from focusmae.segments.sam_tracking import KEY_EVERY, KEY_LEAST, follow, work
from tests.segments.sam_peers import ColourSam, colour_frame

RED, BLUE, GREY = (220, 40, 40), (40, 60, 230), (150, 150, 150)


def run(frames, points=8, stride=1, report=None):
    model = ColourSam()
    return model, follow(model, model.encode, np.stack(frames), points, Rules(), report, stride)


def id_at(layer, x, y):
    """The id of the smallest mask at a point in pixels of 256."""
    size = layer.shapes.shape[-1]
    at = layer.shapes[:, y * size // 256, x * size // 256]
    rows = at.nonzero()[:, 0].tolist()
    return int(layer.ids[min(rows, key=lambda row: int(layer.shapes[row].sum()))]) if rows else 0


def test_a_thing_that_moves_keeps_its_id():
    frames = [colour_frame((40 + 10 * t, 100, 24, RED), (200, 200, 30, BLUE)) for t in range(8)]
    _, found = run(frames)
    red, blue, ground = (id_at(found.layers[0], *at) for at in ((40, 100), (200, 200), (250, 10)))
    assert len({red, blue, ground}) == 3 and set(found.quality) == {red, blue, ground}
    for t in range(8):
        assert id_at(found.layers[t], 40 + 10 * t, 100) == red
        assert id_at(found.layers[t], 200, 200) == blue and id_at(found.layers[t], 250, 10) == ground
    assert found.quality[red] == pytest.approx(0.95, abs=0.01)


def test_cost_is_a_grid_on_key_frames_and_a_prompt_per_segment_elsewhere():
    frames = [colour_frame((100, 100, 40, RED))] * 16
    model, found = run(frames)
    assert len(found.layers) == 16 and KEY_EVERY == 8
    assert model.cost.frames == 16
    assert model.cost.prompts == 2 * 16 + 15 * 2  # both segments go on from every frame but the first
    model, found = run(frames, stride=2)
    assert model.cost.frames == 8 and len(found.layers) == 16
    assert model.cost.prompts == 2 * 16 + 7 * 2


def test_stride_hands_the_frame_before_on():
    frames = [colour_frame((40 + 20 * t, 100, 24, RED)) for t in range(5)]
    _, found = run(frames, stride=2)
    assert found.layers[0] is found.layers[1] and found.layers[2] is found.layers[3]
    assert id_at(found.layers[4], 120, 100) == id_at(found.layers[0], 40, 100)


def test_a_cut_at_a_frame_that_would_be_passed_over_is_looked_at():
    frames = [colour_frame((60, 60, 40, RED))] * 3 + [colour_frame((60, 60, 40, BLUE), ground=GREY)] * 3
    model, found = run(frames, stride=2)
    assert model.cost.frames == 4 and len(found.layers) == 6
    assert not set(found.layers[2].ids.tolist()) & set(found.layers[3].ids.tolist())


def test_a_thing_that_goes_ends_and_one_that_comes_is_new_at_the_next_key_frame():
    frames = [colour_frame(*[(60, 60, 30, RED)] * (t < 4), *[(190, 190, 30, BLUE)] * (t >= 6)) for t in range(12)]
    _, found = run(frames)
    red, ground = id_at(found.layers[0], 60, 60), id_at(found.layers[0], 250, 10)
    assert [id_at(layer, 60, 60) == red for layer in found.layers] == [True] * 4 + [False] * 8
    blue = id_at(found.layers[8], 190, 190)
    assert blue not in (red, ground, 0)
    assert [id_at(layer, 190, 190) == blue for layer in found.layers] == [False] * 8 + [True] * 4
    assert all(id_at(layer, 250, 10) == ground for layer in found.layers)
    assert {red, ground, blue} <= set(found.quality)


def test_a_cut_ends_all():
    frames = [colour_frame((60, 60, 40, RED))] * 5 + [colour_frame((60, 60, 40, BLUE), ground=GREY)] * 5
    assert cuts(np.stack(frames)) == [t == 5 for t in range(10)]
    model, found = run(frames)
    assert not set(found.layers[4].ids.tolist()) & set(found.layers[5].ids.tolist())
    assert model.cost.prompts == 2 * 16 + 8 * 2


def test_where_much_is_lost_the_next_key_frame_comes_early():
    """The ground becomes noise of another colour, which ends it: no cut, since most of the picture stays."""
    before = colour_frame((64, 128, 30, RED))
    after = colour_frame((64, 128, 30, RED))
    after[:, 164:] = (150, 90, 150)
    model, found = run([before] * 2 + [after] * 8)
    new = id_at(found.layers[4], 200, 128)
    assert not cuts(np.stack([before, after]))[1] and KEY_LEAST == 3
    assert new == id_at(found.layers[9], 200, 128) != id_at(found.layers[0], 200, 128)


def test_nothing_at_all_is_followed_too():
    model, found = run([np.zeros((256, 256, 3), dtype=np.uint8)] * 3)
    assert [len(layer.ids) for layer in found.layers] == [0, 0, 0] and found.quality == {}


def test_progress_ends_the_run_when_it_raises():
    told = []
    run([colour_frame((100, 100, 40, RED))] * 4, report=told.append)
    assert told == sorted(told) and 0 < told[0] and told[-1] <= 1

    def stop(share):
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([colour_frame((100, 100, 40, RED))] * 4, report=stop)


def test_work_grows_with_frames_and_points():
    assert work(1, 8) < work(1, 16) < work(16, 16, stride=2) < work(16, 16)


@pytest.mark.parametrize("by", [(0, 0), (16, 0), (-8, 12), (0, -24)])
def test_moves_are_those_of_the_colours(by):
    """The disc goes over a ground with a pattern, which stays."""
    pattern = np.kron(np.random.default_rng(0).integers(0, 256, (32, 32, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    frames = []
    for dx, dy in ((0, 0), by):
        frame = colour_frame((128 + dx, 128 + dy, 40, RED), ground=(0, 0, 0))
        frames.append(np.where(frame.any(-1, keepdims=True), frame, pattern))
    size = 128
    y, x = np.mgrid[:size, :size]
    disc = torch.from_numpy((x - 64) ** 2 + (y - 64) ** 2 < 20**2)
    ground = ~disc
    found = moves(*(colours(frame, "cpu") for frame in frames), torch.stack([disc, ground]))
    assert found[0].tolist() == [by[0] // 4, by[1] // 4] and found[1].tolist() == [0, 0]


def test_shifted_masks_go_on_as_they_were_at_the_border():
    logits = torch.randn(2, 2 * CELLS, 2 * CELLS)
    out = shifted(logits, torch.tensor([[3, -2], [0, 0]]))
    assert torch.equal(out[0, :-4, 6:], logits[0, 4:, :-6]) and torch.equal(out[1], logits[1])
    assert torch.equal(out[0, -4:, 6:], logits[0, -1:, :-6].expand(4, -1))
    assert torch.equal(out[0, :-4, :6], logits[0, 4:, :1].expand(-1, 6))


def test_innermost_points_lie_deep_inside():
    size = 128
    y, x = np.mgrid[:size, :size]
    ring = ((x - 64) ** 2 + (y - 64) ** 2 < 50**2) & ((x - 64) ** 2 + (y - 64) ** 2 > 20**2)
    line = (y == 100) & (x > 30)
    corner = (x < 40) & (y < 40)
    shapes = np.stack([ring, line, corner, np.zeros_like(ring)])
    points = (innermost(torch.from_numpy(shapes)) * size).numpy().astype(int)
    for shape, (px, py) in zip(shapes[:3], points[:3], strict=True):
        assert shape[py, px]
    radius = np.hypot(points[0][0] - 64, points[0][1] - 64)
    assert 27 < radius < 43
    assert 10 < points[2][0] < 30 and 10 < points[2][1] < 30  # the picture's border is the mask's too
    assert ((points >= 0) & (points < size)).all()


def test_a_pan_and_a_flash_are_no_cuts(astronaut):
    pan = np.stack([astronaut[100:356, 12 * t : 12 * t + 256] for t in range(6)])
    assert not any(cuts(pan))
    flash = np.stack([astronaut, astronaut // 2 + 64])
    assert not any(cuts(flash)) or np.abs(np.diff(flash.astype(int), axis=0)).mean() > 22
    assert cuts(np.stack([astronaut])) == [False]
