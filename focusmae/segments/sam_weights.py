"""Files of Segment Anything weights -> segment-anything's model, two parts of it replaced by equal, faster ones.

Two forms are read: the official ``sam_vit_{b,l,h}_*.pth`` and the safetensors of facebook/sam-vit-*, whose names
are translated by an explicit table. Sizes are read from the weights themselves, so that no flag can contradict them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from segment_anything.modeling import PromptEncoder, Sam
from torch import nn

from focusmae.errors import WeightsError
from focusmae.segments.sam_decoder import Decoder, TwoWay
from focusmae.segments.sam_encoder import Encoder

if TYPE_CHECKING:
    from collections.abc import Mapping

PIXEL_MEAN, PIXEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
DECODER_HEADS = 8  # the one size that leaves no trace in the shapes of the weights; the same in every released model
SIZES = {(768, 12): "sam-vit-base", (1024, 24): "sam-vit-large", (1280, 32): "sam-vit-huge"}
"""Width and depth of the image encoder -> name."""
WORKS = "the official sam_vit_b, sam_vit_l and sam_vit_h .pth files and the safetensors of facebook/sam-vit-* work"


def read_sam(path: Path) -> Sam:
    """The model in a .pth, .pt, .bin or .safetensors file, on the CPU in float32.

    Every weight of the model must be in the file, and every weight in the file must be the model's.
    Raises WeightsError, in one sentence: missing, damaged, incomplete or another model's.
    """
    tensors = _read(path)
    if any(key.startswith("vision_encoder.") for key in tensors):
        tensors = _translated(tensors, path.name)
    try:
        with torch.device("meta"):
            sam = _build(tensors)
    except (KeyError, IndexError, ValueError, ZeroDivisionError, AssertionError) as error:
        part = "only an image encoder" if _has_only_encoder(tensors) else "no complete Segment Anything model"
        raise WeightsError(f"{path.name} holds {part}; {WORKS}.") from error
    try:
        sam.load_state_dict({key: value.float() for key, value in tensors.items()}, strict=True, assign=True)
    except RuntimeError as error:
        raise WeightsError(f"{path.name} does not fit a Segment Anything model key by key; {WORKS}.") from error
    sam.pixel_mean = torch.tensor(PIXEL_MEAN).view(-1, 1, 1)  # not in any file
    sam.pixel_std = torch.tensor(PIXEL_STD).view(-1, 1, 1)
    return sam.eval().requires_grad_(False)


def size_of(sam: Sam) -> str | None:
    """Which of the released sizes a model has ("sam-vit-base"), or None for any other."""
    encoder = sam.image_encoder
    return SIZES.get((encoder.patch_embed.proj.out_channels, len(encoder.blocks)))


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path.name} at this place; {WORKS}.")
    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # pickle, zip, safetensors and the system each have their own
        raise WeightsError(f"{path.name} is damaged or not a file of weights alone; {WORKS}.") from error
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise WeightsError(f"{path.name} holds no plain table of weights; {WORKS}.")
    return tensors


def _has_only_encoder(tensors: Mapping[str, torch.Tensor]) -> bool:
    return any("blocks." in key for key in tensors) and not any("mask_decoder" in key for key in tensors)


def _count(tensors: Mapping[str, torch.Tensor], before: str, after: str) -> int:
    number = 0
    while f"{before}{number}{after}" in tensors:
        number += 1
    return number


def _build(tensors: Mapping[str, torch.Tensor]) -> Sam:
    """A model of the sizes that the weights have. KeyError and its kin: they are not those of a whole model."""

    def size(key: str, axis: int = 0) -> int:
        return tensors[key].shape[axis]

    block, layer = "image_encoder.blocks.", "mask_decoder.transformer.layers."
    width, depth = size("image_encoder.patch_embed.proj.weight"), _count(tensors, block, ".attn.qkv.weight")
    patch, grid = size("image_encoder.patch_embed.proj.weight", 3), size("image_encoder.pos_embed", 1)
    reach = [(size(f"{block}{n}.attn.rel_pos_h") + 1) // 2 for n in range(depth)]
    out = size("image_encoder.neck.0.weight")
    encoder = Encoder(
        img_size=grid * patch,
        patch_size=patch,
        embed_dim=width,
        depth=depth,
        num_heads=width // size(f"{block}0.attn.rel_pos_h", 1),
        mlp_ratio=size(f"{block}0.mlp.lin1.weight") / width,
        out_chans=out,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=min(reach) if min(reach) < grid else 0,
        global_attn_indexes=tuple(n for n in range(depth) if reach[n] == grid),
    )
    prompts = PromptEncoder(
        embed_dim=out,
        image_embedding_size=(grid, grid),
        input_image_size=(grid * patch, grid * patch),
        mask_in_chans=size("prompt_encoder.mask_downscaling.3.weight"),
    )
    decoder = Decoder(
        num_multimask_outputs=size("mask_decoder.mask_tokens.weight") - 1,
        transformer=TwoWay(
            depth=_count(tensors, layer, ".norm1.weight"),
            embedding_dim=out,
            num_heads=DECODER_HEADS,
            mlp_dim=size(f"{layer}0.mlp.lin1.weight"),
            attention_downsample_rate=out // size(f"{layer}0.cross_attn_token_to_image.q_proj.weight"),
        ),
        transformer_dim=out,
        iou_head_depth=_count(tensors, "mask_decoder.iou_prediction_head.layers.", ".weight"),
        iou_head_hidden_dim=size("mask_decoder.iou_prediction_head.layers.0.weight"),
    )
    return Sam(encoder, prompts, decoder)


def key_table(blocks: int, layers: int, masks: int, iou_depth: int = 3) -> dict[str, str]:
    """transformers' name -> segment-anything's name of every weight of a model of these sizes."""

    def both(theirs: str, ours: str) -> None:
        for kind in ("weight", "bias"):
            table[f"{theirs}.{kind}"] = f"{ours}.{kind}"

    def mlp(theirs: str, ours: str, depth: int) -> None:
        # transformers counts only the layers between the first and the last.
        names = ["proj_in", *(f"layers.{n}" for n in range(depth - 2)), "proj_out"]
        for number, name in enumerate(names):
            both(f"{theirs}.{name}", f"{ours}.layers.{number}")

    table = {"vision_encoder.pos_embed": "image_encoder.pos_embed"}
    both("vision_encoder.patch_embed.projection", "image_encoder.patch_embed.proj")
    for n in range(blocks):
        theirs, ours = f"vision_encoder.layers.{n}", f"image_encoder.blocks.{n}"
        both(f"{theirs}.layer_norm1", f"{ours}.norm1")
        both(f"{theirs}.layer_norm2", f"{ours}.norm2")
        for name in ("attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2"):
            both(f"{theirs}.{name}", f"{ours}.{name}")
        for axis in "hw":
            table[f"{theirs}.attn.rel_pos_{axis}"] = f"{ours}.attn.rel_pos_{axis}"
    for theirs, ours in (("conv1", 0), ("conv2", 2)):
        table[f"vision_encoder.neck.{theirs}.weight"] = f"image_encoder.neck.{ours}.weight"
    for theirs, ours in (("layer_norm1", 1), ("layer_norm2", 3)):
        both(f"vision_encoder.neck.{theirs}", f"image_encoder.neck.{ours}")

    theirs, ours = "prompt_encoder", "prompt_encoder"
    table[f"{theirs}.shared_embedding.positional_embedding"] = f"{ours}.pe_layer.positional_encoding_gaussian_matrix"
    for name in ("no_mask_embed", "not_a_point_embed"):
        table[f"{theirs}.{name}.weight"] = f"{ours}.{name}.weight"
    for n in range(4):
        table[f"{theirs}.point_embed.{n}.weight"] = f"{ours}.point_embeddings.{n}.weight"
    for name, n in (("conv1", 0), ("layer_norm1", 1), ("conv2", 3), ("layer_norm2", 4), ("conv3", 6)):
        both(f"{theirs}.mask_embed.{name}", f"{ours}.mask_downscaling.{n}")

    for name in ("iou_token.weight", "mask_tokens.weight"):
        table[f"mask_decoder.{name}"] = f"mask_decoder.{name}"
    attention = [f"{kind}_proj" for kind in ("q", "k", "v", "out")]
    for n in range(layers):
        layer = f"mask_decoder.transformer.layers.{n}"
        for name in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token"):
            for part in attention:
                both(f"{layer}.{name}.{part}", f"{layer}.{name}.{part}")
        for number in range(1, 5):
            both(f"{layer}.layer_norm{number}", f"{layer}.norm{number}")
        for name in ("mlp.lin1", "mlp.lin2"):
            both(f"{layer}.{name}", f"{layer}.{name}")
    final = "mask_decoder.transformer"
    for part in attention:
        both(f"{final}.final_attn_token_to_image.{part}", f"{final}.final_attn_token_to_image.{part}")
    both(f"{final}.layer_norm_final_attn", f"{final}.norm_final_attn")
    for name, n in (("upscale_conv1", 0), ("upscale_layer_norm", 1), ("upscale_conv2", 3)):
        both(f"mask_decoder.{name}", f"mask_decoder.output_upscaling.{n}")
    for n in range(masks):
        mlp(*[f"mask_decoder.output_hypernetworks_mlps.{n}"] * 2, depth=3)
    mlp(*["mask_decoder.iou_prediction_head"] * 2, depth=iou_depth)
    return table


def _translated(tensors: dict[str, torch.Tensor], file: str) -> dict[str, torch.Tensor]:
    """Weights under segment-anything's names. Raises WeightsError for a name that the table does not know."""
    iou = "mask_decoder.iou_prediction_head.layers."
    table = key_table(
        _count(tensors, "vision_encoder.layers.", ".attn.qkv.weight"),
        _count(tensors, "mask_decoder.transformer.layers.", ".layer_norm1.weight"),
        _count(tensors, "mask_decoder.output_hypernetworks_mlps.", ".proj_in.weight"),
        _count(tensors, iou, ".weight") + 2,
    )
    tensors = dict(tensors)
    # One matrix under two names: files hold it once or twice.
    shared, own = "shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding"
    if (matrix := tensors.pop(shared, None)) is not None:
        tensors.setdefault(own, matrix)
    if unknown := sorted(set(tensors) - set(table)):
        raise WeightsError(f"{file} holds {unknown[0]}, which is no weight of Segment Anything; {WORKS}.")
    return {table[key]: value for key, value in tensors.items()}
