from collections import Counter
from math import hypot, log, log2

import numpy as np
import pytest
import torch

from focusmae.masking import grid_of
from focusmae.segments.base import SegmentMap
from focusmae.segments.descriptors import DESCRIPTORS, EXPERTS, describe, token_segments

PHOTO, CLIP = grid_of(196), grid_of(1568)


def column(values, name):
    return values[:, DESCRIPTORS.index(name)].numpy()


def random_input(frames, side, n, seed=0, affinity=False):
    rng = np.random.default_rng(seed)
    # Blocks of 5 pixels, so that tokens see between one and several segments.
    cells = -(-side // 5)
    labels = rng.integers(0, n + 1, (frames, cells, cells)).repeat(5, 1).repeat(5, 2)[:, :side, :side]
    text = rng.random(n) if affinity else None
    segments = SegmentMap(labels, rng.random(n), "test", text)
    return segments, rng.integers(0, 256, (frames, side, side, 3), dtype=np.uint8)


def by_hand(segments, grid):
    """What the segments alone say about every token, in plain loops over pixels."""
    labels = segments.labels
    frames, side, _ = labels.shape
    pixels = {}
    for t in range(frames):
        for y in range(side):
            for x in range(side):
                token = (t * grid.t // frames, y * grid.h // side, x * grid.w // side)
                pixels.setdefault(token, []).append((t, y, x))
    rows = []
    for token in np.ndindex(*grid):
        seen = Counter(int(labels[p]) for p in pixels[token])
        total = sum(seen.values())
        own = min(seen, key=lambda i: (-seen[i], i))
        row = {"own": own, "presence": float(own > 0)}
        row["coverage"] = sum(c / total * segments.quality[i - 1] for i, c in seen.items() if i)
        row["text_affinity"] = sum(c / total * segments.affinity[i - 1] for i, c in seen.items() if i)
        row["entropy"] = min(1, sum(-c / total * log2(c / total) for c in seen.values()) / 2)
        row["count"] = min(1, len(set(seen) - {0}) / 4)
        border = 0
        for t, y, x in pixels[token]:
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= v < side and 0 <= u < side:
                    border += 0.5 * (labels[t, v, u] != labels[t, y, x])
        row["boundary"] = min(1, border / (side / grid.h * frames / grid.t) / 2)
        row |= dict.fromkeys(("purity", "quality", "log_area", "dx", "dy", "centre_distance"), 0.0)
        if own:
            row["purity"] = seen[own] / total
            row["quality"] = segments.quality[own - 1]
            area = (labels == own).mean() * grid.h * grid.w
            row["log_area"] = log(1 + area) / log(1 + grid.h * grid.w)
            near = [p for p in np.argwhere(labels == own) if p[0] * grid.t // frames == token[0]]
            cy, cx = (np.mean([p[k] + 0.5 for p in near]) / side for k in (1, 2))
            row["dx"] = cx - (token[2] + 0.5) / grid.w
            row["dy"] = cy - (token[1] + 0.5) / grid.h
            row["centre_distance"] = hypot(cx - 0.5, cy - 0.5) * 2**0.5
        rows.append(row)
    return rows


@pytest.mark.parametrize("frames, grid, side", [(1, PHOTO, 42), (1, PHOTO, 33), (4, grid_of(128), 19)])
def test_segment_descriptors_against_loops(frames, grid, side):
    segments, pixels = random_input(frames, side, 6, affinity=True)
    if grid is not PHOTO:
        grid = grid._replace(t=2)
    values, rows = describe(segments, pixels, grid), by_hand(segments, grid)
    assert values.shape == (grid.tokens, 16) and values.dtype == torch.float32
    assert token_segments(segments, grid).tolist() == [row.pop("own") for row in rows]
    for name in rows[0]:
        expected = np.array([row[name] for row in rows])
        assert np.allclose(column(values, name), expected, atol=1e-5), name


def test_pixel_descriptors_against_loops():
    # 8 pixels a token: measured as they are, without resampling.
    segments, frames = random_input(16, 112, 3)
    frames = frames // 4 + 60
    values = describe(segments, frames, CLIP)
    luma = frames.astype(float) @ [0.299, 0.587, 0.114] / 255
    for t, h, w in ((0, 0, 0), (3, 7, 5), (7, 13, 13)):
        token = (t * 14 + h) * 14 + w
        own = luma[2 * t : 2 * t + 2, 8 * h : 8 * h + 8, 8 * w : 8 * w + 8]
        slopes, changes = [], []
        for f in (2 * t, 2 * t + 1):
            for y in range(8 * h, 8 * h + 8):
                for x in range(8 * w, 8 * w + 8):
                    sx = (luma[f, y, x + 1] - luma[f, y, x - 1]) / 2 if 0 < x < 111 else 0
                    sy = (luma[f, y + 1, x] - luma[f, y - 1, x]) / 2 if 0 < y < 111 else 0
                    slopes.append(hypot(sx, sy))
                    near = [g for g in (f - 1, f + 1) if 0 <= g < 16]
                    changes.append(np.mean([abs(luma[g, y, x] - luma[f, y, x]) for g in near]))
        gradient, motion = np.mean(slopes), np.mean(changes)
        assert column(values, "texture")[token] == pytest.approx(2 * own.std(), abs=1e-5)
        assert column(values, "gradient")[token] == pytest.approx(gradient / (gradient + 0.05), abs=1e-5)
        assert column(values, "motion")[token] == pytest.approx(motion / (motion + 0.05), abs=1e-5)


@pytest.mark.parametrize(
    "frames, grid, side", [(1, PHOTO, 224), (1, PHOTO, 301), (16, CLIP, 112), (1, PHOTO, 9)]
)
@pytest.mark.parametrize("n", [0, 1, 500])
def test_any_label_map_gives_finite_values_in_range(frames, grid, side, n):
    segments, pixels = random_input(frames, side, n)
    values = describe(segments, pixels, grid)
    assert torch.isfinite(values).all() and values.min() >= -1 and values.max() <= 1
    signed = [DESCRIPTORS.index(name) for name in ("dx", "dy")]
    assert values[:, [i for i in range(16) if i not in signed]].min() >= 0
    assert (column(values, "text_affinity") == 0).all()
    if frames == 1:
        assert (column(values, "motion") == 0).all()
    if n == 0:
        assert (token_segments(segments, grid) == 0).all()
        blind = [i for i, name in enumerate(DESCRIPTORS) if name not in ("texture", "gradient", "motion")]
        assert (values[:, blind] == 0).all()


def test_a_flat_picture_has_no_detail_and_no_motion():
    segments = SegmentMap(np.ones((16, 224, 224)), [0.0], "test")
    values = describe(segments, np.full((16, 224, 224, 3), 77, dtype=np.uint8), CLIP)
    for name in ("entropy", "boundary", "contrast", "texture", "gradient", "motion"):
        assert np.abs(column(values, name)).max() < 1e-5, name
    assert (column(values, "log_area") == 1).all() and (column(values, "purity") == 1).all()


def test_mirrored_input_gives_mirrored_descriptors():
    segments, frames = random_input(1, 224, 9)
    frames = frames // 8 + segments.labels[..., None].astype(np.uint8) * 20
    mirrored = SegmentMap(segments.labels[:, :, ::-1], segments.quality, "test")
    one = describe(segments, frames, PHOTO).reshape(14, 14, 16)
    other = describe(mirrored, frames[:, :, ::-1], PHOTO).reshape(14, 14, 16).flip(1).clone()
    other[..., DESCRIPTORS.index("dx")] *= -1
    # Contrast looks at every other pixel, and which ones depends on the side that counting starts from.
    contrast = DESCRIPTORS.index("contrast")
    assert torch.allclose(one[..., contrast], other[..., contrast], atol=0.02)
    others = [i for i in range(16) if i != contrast]
    assert torch.allclose(one[..., others], other[..., others], atol=1e-5)


def test_what_moves_is_told_from_what_stands():
    frames = np.full((16, 112, 112, 3), 120, dtype=np.uint8)
    labels = np.ones((16, 112, 112), dtype=np.int32)
    for t in range(16):
        place = t, slice(40, 72), slice(8 + 4 * t, 40 + 4 * t)
        frames[place], labels[place] = 230, 2
    values = describe(SegmentMap(labels, [0.0, 1.0], "test"), frames, CLIP)
    motion = column(values, "motion").reshape(8, 14, 14)
    assert motion[:, 5:9].max() > 0.5 and motion[:, :4].max() == motion[:, 10:].max() == 0
    # The centroid follows: seen from the token under the thing, it is near in every frame.
    own = token_segments(SegmentMap(labels, [0.0, 1.0], "test"), CLIP).numpy()
    assert np.abs(column(values, "dx")[own == 2]).max() < 0.2
    assert column(values, "contrast")[own == 2].min() > 0.5
    assert np.allclose(column(values, "coverage"), column(values, "purity") * (own == 2), atol=0.51)


def test_experts_see_their_own_descriptors_only():
    assert list(EXPERTS) == ["object", "detail", "motion", "context"] and EXPERTS["context"] == ()
    seen = [i for known in EXPERTS.values() for i in known]
    assert sorted(seen) == list(range(len(DESCRIPTORS))) and len(DESCRIPTORS) == 16


def test_labels_of_another_length_are_refused():
    segments, frames = random_input(1, 56, 2)
    with pytest.raises(ValueError, match="frames"):
        describe(segments, frames.repeat(2, 0), PHOTO)
    with pytest.raises(ValueError, match="frames"):
        describe(segments, frames, CLIP)
