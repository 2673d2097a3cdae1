"""timm's plain ViT classifiers: their own blocks, pooling and head, with our way of leaving tokens out in front.

timm varies much between a ViT and the next (class token or mean, registers, layer scale, norms before or after), so
its parts are taken as they are, and only the road to the blocks is ours: patches of the visible tokens alone, their
positions, class token and registers. What cuts a picture otherwise than into square patches cannot be had this way.
"""

import timm
import torch
from timm.layers import PatchEmbed
from timm.models.vision_transformer import Attention, VisionTransformer
from torch import nn

from focusmae.errors import WeightsError
from focusmae.models.assemble import Unfit, assemble, sentence
from focusmae.models.classifier import TokenClassifier
from focusmae.models.encoder import EncoderConfig, SizedAttention
from focusmae.models.imagenet import class_names
from focusmae.models.positions import GIVEN, NONE
from focusmae.models.tensors import Tensors

# What timm.create_model takes for itself; a config.json must not make it fetch or open anything.
_NOT_THE_MODELS = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"}


class TimmClassifier(TokenClassifier):
    """A TokenClassifier whose blocks, norms, pooling and head are those of ``vit``, which it takes over."""

    def __init__(self, config: EncoderConfig, labels: list[str], vit: VisionTransformer):
        super().__init__(config, labels)
        self.encoder.norm_pre, self.encoder.blocks, self.encoder.norm = vit.norm_pre, vit.blocks, vit.norm
        self.attn_pool, self.fc_norm, self.head = vit.attn_pool, vit.fc_norm, vit.head
        self._pool = vit.pool
        for part in self.encoder.blocks.modules():
            if type(part) is Attention:
                part.__class__ = SizedAttention  # the same attention, computed the quicker way

    def pool(self, encoded: torch.Tensor) -> torch.Tensor:
        """As timm pools: class token, mean, or attention over the tokens that are there; (B, D)."""
        return self._pool(encoded)


def is_timm(config: dict | None) -> bool:
    """Whether a config.json is one of timm's."""
    return bool(config) and isinstance(config.get("architecture"), str)


def timm_model(tensors: Tensors, config: dict, name: str, role: str) -> nn.Module:
    """The classifier that timm's config.json and these tensors (by timm's names) describe.

    Raises WeightsError, in one sentence that starts with ``name``, if it is no plain ViT or does not fit.
    """
    if role != "classifier":
        raise WeightsError(f"{name} holds a classifier of timm and no decoder, so it cannot reconstruct; use mae-base.")
    with sentence(name):
        classes = len(tensors.values["head.weight"]) if "head.weight" in tensors.values else 0
        if not classes:
            raise Unfit("it has no classification head")
        with torch.device("meta"):
            vit = _create(config, classes)
        shape = _shape(vit, config)
        labels, values = _labels(config, classes), _ours(tensors.values)
    return assemble(lambda: TimmClassifier(shape, labels, vit), values, name)


def _create(config: dict, classes: int) -> VisionTransformer:
    architecture = config["architecture"]
    if not timm.is_model(architecture):
        raise Unfit(f"this timm has no architecture {architecture!r}")
    arguments = {k: v for k, v in (config.get("model_args") or {}).items() if k not in _NOT_THE_MODELS}
    cfg = {**(config.get("pretrained_cfg") or {}), "architecture": architecture}
    vit = timm.create_model(architecture, pretrained=False, pretrained_cfg=cfg, **{**arguments, "num_classes": classes})
    patch = getattr(vit, "patch_embed", None)
    if type(vit) is not VisionTransformer or type(patch) is not PatchEmbed or not isinstance(patch.norm, nn.Identity):
        raise Unfit(f"{architecture} is no plain vision transformer, whose tokens could be left out")
    return vit


def _shape(vit: VisionTransformer, config: dict) -> EncoderConfig:
    """What of the model lies in front of its blocks."""
    patch, grid = vit.patch_embed.patch_size, vit.patch_embed.grid_size
    if patch[0] != patch[1] or grid is None or grid[0] != grid[1]:
        raise Unfit("pictures and patches are square here")
    rows = 0 if vit.pos_embed is None else vit.pos_embed.shape[1] - grid[0] * grid[1]
    colours = config.get("pretrained_cfg") or {}
    class_token = vit.cls_token is not None
    return EncoderConfig(
        width=vit.embed_dim,
        depth=0,
        patch=patch[0],
        tubelet=1,
        positions=NONE if vit.pos_embed is None else GIVEN,
        position_prefix=rows,
        class_token=class_token,
        registers=vit.num_prefix_tokens - class_token,
        frames=1,
        side=grid[0] * patch[0],
        pool="timm",
        **{key: tuple(map(float, colours[key])) for key in ("mean", "std") if key in colours},
    )


def _ours(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """timm's names -> those of a TimmClassifier."""
    ours, first = {}, []
    for key, value in values.items():
        if key == "patch_embed.proj.weight":
            ours["encoder.patch_embed.proj.weight"] = value.unsqueeze(2)
            ours.setdefault("encoder.patch_embed.proj.bias", value.new_zeros(len(value)))
        elif key in ("cls_token", "reg_token"):
            first.append((key, value))
        elif key == "pos_embed":
            ours["encoder.positions.table"] = value
        else:
            part = key.startswith(("patch_embed.", "blocks.", "norm.", "norm_pre."))
            ours[f"encoder.{key}" if part else key] = value
    if first:  # the class token stands in front of the registers
        ours["encoder.cls_token"] = torch.cat([value for _, value in sorted(first, key=lambda item: item[0])], 1)
    return ours


def _labels(config: dict, classes: int) -> list[str]:
    """From config.json where it names them, else ImageNet's by their number, else numbered."""
    names = config.get("label_names") or (config.get("pretrained_cfg") or {}).get("label_names")
    if isinstance(names, dict):
        names = [names.get(str(number)) for number in range(classes)]
    if isinstance(names, list) and len(names) == classes:
        texts = config.get("label_descriptions") or {}
        return [str(texts.get(label, label)) for label in names]
    return class_names(classes) or [f"class {number}" for number in range(classes)]
