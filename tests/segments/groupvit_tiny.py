"""A GroupViT so small that tests are quick, in the form in which the Hub holds the real one, random from a seed."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import GroupViTConfig, GroupViTModel

START, END = "<|startoftext|>", "<|endoftext|>"


def write_checkpoint(folder: Path, seed: int = 8, side: int = 48, scale: float = 5.0) -> GroupViTModel:
    """Config, tokenizer (letters only) and weights in ``folder``; returns the network that was written.

    6 and then 4 groups on patches of 8 pixels. ``scale`` spreads the weights so that no two groups are alike.
    """
    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters), START, END]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    width = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2}
    config = GroupViTConfig(
        text_config={
            **width, "vocab_size": len(words), "num_hidden_layers": 2, "max_position_embeddings": 32,
            "bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1,
        },
        vision_config={
            **width, "image_size": side, "patch_size": 8, "num_hidden_layers": 3, "depths": [1, 1, 1],
            "num_group_tokens": [6, 4, 0], "num_output_groups": [6, 4, 4],
        },
        projection_dim=16,
        projection_intermediate_dim=24,
    )  # fmt: skip
    noise = torch.Generator().manual_seed(seed)
    network = GroupViTModel(config).eval()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point() and value.ndim:
                drawn = torch.randn(value.shape, generator=noise)
                # Matrices anew, and nothing of the initialisation's own random numbers; vectors around what they are.
                value.copy_(scale / value.shape[-1] ** 0.5 * drawn if value.ndim > 1 else value + 0.2 * drawn)
            if name.endswith("running_var"):
                value.abs_().add_(0.5)
    config.save_pretrained(folder)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, folder / "model.safetensors")
    return network
