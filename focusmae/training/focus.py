"""Focus in training: a scorer's scores of the whole photo, moved with the crop or glide that a step makes of it.

select: the visible tokens are drawn from the frozen scorer's scores. gate: every token stays, multiplied by
2 * sigmoid(score), through which the scorer is trained along. prompt: every token stays, and the tenth with the highest
scores of the frozen scorer is repeated in front.
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from focusmae.errors import SettingsError
from focusmae.masking import Grid, sample_visible
from focusmae.models.classifier import gate_factors, prompt_tokens
from focusmae.models.load import Scorer, segment_inputs
from focusmae.models.scorer import Scores, balance_losses
from focusmae.segments.base import Segmenter
from focusmae.training.data import PHOTO_GRID, Item, Reader, box_grid
from focusmae.training.segmented import photo_segments

WAYS = ("select", "gate", "prompt")
BALANCE = 0.01  # weight of the experts' balance where the scorer is trained along


class Focus(nn.Module):
    """What ``how`` makes of a scorer: arguments for ``TokenClassifier.logits``, and the scorer's own loss.

    Only under "gate" the scorer is a copy with weights to be trained; else it is frozen, and none of its weights show.
    """

    def __init__(self, how: str, scorer: Scorer):
        super().__init__()
        if how not in WAYS:
            raise SettingsError(f"There is no focus {how!r}; choose from {', '.join(('none', *WAYS))}.")
        self.how, self._scorer = how, scorer
        self._frozen = (scorer.network,)
        if how == "gate":
            if not any(True for _ in scorer.network.parameters()):
                raise SettingsError("The segment prior has nothing to train; choose another scorer for gate.")
            self.network = copy.deepcopy(scorer.network).train().requires_grad_(True)

    @property
    def draws(self) -> bool:
        """Whether only drawn tokens enter the network, else all of them do."""
        return self.how == "select"

    def scores(self, photos: torch.Tensor, descriptors: torch.Tensor, owners: torch.Tensor) -> Scores:
        """Scores of whole photos uint8 (B, 3, 224, 224) with their descriptors (B, 196, 16) and owners (B, 196)."""
        trunk = self._scorer.photo_trunk
        where = trunk.head.weight.device if trunk else photos.device
        with torch.no_grad():
            tokens = self._scorer.tokens((photos.to(where).float() / 255).unsqueeze(2))
        parts = tokens, descriptors.to(where).float(), owners.to(where).long()
        if self.how == "gate":
            return self.network(*parts)
        with torch.no_grad():
            return self._frozen[0](*parts)

    def arguments(self, scores: torch.Tensor, keep: float, draws: torch.Generator, grid: Grid) -> dict:
        """What the classifier is given besides the pixels, for scores (B, N) of ``grid``; ``keep`` is of select's."""
        if self.how == "select":
            return {"visible": sample_visible(scores, keep, draws, "select", grid=grid)}
        return {"gate": gate_factors(scores)} if self.how == "gate" else {"prompt": prompt_tokens(scores)}

    def loss(self, gates: torch.Tensor) -> torch.Tensor | float:
        """The balance of the experts, where they are trained."""
        return BALANCE * balance_losses(gates)[0] if self.how == "gate" else 0.0


class FocusReader(Reader):
    """Photos with what a scorer reads of their segments: (photo, label, descriptors (196, 16), owners (196,)).

    A photo is segmented when it is first met, and remembered (7 kB each).
    """

    def __init__(self, items, labels, seed: int, segmenter: Segmenter):
        super().__init__(items, labels, seed)
        self.segmenter = segmenter
        self._known: dict[Item, tuple[torch.Tensor, torch.Tensor]] = {}

    def _read(self, item, number: int, draw: int) -> tuple:
        photo, label = super()._read(item, number, draw)
        if item not in self._known:
            pixels = (photo.float() / 255)[None, :, None]
            descriptors, owners = segment_inputs(pixels, photo_segments(photo, self.segmenter), PHOTO_GRID)
            self._known[item] = descriptors.half(), owners.to(torch.int16)
        return photo, label, *self._known[item]


def move_scores(scores: torch.Tensor, boxes: torch.Tensor, flips: torch.Tensor | None = None) -> torch.Tensor:
    """Scores of whole pictures at the tokens of boxes cut out of them; differentiable.

    Args:
        scores: (B, t * 196), of t slices of time.
        boxes: (B, t', 4) = x0, y0, x1, y1 in [0, 1], one per slice; t' = t, or any number where t is 1.
        flips: (B,) bool.
    Returns:
        (B, t' * 196), between the tokens' centres linear.
    """
    batch, slices = boxes.shape[:2]
    side = PHOTO_GRID.h
    maps = scores.view(batch, -1, side, side).expand(-1, slices, -1, -1)
    flips = flips if flips is None else flips.repeat_interleave(slices)
    where = box_grid(boxes.flatten(0, 1), flips, side).to(scores)
    found = F.grid_sample(maps.reshape(-1, 1, side, side), where, padding_mode="border", align_corners=False)
    return found.view(batch, -1)
