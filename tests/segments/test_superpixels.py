from types import SimpleNamespace

import numpy as np
import pytest
from skimage import data
from skimage.color import rgb2lab
from skimage.measure import label as connected

from focusmae.segments.merging import merge
from focusmae.segments.regions import region_means, ring_contrast, shrink, to_lab
from focusmae.segments.superpixels import CRUMB, LIMIT, SCALES, Superpixels


def segment(frames):
    return Superpixels()(SimpleNamespace(frames=frames))


@pytest.fixture(scope="module")
def astronaut():
    photo = data.astronaut()[None]
    photo.flags.writeable = False
    return photo, segment(photo)


def moving_square(step=3, side=224, square=56):
    """A red square that crosses a grey picture with a little noise: frames and its masks."""
    rng = np.random.default_rng(0)
    frames = rng.integers(110, 120, (16, side, side, 3)).astype(np.uint8)
    masks = np.zeros((16, side, side), dtype=bool)
    for t in range(16):
        masks[t, 80 : 80 + square, 40 + step * t : 40 + step * t + square] = True
    frames[masks] = (200, 40, 40)
    return frames, masks


def test_a_photo_is_covered_by_at_most_64_regions_without_crumbs(astronaut):
    photo, segments = astronaut
    assert segments.labels.shape == photo.shape[:3] and segments.source == "superpixels"
    areas = np.bincount(segments.labels.ravel(), minlength=segments.count + 1)
    assert 10 <= segments.count <= LIMIT
    assert areas[0] == 0 and areas[1:].min() >= 0.99 * CRUMB * segments.labels.size
    assert segments.quality.shape == (segments.count,) and 0 <= segments.quality.min()
    assert segments.quality.max() <= 1


def test_every_region_of_a_photo_is_connected(astronaut):
    labels = astronaut[1].labels[0, ::2, ::2]
    assert connected(labels, connectivity=2).max() == astronaut[1].count


def test_the_same_photo_gives_the_same_segments(astronaut):
    again = segment(astronaut[0])
    assert np.array_equal(again.labels, astronaut[1].labels)
    assert np.array_equal(again.quality, astronaut[1].quality)


@pytest.mark.parametrize("frames", [1, 16])
def test_a_flat_picture_is_one_segment_and_no_object(frames):
    segments = segment(np.full((frames, 224, 224, 3), 90, dtype=np.uint8))
    assert segments.count == 1 and (segments.labels == 1).all() and segments.quality[0] < 0.01


@pytest.mark.parametrize("shape", [(1, 224, 224, 3), (1, 301, 301, 3), (16, 64, 64, 3)])
def test_noise_does_not_exceed_the_limit(shape):
    segments = segment(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    assert 1 <= segments.count <= LIMIT and segments.labels.shape == shape[:3]


@pytest.mark.parametrize("step", [0, 3, 6])
def test_a_moving_thing_keeps_its_id_and_looks_like_an_object(step):
    frames, masks = moving_square(step)
    segments = segment(frames)
    inside = [np.bincount(labels[mask]).argmax() for labels, mask in zip(segments.labels, masks, strict=True)]
    thing = max(set(inside), key=inside.count)
    assert inside.count(thing) >= 15
    found = segments.labels == thing
    assert (found & masks).sum() / (found | masks).sum() > 0.9
    background = np.bincount(segments.labels[~masks]).argmax()
    assert segments.quality[thing - 1] > 0.5 > 0.1 > segments.quality[background - 1]


def test_objectness_prefers_what_is_central_compact_and_off_the_border():
    frame = np.full((1, 224, 224, 3), 128, dtype=np.uint8)
    frame[0, 92:132, 92:132] = (220, 30, 30)  # in the middle
    frame[0, 10:50, 160:200] = (30, 220, 30)  # near a corner
    frame[0, 150:224, 0:40] = (30, 30, 220)  # runs off the picture
    segments = segment(frame)
    quality = np.concatenate([[0], segments.quality])[segments.labels[0]]
    assert segments.count == 4
    assert quality[112, 112] > quality[30, 180] > quality[200, 20] > quality[112, 20]
    assert quality[112, 112] == 1


def test_quality_of_a_mirrored_picture_is_the_mirrored_quality():
    frames, _ = moving_square(0)
    frames = frames[:1]
    quality = [
        np.concatenate([[0], s.quality])[s.labels] for s in (segment(frames), segment(frames[:, :, ::-1]))
    ]
    assert np.abs(quality[0] - quality[1][:, :, ::-1]).mean() < 0.01


def test_merging_stops_at_the_limit_at_the_cost_and_takes_crumbs():
    labels = np.repeat(np.arange(8), 8)[None, None] * np.ones((1, 8, 1), dtype=np.int64)
    lab = np.array([0, 1, 2, 50, 51, 52, 90, 91.0])[labels][..., None] * [1, 0, 0]
    edges = np.zeros(labels.shape)
    settings = dict(edge_weight=1.0, size_power=0.0, crumb=0.0)
    three = merge(labels, lab, edges, limit=64, stop=10, **settings)
    assert three[0, 0, ::8].tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert len(np.unique(merge(labels, lab, edges, limit=2, stop=10, **settings))) == 2
    assert len(np.unique(merge(labels, lab, edges, limit=64, stop=-1, **settings))) == 8
    # A strong edge keeps like colours apart; crumbs go all the same.
    edges[:, :, 7:9] = 100
    assert len(np.unique(merge(labels, lab, edges, limit=64, stop=10, **settings))) == 4
    settings["crumb"] = 0.2
    assert len(np.unique(merge(labels, lab, edges, limit=64, stop=10, **settings))) == 3


def test_region_statistics_against_loops():
    rng = np.random.default_rng(1)
    labels, lab, reach = rng.integers(0, 4, (2, 9, 9)), rng.random((2, 9, 9, 3)), 2
    means, contrast = region_means(labels, lab, 5), ring_contrast(labels, lab, 5, reach)
    for i in range(6):
        own = lab[labels == i]
        assert np.allclose(means[i], own.mean(0) if len(own) else 0)
        ring = []
        for t, y, x in np.argwhere(labels == i):
            for v, u in ((y - reach, x), (y + reach, x), (y, x - reach), (y, x + reach)):
                if 0 <= v < 9 and 0 <= u < 9 and labels[t, v, u] != i:
                    ring.append(lab[t, v, u])
        expected = np.linalg.norm(own.mean(0) - np.mean(ring, 0)) if ring else 0
        assert contrast[i] == pytest.approx(expected)


def test_shrinking_averages():
    frames = np.random.default_rng(2).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    expected = frames.reshape(2, 12, 4, 12, 4, 3).mean((2, 4))
    assert np.abs(shrink(frames, 12, 12) - expected).max() <= 1.01
    assert shrink(frames, 48, 48) is frames
    # 45 does not divide 48: a new pixel is the mean of the old ones that it touches.
    spans = [range(n * 48 // 45, -(-(n + 1) * 48 // 45)) for n in range(45)]
    expected = [[frames[:, rows][:, :, columns].mean((1, 2)) for columns in spans] for rows in spans]
    assert np.abs(shrink(frames, 45, 45) - np.array(expected).transpose(2, 0, 1, 3)).max() <= 0.51


def test_lab_is_that_of_scikit_image():
    levels = np.linspace(0, 255, 12).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1)
    assert np.abs(to_lab(colours) - rgb2lab(colours)).max() < 1e-3 and to_lab(colours).dtype == np.float32


def test_a_higher_stop_merges_further_and_never_cuts_anew(astronaut):
    photo, fine = astronaut
    view = SimpleNamespace(frames=photo)
    counts = [fine.count]
    for stop in SCALES[1:]:
        coarse = Superpixels(stop)(view)
        counts.append(coarse.count)
        parents = {(a, b) for a, b in zip(fine.labels.ravel(), coarse.labels.ravel(), strict=True)}
        assert len(parents) == fine.count  # every fine region lies in one coarse region
    assert counts[0] >= counts[1] > counts[2] >= 2
