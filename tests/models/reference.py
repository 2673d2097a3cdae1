"""The published networks once more, in plain torch and by the authors' own tensor names: what ours must agree with.

Written from the papers and the authors' programs (facebookresearch/mae, MCG-NJU/VideoMAE), and sharing no line with
the package: no class of ours, none of timm's, no transformers.
"""

import torch
import torch.nn.functional as F

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def random_tensors(shapes: dict[str, tuple], seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights of these shapes: norms near one, everything else small, nothing zero."""
    noise = torch.Generator().manual_seed(seed)
    made = {}
    for key, shape in shapes.items():
        value = torch.randn(shape, generator=noise) * (0.5 / max(1, shape[-1]) ** 0.5 if len(shape) == 2 else 0.1)
        made[key] = value + 1 if "norm" in key and key.endswith("weight") else value
    return made


def block_shapes(prefix: str, width: int, depth: int, hidden: int, split_bias: bool) -> dict[str, tuple]:
    shapes = {}
    for number in range(depth):
        at = f"{prefix}blocks.{number}."
        bias = {"attn.q_bias": (width,), "attn.v_bias": (width,)} if split_bias else {"attn.qkv.bias": (3 * width,)}
        parts = {
            "norm1.weight": (width,), "norm1.bias": (width,), "attn.qkv.weight": (3 * width, width), **bias,
            "attn.proj.weight": (width, width), "attn.proj.bias": (width,), "norm2.weight": (width,),
            "norm2.bias": (width,), "mlp.fc1.weight": (hidden, width), "mlp.fc1.bias": (hidden,),
            "mlp.fc2.weight": (width, hidden), "mlp.fc2.bias": (width,),
        }  # fmt: skip
        shapes |= {at + key: shape for key, shape in parts.items()}
    return shapes


def mae_weights(width=64, depth=2, decoder=32, patch=16, tokens=16, classes=0, seed=0) -> dict[str, torch.Tensor]:
    """A state dict as facebookresearch/mae saves it: the autoencoder, or with ``classes`` the fine-tuned classifier."""
    shapes = {
        "cls_token": (1, 1, width), "pos_embed": (1, tokens + 1, width),
        "patch_embed.proj.weight": (width, 3, patch, patch), "patch_embed.proj.bias": (width,),
        **block_shapes("", width, depth, 4 * width, split_bias=False),
    }  # fmt: skip
    norm = "fc_norm" if classes else "norm"
    shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    if classes:
        shapes |= {"head.weight": (classes, width), "head.bias": (classes,)}
    else:
        shapes |= {
            "decoder_embed.weight": (decoder, width), "decoder_embed.bias": (decoder,), "mask_token": (1, 1, decoder),
            "decoder_pos_embed": (1, tokens + 1, decoder),
            **block_shapes("decoder_", decoder, depth, 4 * decoder, split_bias=False),
            "decoder_norm.weight": (decoder,), "decoder_norm.bias": (decoder,),
            "decoder_pred.weight": (3 * patch * patch, decoder), "decoder_pred.bias": (3 * patch * patch,),
        }  # fmt: skip
    return random_tensors(shapes, seed)


def videomae_weights(width=64, depth=2, decoder=64, patch=16, classes=0, seed=0) -> dict[str, torch.Tensor]:
    """A state dict as MCG-NJU/VideoMAE saves it: pre-training, or with ``classes`` the fine-tuned classifier."""
    encoder = "" if classes else "encoder."
    shapes = {
        f"{encoder}patch_embed.proj.weight": (width, 3, 2, patch, patch),
        f"{encoder}patch_embed.proj.bias": (width,), **block_shapes(encoder, width, depth, 4 * width, True),
    }  # fmt: skip
    if classes:
        shapes |= {"fc_norm.weight": (width,), "fc_norm.bias": (width,)}
        shapes |= {"head.weight": (classes, width), "head.bias": (classes,)}
    else:
        size = 6 * patch * patch
        shapes |= {
            "encoder.norm.weight": (width,), "encoder.norm.bias": (width,), "mask_token": (1, 1, decoder),
            "encoder_to_decoder.weight": (decoder, width),
            **block_shapes("decoder.", decoder, depth, 4 * decoder, split_bias=True),
            "decoder.norm.weight": (decoder,), "decoder.norm.bias": (decoder,),
            "decoder.head.weight": (size, decoder), "decoder.head.bias": (size,),
        }  # fmt: skip
    return random_tensors(shapes, seed)


def norm(w, at, x, eps=1e-6):
    return F.layer_norm(x, x.shape[-1:], w[f"{at}.weight"], w[f"{at}.bias"], eps)


def run_block(w: dict, at: str, x: torch.Tensor, heads: int) -> torch.Tensor:
    b, n, width = x.shape
    bias = w.get(f"{at}.attn.qkv.bias")
    if bias is None:
        query = w.get(f"{at}.attn.q_bias", torch.zeros(width))
        bias = torch.cat([query, torch.zeros(width), w.get(f"{at}.attn.v_bias", torch.zeros(width))])
    qkv = norm(w, f"{at}.norm1", x) @ w[f"{at}.attn.qkv.weight"].T + bias
    query, key, value = (part.view(b, n, heads, -1).transpose(1, 2) for part in qkv.chunk(3, -1))
    weights = (query @ key.transpose(-2, -1) / (width // heads) ** 0.5).softmax(-1)
    mixed = (weights @ value).transpose(1, 2).reshape(b, n, width)
    branch = mixed @ w[f"{at}.attn.proj.weight"].T + w[f"{at}.attn.proj.bias"]
    x = x + branch * w.get(f"{at}.gamma_1", 1.0)
    inner = F.gelu(norm(w, f"{at}.norm2", x) @ w[f"{at}.mlp.fc1.weight"].T + w[f"{at}.mlp.fc1.bias"])
    return x + (inner @ w[f"{at}.mlp.fc2.weight"].T + w[f"{at}.mlp.fc2.bias"]) * w.get(f"{at}.gamma_2", 1.0)


def run_blocks(w: dict, prefix: str, x: torch.Tensor, heads: int) -> torch.Tensor:
    number = 0
    while f"{prefix}blocks.{number}.norm1.weight" in w:
        x = run_block(w, f"{prefix}blocks.{number}", x, heads)
        number += 1
    return x


def rows(table: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """(B or 1, N, D) at (B, K) -> (B, K, D), one row after the other."""
    return torch.stack([table[min(b, len(table) - 1)][row] for b, row in enumerate(indices)])


def mae_embed(w: dict, pixels: torch.Tensor) -> torch.Tensor:
    normal = (pixels - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
    kernel = w["patch_embed.proj.weight"]
    return F.conv2d(normal, kernel, w["patch_embed.proj.bias"], stride=kernel.shape[-1]).flatten(2).transpose(1, 2)


def mae_patches(w: dict, pixels: torch.Tensor, visible: torch.Tensor, heads: int, decoder_heads: int) -> torch.Tensor:
    """MAE's prediction (B, N, P) of photos (B, 3, H, W) in [0, 1] from the tokens ``visible`` (B, K)."""
    tokens = mae_embed(w, pixels) + w["pos_embed"][:, 1:]
    first = (w["cls_token"] + w["pos_embed"][:, :1]).expand(len(pixels), -1, -1)
    latent = norm(w, "norm", run_blocks(w, "", torch.cat([first, rows(tokens, visible)], 1), heads))
    latent = latent @ w["decoder_embed.weight"].T + w["decoder_embed.bias"]
    everything = w["mask_token"].repeat(len(pixels), tokens.shape[1], 1)
    for b, row in enumerate(visible):
        everything[b, row] = latent[b, 1:]
    everything = torch.cat([latent[:, :1], everything], 1) + w["decoder_pos_embed"]
    everything = norm(w, "decoder_norm", run_blocks(w, "decoder_", everything, decoder_heads))
    return (everything @ w["decoder_pred.weight"].T + w["decoder_pred.bias"])[:, 1:]


def mae_logits(w: dict, pixels: torch.Tensor, heads: int, visible: torch.Tensor | None = None) -> torch.Tensor:
    """MAE's fine-tuned classifier: mean of the patch tokens, or the class token where its norm is not ``fc_norm``."""
    tokens = mae_embed(w, pixels) + w["pos_embed"][:, 1:]
    tokens = tokens if visible is None else rows(tokens, visible)
    first = (w["cls_token"] + w["pos_embed"][:, :1]).expand(len(pixels), -1, -1)
    out = run_blocks(w, "", torch.cat([first, tokens], 1), heads)
    pooled = norm(w, "fc_norm", out[:, 1:].mean(1)) if "fc_norm.weight" in w else norm(w, "norm", out)[:, 0]
    return pooled @ w["head.weight"].T + w["head.bias"]


def sinusoids(count: int, width: int) -> torch.Tensor:
    """VideoMAE's table (1, count, width), one number at a time."""
    table = torch.zeros(count, width, dtype=torch.float64)
    for channel in range(width):
        angle = torch.arange(count, dtype=torch.float64) / 10000 ** (2 * (channel // 2) / width)
        table[:, channel] = angle.cos() if channel % 2 else angle.sin()
    return table.float()[None]


def videomae_embed(w: dict, prefix: str, pixels: torch.Tensor) -> torch.Tensor:
    normal = (pixels - MEAN.view(3, 1, 1, 1)) / STD.view(3, 1, 1, 1)
    kernel = w[f"{prefix}patch_embed.proj.weight"]
    out = F.conv3d(normal, kernel, w[f"{prefix}patch_embed.proj.bias"], stride=kernel.shape[2:])
    tokens = out.flatten(2).transpose(1, 2)
    return tokens + w.get(f"{prefix}pos_embed", sinusoids(tokens.shape[1], tokens.shape[2]))


def videomae_patches(w, pixels, visible, hidden, heads: int, decoder_heads: int) -> torch.Tensor:
    """VideoMAE's prediction (B, M, P) of the tokens ``hidden`` (B, M) of clips (B, 3, 16, H, W) in [0, 1]."""
    tokens = videomae_embed(w, "encoder.", pixels)
    latent = norm(w, "encoder.norm", run_blocks(w, "encoder.", rows(tokens, visible), heads))
    latent = latent @ w["encoder_to_decoder.weight"].T
    places = sinusoids(tokens.shape[1], latent.shape[2])
    masks = w["mask_token"] + rows(places, hidden)
    everything = torch.cat([latent + rows(places, visible), masks], 1)
    everything = run_blocks(w, "decoder.", everything, decoder_heads)[:, visible.shape[1] :]
    return norm(w, "decoder.norm", everything) @ w["decoder.head.weight"].T + w["decoder.head.bias"]


def videomae_logits(w: dict, pixels: torch.Tensor, heads: int, visible: torch.Tensor | None = None) -> torch.Tensor:
    tokens = videomae_embed(w, "", pixels)
    tokens = tokens if visible is None else rows(tokens, visible)
    pooled = norm(w, "fc_norm", run_blocks(w, "", tokens, heads).mean(1))
    return pooled @ w["head.weight"].T + w["head.bias"]
