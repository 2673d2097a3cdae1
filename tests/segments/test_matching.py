from types import SimpleNamespace

import numpy as np
import pytest
import torch

from focusmae.masking import grid_of
from focusmae.segments.base import SegmentMap
from focusmae.segments.descriptors import DESCRIPTORS, describe
from focusmae.segments.groupvit_load import load_groupvit
from focusmae.segments.matching import TextMatch, match_notes, segment_affinity, with_text
from focusmae.segments.superpixels import Superpixels
from tests.segments.groupvit_tiny import write_checkpoint
from tests.tiny import is_one_sentence


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("groupvit") / "tiny"
    write_checkpoint(folder)
    return folder


def soft_map(seed=0, phrases=3, frames=2, rows=4):
    return np.random.default_rng(seed).random((phrases, frames, rows, rows)).astype(np.float32)


def test_affinity_of_segments_is_the_mean_of_the_soft_map():
    soft, labels = soft_map(), np.random.default_rng(1).integers(0, 5, (2, 12, 12))
    table = segment_affinity(labels, 6, soft)  # 5 and 6 have no pixels
    assert table.shape == (6, 3) and table.dtype == np.float32 and (table[4:] == 0).all()
    fine = [torch.nn.functional.interpolate(torch.tensor(one)[:, None], (12, 12), mode="bilinear") for one in soft]
    for n in range(1, 5):
        for p, one in enumerate(fine):
            assert table[n - 1, p] == pytest.approx(float(one[:, 0][torch.tensor(labels == n)].mean()), abs=1e-5)
    # Where segments are the reader's own cells, nothing is mixed.
    cells = np.arange(1, 17).reshape(1, 4, 4)
    assert np.allclose(segment_affinity(cells, 16, soft[:, :1]), soft[:, 0].reshape(3, 16).T)


@pytest.mark.parametrize("n", [0, 1, 500])
def test_a_text_beside_any_segments(folder, astronaut, n):
    view = SimpleNamespace(frames=astronaut[None, :256, :256])
    labels = np.random.default_rng(0).integers(0, n + 1, (1, 256, 256))
    segments = SegmentMap(labels, np.ones(n), "test")
    read = load_groupvit(folder).match(view, segments, "a dog; sky")
    assert read.affinity.shape == (n,) and read.match.affinity.shape == (n, 2) and len(read.match.labels) == n
    assert read.source == "test" and np.array_equal(read.labels, segments.labels)
    values = describe(read, view.frames, grid_of(196))
    assert torch.isfinite(values).all() and (n == 0) == (values[:, DESCRIPTORS.index("text_affinity")].max() == 0)


def test_superpixels_take_the_affinity_of_what_lies_under_them(folder, astronaut):
    view = SimpleNamespace(frames=astronaut[None])
    reader = load_groupvit(folder)
    read = reader.match(view, Superpixels()(view), "a dog")
    soft = torch.tensor(read.match.soft[:, 0])[None]
    fine = torch.nn.functional.interpolate(soft, (512, 512), mode="bilinear")[0, 0].numpy()
    order = read.affinity.argsort()
    low, high = (fine[read.labels[0] == i + 1].mean() for i in (order[0], order[-1]))
    assert high > low + 0.05 and read.affinity.max() == pytest.approx(high, abs=1e-4)


def test_a_text_without_a_match_tells_the_scorer_what_no_text_tells_it(folder, astronaut):
    view = SimpleNamespace(frames=astronaut[None])
    plain = Superpixels()(view)
    read = load_groupvit(folder).match(view, plain, "grass")
    assert not read.match.found.any() and (read.affinity == 0).all() and set(read.match.labels) == {None}
    assert "grass" in read.match.notes[0]
    grid = grid_of(196)
    assert torch.equal(describe(plain, view.frames, grid), describe(read, view.frames, grid))


def test_labels_name_what_fits_nearly_as_well_as_the_best():
    table = np.array([[0.8, 0.1], [0.5, 0.0], [0.3, 0.0], [0.3, 0.2], [0.0, 0.0]], dtype=np.float32)
    match = TextMatch(("dog", "sky"), table, np.ones((2, 1, 2, 2), dtype=np.float32))
    assert match.labels == ("dog", "dog", None, None, None)
    assert TextMatch((), table[:, :0], np.ones((0, 1, 2, 2))).labels == (None,) * 5
    segments = with_text(SegmentMap(np.zeros((1, 4, 4)), np.zeros(5), "test"), match)
    assert segments.affinity.tolist() == pytest.approx([0.8, 0.5, 0.3, 0.3, 0.0]) and segments.match is match


def test_notes_name_the_phrases_that_change_nothing():
    soft = np.zeros((3, 1, 2, 2), dtype=np.float32)
    soft[1], soft[2, 0, 0] = 0.7, 0.7
    notes = match_notes(("a", "b", "c"), soft)
    assert len(notes) == 2 and '"a"' in notes[0] and '"b"' in notes[1] and all(map(is_one_sentence, notes))
