"""Names of tensors as transformers writes them (the Hub's MAE and VideoMAE) -> ours.

Three generations of names are in use: those of the files on the Hub, those of transformers 5's own modules, and a
mixture that transformers 5.23 writes for MAE's decoder (``decoder.decoder_encoder.layer``). All are understood.
Query, key and value are three tensors there and one here; VideoMAE's keys have no bias, which is a bias of zero.
"""

import re

import torch

_STACKS = (
    (r"(?:vit|videomae)\.(?:encoder\.layers?|layers?)", "encoder.blocks"),
    (r"decoder\.(?:decoder_layers|decoder_encoder\.layer|layers)", "decoder_blocks"),
)
_BLOCKS = [(re.compile(rf"{stack}\.(\d+)\.(.+)\.(weight|bias)"), ours) for stack, ours in _STACKS]
_PARTS = {
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "attention.output.dense": "attn.proj",
    "attention.o_proj": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "mlp.fc1": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "mlp.fc2": "mlp.fc2",
}
_QKV = {
    **{f"attention.attention.{name}": number for number, name in enumerate(("query", "key", "value"))},
    **{f"attention.{name}_proj": number for number, name in enumerate("qkv")},
}
KEY = 1
_OTHERS = {
    "vit.embeddings.cls_token": "encoder.cls_token",
    "vit.embeddings.position_embeddings": "encoder.positions.table",
    "decoder.mask_token": "mask_token",
    "decoder.decoder_pos_embed": "decoder_positions.table",
}
_PREFIXES = {
    "vit.embeddings.patch_embeddings.projection.": "encoder.patch_embed.proj.",
    "videomae.embeddings.patch_embeddings.projection.": "encoder.patch_embed.proj.",
    "vit.layernorm.": "encoder.norm.",
    "videomae.layernorm.": "encoder.norm.",
    "decoder.decoder_embed.": "encoder_to_decoder.",
    "decoder.decoder_norm.": "decoder_norm.",
    "decoder.decoder_pred.": "decoder_head.",
    "decoder.norm.": "decoder_norm.",
    "decoder.head.": "decoder_head.",
    "classifier.": "head.",
}


def from_hub(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors by transformers' names -> by ours. A name that is not known stays as it is, for the reader to refuse."""
    ours, split = {}, {}
    for key, value in tensors.items():
        block, part, kind = _place(key)
        if block is None:
            ours[_rename(key)] = value
        elif part in _QKV:
            split.setdefault(block, {})[_QKV[part], kind] = value
        else:
            ours[f"{block}.{_PARTS.get(part, part)}.{kind}"] = value
    no_key_bias = not any((KEY, "bias") in parts for parts in split.values())
    for block, parts in split.items():
        for kind in ("weight", "bias"):
            found = [parts.get((number, kind)) for number in range(3)]
            if kind == "bias" and no_key_bias and found[0] is not None:
                found[KEY] = found[0].new_zeros(len(found[0]))
            if all(part is not None for part in found):
                ours[f"{block}.attn.qkv.{kind}"] = torch.cat(found)
    return ours


def _place(key: str) -> tuple[str | None, str, str]:
    """The block that a tensor belongs to (None if to none), its part in it, and "weight" or "bias"."""
    key = re.sub(r"\.attention\.([qv])_bias$", lambda m: f".attention.{_LONG[m[1]]}.bias", key)
    for pattern, ours in _BLOCKS:
        if found := pattern.fullmatch(key):
            return f"{ours}.{found[1]}", found[2], found[3]
    return None, key, ""


_LONG = {"q": "query", "v": "value"}


def _rename(key: str) -> str:
    if key in _OTHERS:
        return _OTHERS[key]
    prefix = next((p for p in _PREFIXES if key.startswith(p)), None)
    return _PREFIXES[prefix] + key.removeprefix(prefix) if prefix else key
