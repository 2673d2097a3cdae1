"""Names of tensors as the authors' own programs write them (MAE, VideoMAE, AdaMAE, FocusMAE) -> ours.

Their blocks are timm's, as ours are. VideoMAE's keep the biases of query and value apart from the fused weight, and
may scale both branches of a block by a learned factor, which is multiplied into the layer before it. AdaMAE and
FocusMAE save their sampling network along with the encoder; it takes no part in reconstruction and is left out.
"""

import re

import torch

_PREFIXES = (
    ("decoder_embed.", "encoder_to_decoder."),
    ("decoder_pred.", "decoder_head."),
    ("decoder.blocks.", "decoder_blocks."),
    ("decoder.norm.", "decoder_norm."),
    ("decoder.head.", "decoder_head."),
)
_WHOLE = {"decoder_pos_embed": "decoder_positions.table"}
_ENCODER = ("cls_token", "pos_embed", "patch_embed.", "blocks.", "norm.")
SAMPLER = ("encoder.get_token_probs.", "encoder.pos_embed_probs")


def from_official(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors by the authors' names -> by ours. A name that is not known stays as it is, for the reader to refuse."""
    ours = {_rename(key): value for key, value in tensors.items() if not key.startswith(SAMPLER)}
    for key in [key for key in ours if key.endswith(".attn.q_bias")]:
        attention = key.removesuffix("q_bias")
        if f"{attention}v_bias" in ours:
            query, value = ours.pop(key), ours.pop(f"{attention}v_bias")
            ours[f"{attention}qkv.bias"] = torch.cat([query, torch.zeros_like(query), value])
    for key in [key for key in ours if re.search(r"blocks\.\d+\.gamma_[12]$", key)]:
        block, number = key.rsplit("gamma_", 1)
        layer = f"{block}{'attn.proj' if number == '1' else 'mlp.fc2'}"
        gamma = ours.pop(key)
        ours[f"{layer}.weight"] = ours[f"{layer}.weight"] * gamma.unsqueeze(1)
        ours[f"{layer}.bias"] = ours[f"{layer}.bias"] * gamma
    return ours


def _rename(key: str) -> str:
    key = next((ours + key.removeprefix(theirs) for theirs, ours in _PREFIXES if key.startswith(theirs)), key)
    key = _WHOLE.get(key, key)
    key = f"encoder.{key}" if key.startswith(_ENCODER) else key
    return "encoder.positions.table" if key == "encoder.pos_embed" else key
