"""Our own checkpoint files: safetensors whose metadata hold the configuration, so that no flag can be wrong.

Weights are stored as float16 (half the size; they are loaded as float32) and loaded strictly.
"""

import dataclasses
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from focusmae.errors import WeightsError
from focusmae.models.autoencoder import AutoencoderConfig, MaskedAutoencoder
from focusmae.models.classifier import TokenClassifier
from focusmae.models.encoder import EncoderConfig
from focusmae.models.scorer import MoEScorer, ScorerConfig


def save_model(model: nn.Module, path: Path, **about: str) -> None:
    """Write ``model`` to ``path``; ``about`` (text) joins the metadata, as data and command of the training."""
    kind, config = _describe(model)
    tensors = {key: value.detach().cpu().half().contiguous() for key, value in model.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    save_file(tensors, temporary, metadata={"kind": kind, "config": json.dumps(config), **about})
    temporary.replace(path)


def load_model(path: Path, kind: str) -> nn.Module:
    """Read a model of ``kind`` ("autoencoder", "classifier", "scorer") in float32, for evaluation.

    Raises WeightsError, in one sentence, if the file is missing, damaged, of another kind, or does not fit.
    """
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path.name}; the shipped ones are in assets/weights.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path.name} is damaged or not a safetensors file; fetch or train it again.") from error
    if metadata.get("kind") != kind:
        found = metadata.get("kind", "something else")
        raise WeightsError(f"{path.name} holds {found} weights where {kind} weights are needed.")
    try:
        model = _build(kind, json.loads(metadata["config"]))
        model.load_state_dict(tensors, strict=True)
    except (RuntimeError, KeyError, TypeError, ValueError, AssertionError) as error:
        raise WeightsError(f"{path.name} does not fit the model that it describes; fetch or train it again.") from error
    return model.eval().requires_grad_(False)


def _describe(model: nn.Module) -> tuple[str, dict]:
    match model:
        case MaskedAutoencoder():
            return "autoencoder", dataclasses.asdict(model.config)
        case TokenClassifier():
            return "classifier", {**dataclasses.asdict(model.config), "labels": model.labels}
        case MoEScorer():
            return "scorer", dataclasses.asdict(model.config)
    raise TypeError(f"no checkpoint format for {type(model).__name__}")


def _build(kind: str, config: dict) -> nn.Module:
    if kind == "autoencoder":
        return MaskedAutoencoder(AutoencoderConfig(**{**config, "encoder": EncoderConfig(**config["encoder"])}))
    if kind == "classifier":
        labels = config.pop("labels")
        return TokenClassifier(EncoderConfig(**config), labels)
    return MoEScorer(ScorerConfig(**config))


def parameters(model: nn.Module) -> int:
    """Number of weights."""
    return sum(p.numel() for p in model.parameters())


def transfer_encoder(source: nn.Module, target: nn.Module) -> None:
    """Copy the encoder of an autoencoder or classifier into another model; raises WeightsError if shapes differ."""
    weights = {k: v for k, v in source.encoder.state_dict().items() if not k.startswith("norm.")}
    own = {k: v for k, v in target.encoder.state_dict().items() if not k.startswith("norm.")}
    if {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in own.items()}:
        raise WeightsError("The starting weights have another shape than the model to be trained.")
    with torch.no_grad():
        target.encoder.load_state_dict(weights, strict=False)
