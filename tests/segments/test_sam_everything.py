"""Everything on one frame: against SamAutomaticMaskGenerator, and what is asked where."""

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.utils.amg import batched_mask_to_box, calculate_stability_score

from focusmae.segments.sam import SamSegmenter
from focusmae.segments.sam_everything import Meter, everything, gap_middles, grid
from focusmae.segments.sam_masks import Masks, Rules, boxes_of, join, judge, measure, overlaps, stability, suppress
from focusmae.segments.sam_model import SamModel
from focusmae.segments.sam_weights import read_sam
from tests.segments.sam_peers import ColourSam, colour_frame, pair_overlaps, random_sam, view_of

QUIET = Meter(None, 1)


def load(sam, tmp_path) -> SamModel:
    path = tmp_path / "sam.pth"
    torch.save(sam.state_dict(), path)
    return SamModel(read_sam(path))


@pytest.mark.parametrize(("seed", "side", "steady"), [(2, 256, 0.85), (1, 300, 0.86)])
def test_same_points_and_thresholds_find_what_the_generator_finds(seed, side, steady, tmp_path, astronaut):
    """Boxes of random masks fill the picture, so the boxes' rule alone would leave one mask; half of it does not."""
    sam, picture = random_sam(seed, sharp=True), astronaut[:side, :side]
    for box_overlap in (0.7, 1.0):
        rules = Rules(0.8, steady, 1.0, box_overlap, 1.0)
        theirs = SamAutomaticMaskGenerator(
            sam,
            points_per_side=6,
            points_per_batch=16,
            pred_iou_thresh=rules.pred_iou,
            stability_score_thresh=rules.stability,
            box_nms_thresh=box_overlap,
        ).generate(picture)
        segmenter = SamSegmenter(load(sam, tmp_path), "sam-vit-base", {})
        found = segmenter.reference_masks(view_of(picture), 6, rules)
        ours = segmenter.model.enlarge(found.logits, side) > 0
        assert len(found) == len(theirs) >= (1 if box_overlap < 1 else 5)
        partners = pair_overlaps(np.stack([mask["segmentation"] for mask in theirs]), ours.numpy())
        assert (partners.max(1) >= 0.9).mean() >= 0.95
        best = partners.argmax(1)
        for name, values in (("predicted_iou", found.iou), ("stability_score", found.stability)):
            expected = torch.tensor([mask[name] for mask in theirs])
            torch.testing.assert_close(values[best], expected, atol=1e-3, rtol=1e-3)
        assert segmenter.model.cost.prompts == 36


def test_masks_of_the_same_point_are_the_same(tmp_path, astronaut):
    sam = random_sam(2, sharp=True)
    model, predictor = load(sam, tmp_path), SamPredictor(sam)
    picture = astronaut[:200, :200]
    predictor.set_image(picture)
    shared = model.share(next(model.encode(picture[None])))
    points = np.random.default_rng(0).random((6, 2))
    asked = torch.from_numpy(points).float()[:, None]
    logits = torch.cat([masks for masks, _ in model.ask(shared, asked)])
    for point, ours in zip(points, logits, strict=True):
        expected, _, _ = predictor.predict(point[None] * 200, np.array([1]))
        got = (model.enlarge(ours, 200) > 0).numpy()
        assert 0.01 < expected.mean() < 0.99
        assert np.diag(pair_overlaps(expected, got)).min() >= 0.99


def test_measures_equal_segment_anythings():
    logits = 3 * torch.randn(6, 40, 50, generator=torch.Generator().manual_seed(0))
    logits[4], logits[5, :30] = -9, -9
    ours, theirs = stability(logits, 1.0), calculate_stability_score(logits, 0.0, 1.0)
    torch.testing.assert_close(ours[[0, 1, 2, 3, 5]], theirs[[0, 1, 2, 3, 5]])
    assert ours[4] == 0
    assert torch.equal(boxes_of(logits > 0), batched_mask_to_box(logits > 0).float())


def test_overlaps_count_pixels():
    a = torch.zeros(2, 4, 4, dtype=torch.bool)
    a[0, :2], a[1, 1:] = True, True
    common, iou = overlaps(a, a[:1])
    assert common.tolist() == [[8], [4]] and iou.tolist() == [[1], [0.25]]


def masks_of(shapes, iou) -> Masks:
    return measure(torch.stack(shapes).float() * 16 - 8, torch.tensor(iou))


def test_what_repeats_a_better_mask_goes():
    square, shrunk, ring, away = torch.zeros(4, 32, 32, dtype=torch.bool)
    square[8:24, 8:24], shrunk[8:24, 8:23], away[:4, :4] = True, True, True
    ring[7:25, 7:25] = ~square[7:25, 7:25]
    kept = suppress(masks_of([shrunk, away, square, ring], [0.9, 0.5, 0.95, 0.8]), Rules(box_overlap=0.9))
    assert [float(x) for x in kept.iou] == pytest.approx([0.95, 0.8, 0.5])  # a ring's box is nearly the square's
    assert len(suppress(kept, Rules(box_overlap=0.7))) == 2
    same_box = masks_of([ring, ring & (torch.arange(32) != 12)], [0.6, 0.7])
    assert len(suppress(same_box, Rules(box_overlap=1.0, mask_overlap=0.5))) == 1
    assert len(suppress(same_box, Rules(box_overlap=1.0, mask_overlap=1.0))) == 2
    assert len(suppress(kept[:0], Rules())) == 0


def test_rules_are_thresholds():
    square = torch.zeros(32, 32, dtype=torch.bool)
    square[8:24, 8:24] = True
    logits = torch.stack([torch.where(square, sure, -8) for sure in (8, 8, 0.5)])  # the last is gone one level higher
    masks, poor = (measure(logits, torch.tensor([0.9, 0.8, 0.9]) - less) for less in (0, 1))
    assert masks.logits.dtype == torch.float16 and masks.quality.dtype == torch.float32
    assert judge(masks, Rules(0.85, 0.9)).iou.tolist() == pytest.approx([0.9])
    assert len(judge(masks, Rules(0.85, 0.0))) == 2
    assert len(judge(poor, Rules(0.0, 0.9))) == 2  # nought lets everything pass


def test_a_covered_picture_is_asked_at_every_second_point_only():
    model = ColourSam()
    found = everything(model, model.share(next(model.encode(colour_frame()[None]))), 8, Rules(), QUIET)
    assert len(found) == 1 and found.shapes.all()
    assert model.cost.prompts == 16 and model.cost.calls == 4
    assert np.allclose(sorted(model.asked), sorted(grid(8)[::2, ::2].reshape(-1, 2).tolist()))


def test_elsewhere_every_point_is_asked_and_small_things_are_found():
    """Half of the picture is nothing; there lies a disc that only the points in between can hit."""
    frame = colour_frame((208, 48, 14, (200, 40, 40)))
    frame[:, 128:][frame[:, 128:, 0] != 200] = 0
    model = ColourSam()
    found = everything(model, model.share(next(model.encode(frame[None]))), 8, Rules(), QUIET)
    assert len(found) == 2
    assert (208 / 256, 48 / 256) in {tuple(point) for point in model.asked}
    # 16 and, on the empty half, the other 3 of every 4 of its 32 points, but for gaps' middles.
    assert 16 + 24 <= model.cost.prompts <= 16 + 24 + 24


def test_prompts_never_exceed_the_grid_and_the_gaps():
    model = ColourSam()
    nothing = model.share(next(model.encode(np.zeros((1, 256, 256, 3), dtype=np.uint8))))
    assert len(everything(model, nothing, 6, Rules(), QUIET)) == 0
    assert 36 < model.cost.prompts <= 36 + 24


def test_gaps_are_asked_in_their_middle_and_with_less_confidence():
    """Nothing passes the rules; in the gap, lower ones hold."""
    model = ColourSam()
    shared = model.share(next(model.encode(colour_frame((64, 64, 40, (200, 40, 40)))[None])))
    found = everything(model, shared, 2, Rules(pred_iou=0.97), QUIET)
    assert len(found) == 2 and model.cost.prompts > 4


def test_gap_middles_lie_inside_and_small_gaps_do_not_count():
    empty = np.zeros((64, 64), dtype=bool)
    empty[:, :20] = True
    empty[30:50, 40:60] = True
    empty[5:8, 30:33] = True  # less than a token
    middles = gap_middles(empty, 8)
    assert np.allclose(middles[1], (50 / 64, 40 / 64), atol=1.5 / 64)
    assert abs(middles[0][0] - 10 / 64) < 1 / 64 and len(middles) == 2
    assert len(gap_middles(empty, 1)) == 1 and gap_middles(~empty[:0], 3).shape == (0, 2)


def test_the_meter_goes_up_to_one_and_may_cancel():
    told = []
    meter = Meter(told.append, 20)
    model = ColourSam()
    shared = model.share(next(model.encode(colour_frame()[None])))
    everything(model, shared, 8, Rules(), meter)
    assert told == pytest.approx([0.2, 0.4, 0.6, 0.8])
    meter.add(50)
    assert told[-1] == 1

    class Enough(Exception):
        pass

    def stop(done):
        raise Enough

    calls = model.cost.calls
    with pytest.raises(Enough):
        everything(model, shared, 8, Rules(), Meter(stop, 20))
    assert model.cost.calls == calls + 1


def test_lists_of_masks_join():
    square = torch.ones(8, 8, dtype=torch.bool)
    a, b = masks_of([square], [0.5]), masks_of([square, ~square], [0.6, 0.7])
    assert join([a, b]).iou.tolist() == pytest.approx([0.5, 0.6, 0.7])
