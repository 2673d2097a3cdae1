"""Published weights -> our two classes: the file itself says what it is, so no flag can be wrong.

Which keys there are tells the format; their shapes tell width, depth, patch, tubelet and grid; a position table that
is there is used, whatever is in it. What shapes cannot tell (number of heads, epsilon of the layer norms, what the
targets were) comes from config.json for the Hub's files, and for the authors' own files from their programs: MAE
(He et al., CVPR 2022), VideoMAE (Tong et al., NeurIPS 2022), FocusMAE (Basu et al., CVPR 2024).
"""

import math
import re
import warnings
from dataclasses import dataclass, replace

import torch
from torch import nn

from focusmae.errors import WeightsError
from focusmae.models.assemble import Unfit, assemble, sentence
from focusmae.models.autoencoder import AutoencoderConfig, MaskedAutoencoder
from focusmae.models.classifier import TokenClassifier
from focusmae.models.encoder import EncoderConfig
from focusmae.models.imagenet import class_names
from focusmae.models.keys_hub import from_hub
from focusmae.models.keys_official import SAMPLER, from_official
from focusmae.models.positions import GIVEN
from focusmae.models.tensors import Tensors

CLIP_FRAMES = 16
HEAD_WIDTH = 64
MAE_DECODER_HEAD_WIDTH = 32  # 512 = 16 x 32
HEADS = {1280: 16, 640: 8}  # the huge models, 80 channels a head; all others have HEAD_WIDTH
TORCH_EPS = 1e-5  # transformers' VideoMAE leaves torch's own in the two layer norms before a head


@dataclass
class Facts:
    """What shapes do not tell. heads None: by the rule; frames 0, side 0: any; notes: what had to be assumed.

    final_norm, no_qkv_bias: whether an autoencoder's encoder ends with a layer norm, and attention has no biases.
    """

    eps: float
    head_eps: float = 0.0
    heads: int | None = None
    decoder_heads: int | None = None
    frames: int = 0
    side: int = 0
    target: str = "imagenet"
    labels: list[str] | None = None
    final_norm: bool = True
    no_qkv_bias: bool = False
    notes: tuple[str, ...] = ()


def official_model(tensors: Tensors, config: dict | None, name: str, role: str) -> nn.Module:
    """The published autoencoder or classifier (``role``) whose tensors were read from the file ``name``.

    config: what the config.json beside it says. Raises WeightsError, in one sentence.
    """
    keys = tensors.values.keys()
    from_the_hub = any(key.startswith(("vit.", "videomae.")) for key in keys)
    values = from_hub(tensors.values) if from_the_hub else from_official(tensors.values)
    _check_role(values, name, role)
    with sentence(name):
        values, shape = _shape(values)
        facts = (_hub_facts(config, name, shape, values) if from_the_hub
                 else _own_facts(tensors, name, shape, values))  # fmt: skip
        if facts.no_qkv_bias:
            _add_zero_biases(values)
        encoder = replace(
            shape,
            eps=facts.eps,
            head_eps=facts.head_eps,
            heads=facts.heads or heads_of(shape.width, HEAD_WIDTH),
            frames=1 if shape.tubelet == 1 else facts.frames,
            side=shape.side or facts.side,
            final_norm=facts.final_norm and role == "autoencoder",
        )
        decoder = _decoder(values, encoder, facts) if role == "autoencoder" else None
    make = (lambda: MaskedAutoencoder(decoder)) if decoder else (lambda: TokenClassifier(encoder, facts.labels))
    model = assemble(make, values, name)
    model.notes = facts.notes
    for note in facts.notes:
        warnings.warn(note, stacklevel=2)
    return model


def heads_of(width: int, head_width: int) -> int:
    """The number of heads of a published model of that width. Raises Unfit where no rule gives one."""
    if width not in HEADS and width % head_width:
        raise Unfit(f"no rule tells the heads of {width} channels")
    return HEADS.get(width, width // head_width)


def _check_role(values: dict, name: str, role: str) -> None:
    if "encoder.patch_embed.proj.weight" not in values or not any(k.startswith("encoder.blocks.") for k in values):
        raise WeightsError(
            f"{name} holds no weights of a kind that is known here, which are MAE, VideoMAE, FocusMAE, plain ViTs of "
            "timm with their config.json, and files that this program wrote."
        )
    decodes, answers = "decoder_head.weight" in values, "head.weight" in values
    if role == "autoencoder" and not decodes:
        what = "a classifier" if answers else "an encoder alone"
        raise WeightsError(
            f"{name} holds {what} and no decoder, so it cannot reconstruct; MAE's files with a decoder are called "
            "mae_visualize, and the names mae-base and videomae-base have one too."
        )
    if role == "classifier" and not answers:
        raise WeightsError(
            f"{name} holds no classification head, so it names no classes; choose fine-tuned weights, as vit-base or "
            "videomae-base-kinetics."
        )


def _shape(values: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], EncoderConfig]:
    """What the tensors tell, and the tensors as our modules hold them."""
    values = dict(values)
    projection = values["encoder.patch_embed.proj.weight"]
    if projection.ndim == 4:  # a photo's patch is a tubelet of one frame
        projection = values["encoder.patch_embed.proj.weight"] = projection.unsqueeze(2)
    width, colours, tubelet, patch, across = projection.shape
    if colours != 3 or patch != across:
        raise Unfit("pictures have three colours and square patches here")
    photos, table = tubelet == 1, values.get("encoder.positions.table")
    if photos and table is None:
        raise Unfit("it lacks its position table")
    rows = 0 if table is None else table.shape[1] - photos
    layers = 1 if photos else CLIP_FRAMES // tubelet
    pool = "mean"
    if "head.weight" in values and "fc_norm.weight" not in values:  # MAE fine-tuned on its class token
        pool = "first"
        for kind in ("weight", "bias"):
            values[f"fc_norm.{kind}"] = values.pop(f"encoder.norm.{kind}")
        if not photos:
            raise Unfit("it answers from its first patch alone")
    return values, EncoderConfig(
        width=width,
        depth=_depth(values, "encoder.blocks"),
        patch=patch,
        tubelet=tubelet,
        mlp_width=len(values["encoder.blocks.0.mlp.fc1.weight"]),
        positions="videomae" if table is None else GIVEN,
        position_prefix=int(photos),
        side=math.isqrt(rows // layers) * patch,
        class_token=photos,
        pool=pool,
    )


def _depth(values: dict, stack: str) -> int:
    return len({key.removeprefix(f"{stack}.").split(".")[0] for key in values if key.startswith(f"{stack}.")})


def _decoder(values: dict[str, torch.Tensor], encoder: EncoderConfig, facts: Facts) -> AutoencoderConfig:
    bridge = values["encoder_to_decoder.weight"]
    width, clips = len(bridge), encoder.tubelet > 1
    if clips:  # VideoMAE's has no bias
        values["encoder_to_decoder.bias"] = bridge.new_zeros(width)
    head_width = HEAD_WIDTH if clips else MAE_DECODER_HEAD_WIDTH
    return AutoencoderConfig(
        encoder,
        decoder_width=width,
        decoder_depth=_depth(values, "decoder_blocks"),
        decoder_heads=facts.decoder_heads or heads_of(width, head_width),
        decoder_mlp_width=len(values["decoder_blocks.0.mlp.fc1.weight"]),
        decoder_positions="videomae" if clips else GIVEN,
        target=facts.target,
    )


def _add_zero_biases(values: dict[str, torch.Tensor]) -> None:
    for key in [key for key in values if key.endswith(".attn.qkv.weight")]:
        values.setdefault(key.replace("weight", "bias"), values[key].new_zeros(len(values[key])))


def _hub_facts(config: dict | None, name: str, shape: EncoderConfig, values: dict) -> Facts:
    """From the Hub's config.json, with transformers' defaults for what it leaves out."""
    if config is None:
        raise WeightsError(f"{name} needs the config.json that lies beside it on the Hub; put both into one folder.")
    if (activation := config.get("hidden_act", "gelu")) != "gelu":
        raise Unfit(f"its config.json asks for the activation {activation} where GELU is used")
    clips, notes = shape.tubelet > 1, ()
    heads = config.get("num_attention_heads", 12)
    if clips and shape.width == 384 and heads == 16:
        heads, notes = 6, (
            f"The config.json of {name} says 16 heads, a slip of the conversion of the small VideoMAE, which has 6; "
            "6 are used.",
        )  # fmt: skip
    per_patch = config.get("norm_pix_loss", clips)
    names, classes = config.get("id2label") or {}, len(values.get("head.weight", ()))
    return Facts(
        eps=float(config.get("layer_norm_eps", 1e-12)),
        head_eps=TORCH_EPS if clips else 0.0,
        heads=int(heads),
        decoder_heads=int(config.get("decoder_num_attention_heads", 6 if clips else 16)),
        frames=int(config.get("num_frames", CLIP_FRAMES)) if clips else 1,
        side=_one_side(config.get("image_size", 224)),
        target=("unit" if clips else "imagenet") + ("-patch" if per_patch else ""),
        labels=[str(names.get(str(number), f"class {number}")) for number in range(classes)],
        final_norm=not clips or not config.get("use_mean_pooling", True) or "encoder.norm.weight" in values,
        no_qkv_bias=not config.get("qv_bias" if clips else "qkv_bias", config.get("qkv_bias", True)),
        notes=notes,
    )


def _one_side(size) -> int:
    sides = set(size) if isinstance(size, list | tuple) else {size}
    if len(sides) != 1:
        raise Unfit("pictures are square here")
    return int(sides.pop())


def _own_facts(tensors: Tensors, name: str, shape: EncoderConfig, values: dict[str, torch.Tensor]) -> Facts:
    """From the authors' programs, and from the command line that they save along with a training's weights."""
    clips, said, notes = shape.tubelet > 1, tensors.arguments, []
    if any(key.startswith(SAMPLER) for key in tensors.values):
        notes.append(f"{name} also holds a network that samples tokens; it is not used.")
    classes = len(values.get("head.weight", ()))
    labels, heads = [f"class {number}" for number in range(classes)], None
    if classes == 1000 and not clips:
        labels = class_names(classes)
    elif classes:
        notes.append(f"{name} does not name its {classes} classes, so they are numbered.")
    if shape.pool == "first":
        notes.append(f"{name} is taken as MAE fine-tuned on its class token; timm's weights need their config.json.")
    if clips and shape.width == 384:
        heads, reason = _heads_of_384(said, shape, values, classes)
        notes.append(f"{name} is {reason}, so {heads} heads are used, which its weights do not tell.")
    per_patch = said.get("normlize_target", True) if clips else said.get("norm_pix_loss")
    if per_patch is None and not classes:
        per_patch = bool(re.search(r"pretrain.*full", name))
        if not per_patch and "visualize" not in name:
            notes.append(f"{name} does not say what its decoder predicts; raw pixels are assumed, as in mae_visualize.")
    return Facts(
        eps=1e-6,
        no_qkv_bias=clips and not any(key.endswith(("qkv.bias", "_bias")) for key in values),
        heads=heads,
        frames=CLIP_FRAMES if clips else 1,
        target=("unit" if clips else "imagenet") + ("-patch" if per_patch else ""),
        labels=labels,
        notes=tuple(notes),
    )


def _heads_of_384(said: dict, shape: EncoderConfig, values: dict, classes: int) -> tuple[int, str]:
    """384 channels are VideoMAE's "small" with 6 heads, or what FocusMAE calls "base", with 12."""
    model = str(said.get("model", ""))
    if "small_patch16" in model or "base" in model:
        return (6, f"called {model}") if "small_patch16" in model else (12, f"called {model}")
    bridge = values.get("encoder_to_decoder.weight")
    if bridge is not None:
        wide = len(bridge) == 384
        return (12, "FocusMAE's by its wide decoder") if wide else (6, "the small VideoMAE by its narrow decoder")
    if shape.depth == 16 or 0 < classes < 10:
        return 12, "FocusMAE's by its depth or its few classes"
    return 6, "taken as the small VideoMAE"
