import numpy as np
import torch

from focusmae.segments.tracks import follow


def scene(frames=5, groups=4, seed=0):
    """Groups with an embedding and a place of their own, in another order in every frame; the order too."""
    noise = torch.Generator().manual_seed(seed)
    embeddings = torch.eye(groups).repeat(frames, 1, 1) + 0.1 * torch.randn(frames, groups, groups, generator=noise)
    grouping = torch.eye(groups).view(1, groups, 1, groups).repeat(frames, 1, 2, 1)
    order = torch.stack([torch.arange(groups)] + [torch.randperm(groups, generator=noise) for _ in range(frames - 1)])
    rows = torch.arange(frames)[:, None]
    embeddings = torch.nn.functional.normalize(embeddings, dim=-1)
    return embeddings[rows, order], grouping[rows, order], order.numpy()


def test_ids_follow_groups_through_any_order():
    embeddings, grouping, order = scene()
    assert np.array_equal(follow(embeddings, grouping), order)


def test_place_decides_where_looks_do_not():
    embeddings, grouping, order = scene()
    alike = torch.ones_like(embeddings) / 2
    assert np.array_equal(follow(alike, grouping), order)


def test_a_cut_gives_new_ids():
    embeddings, grouping, order = scene()
    embeddings[3:] = -embeddings[3:]
    ids = follow(embeddings, grouping)
    assert np.array_equal(ids[:3], order[:3]) and not set(ids[:3].ravel()) & set(ids[3:].ravel())
    assert len(set(ids[3])) == 4 and set(ids[3]) == set(ids[4])


def test_one_frame_is_numbered_in_order():
    embeddings, grouping, _ = scene(1)
    assert follow(embeddings, grouping).tolist() == [[0, 1, 2, 3]]
