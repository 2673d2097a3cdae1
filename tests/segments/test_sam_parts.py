"""The image encoder and the mask decoder against segment-anything's own, on the same random weights."""

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import MaskDecoder, TwoWayTransformer

from focusmae.precision import ByteLinear
from focusmae.segments import sam_encoder
from focusmae.segments.sam_decoder import Decoder, TwoWay
from focusmae.segments.sam_model import SamModel
from focusmae.segments.sam_weights import read_sam
from tests.segments.sam_peers import SIDE, random_sam


@pytest.fixture(scope="module")
def theirs():
    return random_sam()


@pytest.fixture(scope="module")
def ours(theirs, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "sam.pth"
    torch.save(theirs.state_dict(), path)
    return SamModel(read_sam(path))


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("limit", [1, 80 << 20])  # one head at a time, and all at once
@pytest.mark.parametrize("window", [0, 256])  # fused, and plain products
def test_encoder_equals_segment_anythings(theirs, ours, monkeypatch, limit, window):
    monkeypatch.setitem(sam_encoder.BIAS_BYTES, "cpu", limit)
    monkeypatch.setattr(sam_encoder, "WINDOW", window)
    x = noise(2, 3, SIDE, SIDE)
    expected, got = theirs.image_encoder(x), ours.sam.image_encoder(x)
    assert expected.std() > 0.1
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_relative_positions_matter(theirs, ours):
    """Otherwise the test above would pass without them."""
    x = noise(1, 3, SIDE, SIDE)
    before = theirs.image_encoder(x)
    for block in theirs.image_encoder.blocks:
        kept = block.attn.rel_pos_h.clone()
        block.attn.rel_pos_h.zero_()
        assert (theirs.image_encoder(x) - before).abs().max() > 1e-3
        block.attn.rel_pos_h.copy_(kept)


def test_frames_become_what_the_predictor_makes_of_them(theirs, ours, astronaut):
    small = astronaut[:300, :300]
    predictor = SamPredictor(theirs)
    for picture in (small, astronaut, astronaut[:SIDE, :SIDE]):
        predictor.set_image(picture)
        embedding = next(ours.encode(picture[None]))
        torch.testing.assert_close(embedding, predictor.features[0], atol=1e-5, rtol=1e-5)


def prompts(theirs, count=5, seed=1):
    rng = np.random.default_rng(seed)
    raster = SIDE // 4
    corners = np.sort(rng.random((count, 2, 2)), axis=1)
    return {
        "points": torch.from_numpy(rng.random((count, 2, 2))).float(),
        "labels": torch.from_numpy(rng.integers(0, 2, (count, 2))),
        "boxes": torch.from_numpy(corners.reshape(count, 4)).float(),
        "masks": 4 * noise(count, raster, raster, seed=seed),
    }


def answers(theirs, embedding, several, points=None, labels=None, boxes=None, masks=None):
    """Through segment-anything's own prompt encoder and decoder."""
    sparse, dense = theirs.prompt_encoder(
        points=None if points is None else (points * SIDE, labels),
        boxes=None if boxes is None else boxes * SIDE,
        masks=None if masks is None else masks[:, None],
    )
    return theirs.mask_decoder(embedding[None], theirs.prompt_encoder.get_dense_pe(), sparse, dense, several)


@pytest.mark.parametrize("several", [True, False])
@pytest.mark.parametrize("kinds", ["points", "boxes", "masks", "points boxes masks", "points masks"])
def test_answers_equal_segment_anythings(theirs, ours, kinds, several):
    """More prompts than fit into one batch, so that the last batch is a smaller one."""
    embedding = noise(32, SIDE // 16, SIDE // 16)
    chosen = {name: value for name, value in prompts(theirs).items() if name in kinds}
    if "points" in chosen:
        chosen["labels"] = prompts(theirs)["labels"]
    masks, iou = answers(theirs, embedding, several, **chosen)
    got = list(ours.ask(ours.share(embedding), several=several, **chosen))
    assert len(got) == 2 and masks.std() > 1e-3
    torch.testing.assert_close(torch.cat([logits for logits, _ in got]), masks, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(torch.cat([value for _, value in got]), iou, atol=1e-5, rtol=1e-4)


def test_decoder_takes_what_its_parent_takes(theirs, ours):
    """At the size of the released models but for the image's, and also where prompts have masks."""
    torch.manual_seed(3)
    sizes = {"embedding_dim": 256, "num_heads": 8, "mlp_dim": 512, "depth": 2}
    parent = MaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(**sizes)).eval()
    child = Decoder(transformer_dim=256, transformer=TwoWay(**sizes)).eval()
    child.load_state_dict(parent.state_dict())
    given = noise(1, 256, 8, 8), noise(1, 256, 8, 8, seed=1), noise(3, 3, 256, seed=2), noise(3, 256, 8, 8, seed=3)
    with torch.inference_mode():
        for several in (True, False):
            for got, expected in zip(child(*given, several), parent(*given, several), strict=True):
                torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_poor_masks_are_left_out_and_the_others_stay(ours):
    embedding = noise(32, SIDE // 16, SIDE // 16)
    points = prompts(None)["points"]
    shared = ours.share(embedding)
    masks, iou = (torch.cat(parts) for parts in zip(*ours.ask(shared, points), strict=True))
    least = float(iou.median())
    got, same = (torch.cat(parts) for parts in zip(*ours.ask(shared, points, least_iou=least), strict=True))
    assert torch.equal(same, iou)
    good = iou > least
    torch.testing.assert_close(got[good], masks[good])
    assert (got[~good] == -torch.inf).all() and good.any()
    none = torch.cat([logits for logits, _ in ours.ask(shared, points, least_iou=float(iou.max()))])
    assert (none == -torch.inf).all()


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_other_number_formats_say_the_same(theirs, ours, tmp_path, astronaut, precision):
    path = tmp_path / "sam.pth"
    torch.save(theirs.state_dict(), path)
    half = SamModel(read_sam(path), precision=precision)
    frames, points = astronaut[None], prompts(None)["points"]
    results = []
    for model in (ours, half):
        shared = model.share(next(model.encode(frames)))
        results.append([torch.cat(parts).float() for parts in zip(*model.ask(shared, points), strict=True)])
    (masks, iou), (rough, rough_iou) = results
    neck = half.sam.image_encoder.neck[0].weight.dtype
    assert rough_iou.dtype == torch.float32 and neck == (torch.bfloat16 if precision == "bfloat16" else torch.float32)
    assert isinstance(half.sam.image_encoder.blocks[0].attn.qkv, ByteLinear) == (precision == "int8")
    assert (rough - masks).abs().mean() < 0.05 * masks.abs().mean()
    assert (rough_iou - iou).abs().max() < 0.05 * iou.abs().max()


def test_cost_is_counted(ours):
    before = (ours.cost.frames, ours.cost.calls, ours.cost.prompts)
    shared = ours.share(next(ours.encode(np.zeros((1, 64, 64, 3), dtype=np.uint8))))
    list(ours.ask(shared, torch.rand(9, 1, 2)))
    after = (ours.cost.frames, ours.cost.calls, ours.cost.prompts)
    assert tuple(b - a for a, b in zip(before, after, strict=True)) == (1, 3, 9)  # batches of 4, 4 and 1
