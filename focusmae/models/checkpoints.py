"""Our own checkpoint files: safetensors whose metadata hold the configuration, so that no flag can be wrong.

Weights are stored as float16 (half the size; they are loaded as float32) and loaded strictly.
"""

import dataclasses
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from focusmae.errors import WeightsError
from focusmae.models.assemble import assemble
from focusmae.models.autoencoder import AutoencoderConfig, MaskedAutoencoder
from focusmae.models.classifier import TokenClassifier
from focusmae.models.encoder import EncoderConfig
from focusmae.models.scorer import MoEScorer, ScorerConfig
from focusmae.models.tensors import Tensors, read_tensors


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
    return own_model(read_tensors(path), path.name, kind)


def own_model(tensors: Tensors, name: str, kind: str) -> nn.Module:
    """The model of a file of ours that is read already. Raises WeightsError as :func:`load_model` does."""
    found = tensors.metadata.get("kind", "something else")
    if found != kind:
        raise WeightsError(f"{name} holds {found} weights where {kind} weights are needed.")
    return assemble(lambda: _build(kind, json.loads(tensors.metadata["config"])), tensors.values, name)


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
        return MaskedAutoencoder(AutoencoderConfig(**{**_tuples(config), "encoder": _encoder(config["encoder"])}))
    if kind == "classifier":
        labels = config.pop("labels")
        return TokenClassifier(_encoder(config), labels)
    return MoEScorer(ScorerConfig(**config))


def _encoder(config: dict) -> EncoderConfig:
    return EncoderConfig(**_tuples(config))


def _tuples(config: dict) -> dict:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}


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
