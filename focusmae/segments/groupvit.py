"""GroupViT: eight groups per frame that came from captions alone, and how well each fits a text.

Xu et al., "GroupViT: semantic segmentation emerges from text supervision", CVPR 2022. Patches are assigned to 64
groups and these to 8; the product of both soft assignments says which patch belongs to which of the eight. Groups and
phrases end in one space, where their cosine tells how well they go together. The network is that of transformers.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torchvision.transforms.v2.functional import InterpolationMode, resize

from focusmae.segments.base import SegmentMap
from focusmae.segments.kept import Kept
from focusmae.segments.matching import TextMatch, match_notes, segment_affinity, with_text
from focusmae.segments.objectness import objectness
from focusmae.segments.phrases import core, prompt, read_phrases
from focusmae.segments.regions import sample, shrink, to_lab
from focusmae.segments.tracks import follow

if TYPE_CHECKING:
    from focusmae.media import View

# What a phrase must beat before it counts as seen: words that fit everything. They and the rule that uses them are
# those of Kerr et al., "LERF: language embedded radiance fields", ICCV 2023.
ANYTHING = ("object", "things", "stuff", "texture")
KEPT_VIEWS = 16
KEPT_PHRASES = 256
QUALITY_SIDE = 128  # pixels a side at which the groups' looks are judged


class PixelForm(NamedTuple):
    """How a checkpoint wants its pictures: side in pixels, mean and standard deviation of RGB in [0, 1].

    The default is what transformers takes for GroupViT, CLIP's; equal to its CLIPImageProcessor on square pictures.
    """

    side: int = 224
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)
    bicubic: bool = True

    def __call__(self, frames: np.ndarray) -> torch.Tensor:
        """Frames (T, S, S, 3) uint8 as (T, 3, side, side) float32."""
        planes = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
        mode = InterpolationMode.BICUBIC if self.bicubic else InterpolationMode.BILINEAR
        small = resize(planes, [self.side, self.side], mode, antialias=True).float()
        mean, std = (torch.tensor(values).view(3, 1, 1) * 255 for values in (self.mean, self.std))
        return (small - mean) / std


class Groups(NamedTuple):
    """What the network says about one view.

    grouping: (T, G, h, w) float32, shares of each patch in the groups, sum 1 over G.   embeddings: (T, G, D) float32,
    length 1.   labels: (T, S, S) uint16 segments 1..n.   share: (n, T, G) float32, which share of segment n's pixels
    is group g of frame t.   quality: (n,) float32.
    """

    grouping: torch.Tensor
    embeddings: torch.Tensor
    labels: np.ndarray
    share: np.ndarray
    quality: np.ndarray


class GroupViT:
    """Segmenter that reads: at most eight groups per frame that cover everything, and their affinity with a text.

    What it found in the last 16 views and the last 256 phrases is kept, so that another text for the same view costs
    one small product. Safe to share between threads.

    Args:
        network: transformers' GroupViTModel.   tokenizer: its CLIPTokenizer.   pixels: how it wants its pictures.
        weights: role, name, revision, sha256, licence of what was loaded.
    """

    name = "groupvit"

    def __init__(self, network, tokenizer, pixels: PixelForm, weights: dict[str, str]):
        self.network = network.eval().requires_grad_(False)
        self.tokenizer, self.pixels, self.weights = tokenizer, pixels, weights
        self._views: Kept[Groups] = Kept(KEPT_VIEWS)
        self._phrases: Kept[torch.Tensor] = Kept(KEPT_PHRASES)

    def __call__(self, view: View, text: str | None = None) -> SegmentMap:
        """Groups of ``view.frames``, (T, S, S, 3) uint8, as segments without holes, ids kept through time.

        With a text the result is a TextSegments: ``affinity`` of each segment's best phrase, and ``match`` with the
        whole table. A text without phrases is no text.
        """
        groups = self.groups(view)
        return self.match(view, SegmentMap(groups.labels, groups.quality, self.name), text)

    def match(self, view: View, segments: SegmentMap, text: str | None) -> SegmentMap:
        """The segments of any source with their affinity to a text, as TextSegments.

        That of its own groups is the groups'; of other segments it is the mean of the soft map over each of them.
        """
        read = read_phrases(text)
        if not read.phrases:
            return segments
        groups = self.groups(view)
        affinity, soft = self.affinity(groups, read.phrases)
        if segments.source == self.name and np.array_equal(segments.labels, groups.labels):
            table = np.einsum("ntg,tgp->np", groups.share, affinity.numpy()).clip(0, 1)
        else:
            table = segment_affinity(segments.labels, segments.count, soft)
        notes = read.notes + match_notes(read.phrases, soft)
        return with_text(segments, TextMatch(read.phrases, table.astype(np.float32), soft, notes))

    def affinity(self, groups: Groups, phrases: tuple[str, ...]) -> tuple[torch.Tensor, np.ndarray]:
        """Affinity of every group with every phrase (T, G, P), and the soft map (P, T, h, w), both in [0, 1].

        Group g fits phrase p by max(0, 2 r - 1), where r is the probability of p against the strongest of the words
        that fit everything (LERF's relevancy, of which the part up to an even chance counts as none):
        r = sigmoid(scale * (cos(g, p) - max_i cos(g, i))). So a phrase that is nowhere is 0 everywhere.
        """
        rivals = [[word for word in ANYTHING if word != core(phrase)] for phrase in phrases]
        cosine = groups.embeddings @ self.embed(phrases).T
        against = groups.embeddings @ self.embed(ANYTHING).T
        strongest = torch.stack(
            [against[..., [ANYTHING.index(word) for word in words]].amax(-1) for words in rivals], -1
        )
        scale = float(self.network.logit_scale.exp())
        affinity = torch.tanh(scale * (cosine - strongest) / 2).clamp_min(0)
        soft = torch.einsum("tghw,tgp->pthw", groups.grouping, affinity)
        return affinity, soft.clamp(0, 1).numpy()

    @torch.inference_mode()
    def embed(self, phrases: tuple[str, ...]) -> torch.Tensor:
        """Text embeddings (P, D) float32 of length 1, on the CPU."""
        found = {phrase: self._phrases.get(core(phrase)) for phrase in phrases}
        new = [phrase for phrase, row in found.items() if row is None]
        if new:
            longest = self.network.config.text_config.max_position_embeddings
            words = self.tokenizer(
                [prompt(phrase) for phrase in new],
                padding=True,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            ).to(self.network.device)
            read = self.network.text_model(words.input_ids, attention_mask=words.attention_mask).pooler_output
            rows = torch.nn.functional.normalize(self.network.text_projection(read).float(), dim=-1).cpu()
            for phrase, row in zip(new, rows, strict=True):
                found[phrase] = self._phrases.put(core(phrase), row)
        return torch.stack([found[phrase] for phrase in phrases])

    def groups(self, view: View) -> Groups:
        """What the network says about a view, computed once per content."""
        key = hashlib.sha256(np.ascontiguousarray(view.frames)).digest() + repr(view.frames.shape).encode()
        return self._views.get(key) or self._views.put(key, self._look(view.frames))

    @torch.inference_mode()
    def _look(self, frames: np.ndarray) -> Groups:
        grouping, embeddings = self.forward(frames)
        ids = follow(embeddings, grouping)
        side = frames.shape[1]
        winner = np.stack([_upsample(one, side).argmax(0).numpy() for one in grouping])
        tracks = np.take_along_axis(ids, winner.reshape(len(ids), -1), 1).reshape(winner.shape)
        # Groups that win no pixel are no segments: the ids of the others close up.
        kept = np.flatnonzero(np.bincount(tracks.ravel()))
        numbers = np.zeros(ids.max() + 1, dtype=np.uint16)
        numbers[kept] = np.arange(1, len(kept) + 1)
        labels = numbers[tracks]
        pixels = np.stack([np.bincount(one.ravel(), minlength=ids.shape[1]) for one in winner])
        share = (ids[None] == kept[:, None, None]) * pixels[None].astype(np.float32)
        share /= share.sum((1, 2), keepdims=True)
        small = min(side, QUALITY_SIDE)
        quality = objectness(sample(labels, small, small), to_lab(shrink(frames, small, small)), len(kept))
        return Groups(grouping, embeddings, labels, share, quality)

    @torch.inference_mode()
    def forward(self, frames: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Grouping (T, G, h, w) and embeddings (T, G, D) of frames (T, S, S, 3) uint8, see Groups; on the CPU."""
        pixels = self.pixels(frames).to(self.network.device)
        out = self.network.vision_model(pixels, output_attentions=True, return_dict=True)
        grouping = None
        for stage in out.attentions:  # (T, groups, what they are made of)
            grouping = stage if grouping is None else stage @ grouping
        rows = math.isqrt(grouping.shape[-1])  # PixelForm's pictures are square
        embeddings = self.network.visual_projection(out.last_hidden_state.flatten(0, 1))
        embeddings = torch.nn.functional.normalize(embeddings.float(), dim=-1)
        grouping = grouping.float().reshape(len(frames), -1, rows, rows).cpu()
        return grouping, embeddings.reshape(len(frames), grouping.shape[1], -1).cpu()


def _upsample(planes: torch.Tensor, side: int) -> torch.Tensor:
    """(G, h, w) to (G, side, side), bilinear, as transformers does before it takes the largest."""
    return torch.nn.functional.interpolate(planes[None], (side, side), mode="bilinear", align_corners=False)[0]
