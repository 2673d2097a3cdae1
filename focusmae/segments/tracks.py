"""The same group in every frame: ids for groups that a network finds frame by frame, without knowing time."""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

LEAST_COSINE = 0.5  # two groups of successive frames that are less alike are two things


def follow(embeddings: torch.Tensor, grouping: torch.Tensor) -> np.ndarray:
    """An id for every group of every frame: (T, G) int64 from 0 on, the same id at most once in a frame.

    The groups of a frame are paired with those of the frame before, one to one, so that the sum of their likeness
    is largest (Kuhn 1955): cosine of the embeddings plus overlap of the soft masks (sum of minima over sum of
    maxima). A pair whose cosine is below 0.5, as across a cut, does not hold: the group gets a new id.

    Args:
        embeddings: (T, G, D), length 1.   grouping: (T, G, h, w), shares in [0, 1].
    """
    count = embeddings.shape[1]
    ids = np.arange(count)[None].repeat(len(embeddings), 0)
    fresh = count
    for t in range(1, len(embeddings)):
        cosine = (embeddings[t - 1] @ embeddings[t].T).numpy()
        before, after = grouping[t - 1].flatten(1), grouping[t].flatten(1)
        both = torch.minimum(before[:, None], after[None]).sum(-1)
        either = torch.maximum(before[:, None], after[None]).sum(-1)
        rows, columns = linear_sum_assignment(cosine + (both / either.clamp_min(1e-9)).numpy(), maximize=True)
        for row, column in zip(rows, columns, strict=True):
            if cosine[row, column] >= LEAST_COSINE:
                ids[t, column] = ids[t - 1, row]
            else:
                ids[t, column] = fresh
                fresh += 1
    return ids
