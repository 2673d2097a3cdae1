"""SAM's mask decoder for many prompts on one picture: the same weights and numbers with less than half the arithmetic.

Kirillov et al., "Segment Anything" (ICCV 2023), appendix A: a two-way transformer between a few prompt tokens and the
4096 image tokens of every prompt. segment-anything projects all image tokens to queries, keys and values ten times a
prompt. Here

- the first layer's projections, which no prompt has changed yet, are made once a picture;
- after that the few prompt tokens go through the projection instead: q.(W x) = (W^T q).x, and sum(a W x) = W sum(a x);
- predicted quality, which needs the tokens alone, comes first, and only prompts that may be kept are enlarged to masks;
- transposed convolutions whose stride equals their size are matrix products on channels-last tensors.

Shapes: B prompts, P tokens a prompt, N = g x g image tokens, C channels, heads x depth = the attention's inner width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from segment_anything.modeling.mask_decoder import MaskDecoder
from segment_anything.modeling.transformer import Attention, TwoWayTransformer
from torch.nn import functional as F


@dataclass(frozen=True)
class Shared:
    """What every prompt on a picture shares.

    image: (1, N, C) tokens without a mask prompt.  positions: per cross-attention, the projected positions of the image
    tokens, (heads, depth, N).  first_k, first_v, first_q: (heads, N, depth) of the first layer.
    """

    image: torch.Tensor
    positions: dict[Attention, torch.Tensor]
    first_k: torch.Tensor
    first_v: torch.Tensor
    first_q: torch.Tensor


class TwoWay(TwoWayTransformer):
    """The two-way transformer, (B, P, C) tokens and (B, N, C) or shared image tokens -> both, updated."""

    def share(self, image: torch.Tensor, positions: torch.Tensor) -> Shared:
        """``image``, ``positions``: (1, N, C)."""
        to_image = [layer.cross_attn_token_to_image for layer in self.layers] + [self.final_attn_token_to_image]
        to_tokens = [layer.cross_attn_image_to_token for layer in self.layers]
        # A key's constant part moves every score of a query alike and leaves the softmax as it is; a query's does not.
        projected = {a: F.linear(positions, a.k_proj.weight) for a in to_image}
        projected |= {a: a.q_proj(positions) for a in to_tokens}
        first, back = to_image[0], to_tokens[0]
        return Shared(
            image,
            {a: _heads(x, a)[0].mT.contiguous() for a, x in projected.items()},
            _heads(F.linear(image + positions, first.k_proj.weight), first)[0],
            _heads(first.v_proj(image), first)[0],
            _heads(back.q_proj(image + positions), back)[0],
        )

    def forward(
        self, shared: Shared, tokens: torch.Tensor, image: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``image`` None: the shared one, without mask prompts."""
        queries = tokens
        for number, layer in enumerate(self.layers):
            untouched = image is None and number == 0
            if layer.skip_first_layer_pe:
                queries = layer.self_attn(queries, queries, queries)
            else:
                with_pe = queries + tokens
                queries = queries + layer.self_attn(with_pe, with_pe, queries)
            queries = layer.norm1(queries)
            look = layer.cross_attn_token_to_image
            if untouched:
                queries = queries + _look_at_shared(look, queries + tokens, shared)
            else:
                queries = queries + _look(look, queries + tokens, image, shared.positions[look])
            queries = layer.norm2(queries)
            queries = layer.norm3(queries + layer.mlp(queries))
            back = layer.cross_attn_image_to_token
            if untouched:
                image = _answer_shared(back, queries + tokens, queries, shared)
            else:
                image = _answer(back, queries + tokens, queries, image, shared.positions[back])
            image = layer.norm4(image)
        look = self.final_attn_token_to_image
        queries = queries + _look(look, queries + tokens, image, shared.positions[look])
        return self.norm_final_attn(queries), image


class Decoder(MaskDecoder):
    """segment-anything's mask decoder for prompts that share a picture.

    ``forward`` takes what its parent takes. Two things more: ``image_embeddings`` may be what :meth:`share` returned
    for them, and with ``least_iou`` the masks whose predicted IoU is not above it are not computed: -inf everywhere.
    """

    def share(
        self, image_embeddings: torch.Tensor, image_pe: torch.Tensor, no_mask: torch.Tensor
    ) -> Shared:
        """What the prompts on a picture share: (1, C, g, g) embedding, its positions, and what stands for no mask."""
        image, positions = ((x.flatten(2).mT).contiguous() for x in (image_embeddings + no_mask, image_pe))
        return self.transformer.share(image, positions.to(image.dtype))

    def forward(
        self,
        image_embeddings: torch.Tensor | Shared,
        image_pe: torch.Tensor | None,
        sparse_prompt_embeddings: torch.Tensor,
        dense_prompt_embeddings: torch.Tensor | None,
        multimask_output: bool,
        least_iou: float | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Masks (B, M, 4g, 4g), logits, and predicted IoU (B, M); M = 3 with ``multimask_output``, else 1.

        dense_prompt_embeddings: (B, C, g, g) of mask prompts; None, with a Shared, where there are none.
        """
        shared, dense = image_embeddings, dense_prompt_embeddings
        image = None
        if not isinstance(shared, Shared):
            shared = self.share(image_embeddings, image_pe, torch.zeros_like(image_embeddings))
            image = shared.image + dense.flatten(2).mT
        elif dense is not None:
            image = shared.image + dense.flatten(2).mT
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        batch = len(sparse_prompt_embeddings)
        tokens = torch.cat([own.expand(batch, -1, -1), sparse_prompt_embeddings.to(own.dtype)], 1)
        tokens, image = self.transformer(shared, tokens, image)

        chosen = slice(1, None) if multimask_output else slice(0, 1)
        iou = self.iou_prediction_head(tokens[:, 0])[:, chosen]
        heads = list(enumerate(self.output_hypernetworks_mlps))[chosen]
        weights = torch.stack([head(tokens[:, 1 + number]) for number, head in heads], 1)
        if least_iou is None:
            return self._masks(image, weights), iou
        good = iou > least_iou
        wanted = good.any(1).nonzero()[:, 0]
        side = 4 * round(image.shape[1] ** 0.5)
        masks = image.new_full((batch, len(heads), side, side), -torch.inf)
        if len(wanted):
            masks[wanted] = self._masks(image[wanted], weights[wanted]).masked_fill_(
                ~good[wanted][..., None, None], -torch.inf
            )
        return masks, iou

    def _masks(self, image: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Image tokens (B, N, C) enlarged four times, times ``weights`` (B, M, C / 8): (B, M, 4g, 4g)."""
        first, norm, _, second, _ = self.output_upscaling
        batch, side = len(image), round(image.shape[1] ** 0.5)
        x = _enlarge(image, first)
        x = F.gelu(F.layer_norm(x, (x.shape[-1],), norm.weight, norm.bias, norm.eps))
        x = F.gelu(_enlarge(x, second))
        masks = weights @ x.reshape(batch, -1, x.shape[-1]).mT
        # (row, column) of the token, of its quarter, of that one's quarter
        masks = masks.view(batch, -1, side, side, 2, 2, 2, 2).permute(0, 1, 2, 4, 6, 3, 5, 7)
        return masks.reshape(batch, -1, 4 * side, 4 * side)


def _enlarge(x: torch.Tensor, convolution: torch.nn.ConvTranspose2d) -> torch.Tensor:
    """A 2 x 2 transposed convolution of stride 2 on (..., C): (..., 4, C'), the four in the order of their rows."""
    matrix = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)
    return F.linear(x, matrix, convolution.bias.repeat(4)).unflatten(-1, (4, -1))


def _heads(x: torch.Tensor, attention: Attention) -> torch.Tensor:
    """(B, n, heads x depth) -> (B, heads, n, depth)."""
    return x.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)


def _through(x: torch.Tensor, projection: torch.nn.Linear, attention: Attention) -> torch.Tensor:
    """(B, heads, P, depth) of tokens through the transpose of a projection of the image: (B, heads x P, C)."""
    matrix = projection.weight.unflatten(0, (attention.num_heads, -1))  # (heads, depth, C)
    return (x @ matrix).flatten(1, 2)


def _scores(
    tokens: torch.Tensor, projection: torch.nn.Linear, image: torch.Tensor, positions: torch.Tensor, a: Attention
) -> torch.Tensor:
    """Products of projected tokens (B, heads, P, depth) with the projected image tokens: (B, heads, P, N)."""
    batch, heads, count, depth = tokens.shape
    tokens = tokens * depth**-0.5
    by_position = tokens.transpose(0, 1).flatten(1, 2) @ positions  # (heads, B x P, N)
    by_position = by_position.view(heads, batch, count, -1).transpose(0, 1).flatten(1, 2)
    scores = torch.baddbmm(by_position, _through(tokens, projection, a), image.mT)
    return scores.view(batch, heads, count, -1)


def _look(attention: Attention, queries: torch.Tensor, image: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Tokens attend to the image tokens of their own prompt: (B, P, C)."""
    q = _heads(attention.q_proj(queries), attention)
    share = _scores(q, attention.k_proj, image, positions, attention).softmax(-1)
    seen = (share.flatten(1, 2) @ image).unflatten(1, (attention.num_heads, -1))  # (B, heads, P, C)
    matrix = attention.v_proj.weight.unflatten(0, (attention.num_heads, -1))
    seen = (seen @ matrix.mT).transpose(1, 2).flatten(2) + attention.v_proj.bias
    return attention.out_proj(seen)


def _look_at_shared(attention: Attention, queries: torch.Tensor, shared: Shared) -> torch.Tensor:
    """The same while the image tokens are still everybody's: all prompts are one batch of queries."""
    batch, count = queries.shape[:2]
    q = _heads(attention.q_proj(queries).flatten(0, 1)[None], attention)
    seen = F.scaled_dot_product_attention(q, shared.first_k[None], shared.first_v[None])
    return attention.out_proj(seen[0].transpose(0, 1).flatten(1)).view(batch, count, -1)


def _answer(
    attention: Attention, keys: torch.Tensor, values: torch.Tensor, image: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """Image tokens attend to the tokens of their prompt: image + what they saw, (B, N, C)."""
    k = _heads(attention.k_proj(keys), attention)
    share = _scores(k, attention.q_proj, image, positions, attention).softmax(2)
    return torch.baddbmm(image, share.flatten(1, 2).mT, _shown(attention, values))


def _answer_shared(
    attention: Attention, keys: torch.Tensor, values: torch.Tensor, shared: Shared
) -> torch.Tensor:
    """The same while the image tokens are still everybody's; from here on every prompt has its own."""
    batch, count = keys.shape[:2]
    k = _heads(attention.k_proj(keys), attention) * shared.first_q.shape[-1] ** -0.5
    scores = k.transpose(0, 1).flatten(1, 2) @ shared.first_q.mT  # (heads, B x P, N)
    share = scores.view(attention.num_heads, batch, count, -1).transpose(0, 1).softmax(2)
    return shared.image + share.flatten(1, 2).mT @ _shown(attention, values)


def _shown(attention: Attention, values: torch.Tensor) -> torch.Tensor:
    """What each token shows through each head, after the output projection: (B, heads x P, C)."""
    v = _heads(attention.v_proj(values), attention)
    matrix = attention.out_proj.weight.mT.unflatten(0, (attention.num_heads, -1))  # (heads, depth, C)
    # A token's shares add up to one in every head, so the bias may come in equal parts from the heads.
    return (v @ matrix + attention.out_proj.bias / attention.num_heads).flatten(1, 2)
