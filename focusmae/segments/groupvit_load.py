"""A GroupViT checkpoint -> a ready segmenter: the one on the Hub by name, or a local folder in the same form."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from focusmae import device, hub
from focusmae.errors import WeightsError
from focusmae.segments.groupvit import GroupViT, PixelForm

NAME = "groupvit"
WANTED = "model.safetensors, config.json and the tokenizer"
BICUBIC = 3  # the number of that filter in preprocessor_config.json
OBSOLETE = "position_ids"  # a table 0, 1, 2, ... that older files of transformers carry along

Progress = Callable[[int, int], None] | None

_resident: dict[tuple, GroupViT] = {}  # the last one that was loaded
_lock = threading.Lock()


def load_groupvit(checkpoint: str | Path | None = None, progress: Progress = None) -> GroupViT:
    """GroupViT on this process's device; the one that was loaded last is kept.

    Args:
        checkpoint: None for nvidia/groupvit-gcc-redcaps, fetched if it is not here; or a local folder that holds
            model.safetensors, config.json and the tokenizer (or that safetensors file itself).
        progress: gets bytes done and bytes in total while fetching.
    Raises:
        SettingsError: nothing there.
        WeightsError: it is damaged, or no GroupViT, or the network cannot be reached.
    """
    wanted = hub.find("segmenter", str(checkpoint or NAME))
    with _lock:
        found = hub.fetch(wanted, progress)
        key = (found.path, found.sha256)
        if key not in _resident:
            name, licence = (wanted.name, "unknown") if isinstance(wanted, Path) else (NAME, wanted.licence)
            about = {"name": name, "revision": found.revision, "sha256": found.sha256, "licence": licence}
            segmenter = GroupViT(*_read(name, found.path, found.folder), weights={"role": "segmenter", **about})
            _resident.clear()
            _resident[key] = segmenter
        return _resident[key]


def _read(name: str, path: Path, folder: Path) -> tuple:
    """Network, tokenizer and the form of its pictures; strictly, or WeightsError."""
    # Here and not above: importing transformers' models takes seconds, and few visitors need them.
    from transformers.models.clip.tokenization_clip import CLIPTokenizer
    from transformers.models.groupvit.configuration_groupvit import GroupViTConfig
    from transformers.models.groupvit.modeling_groupvit import GroupViTModel

    needed = {"config.json": ("config.json",), "its tokenizer": ("tokenizer.json", "vocab.json")}
    for what, files in needed.items():
        if not any((folder / file).is_file() for file in files):
            raise WeightsError(f"{name} lacks {what}: a folder as the Hub has it, with {WANTED}, works.")
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path.name} is a pickle, which is not read: a folder with {WANTED} works.")
    try:
        settings = json.loads((folder / "config.json").read_text("utf-8"))
        if settings.get("model_type") != "groupvit":
            raise WeightsError(f"{name} holds a {settings.get('model_type')} model and no groupvit.")
        config = GroupViTConfig.from_dict(settings)
        with torch.device("meta"):  # weights come from the file: filling them with random numbers first is lost time
            network = GroupViTModel(config)
        tokenizer = CLIPTokenizer.from_pretrained(folder)
        pixels = _pixel_form(folder, config.vision_config.image_size)
    except WeightsError:
        raise
    except Exception as error:  # a damaged file fails in as many ways as it has readers
        raise WeightsError(f"{name} cannot be read as a GroupViT checkpoint: a file is damaged.") from error
    if len(tokenizer) > config.text_config.vocab_size:
        raise WeightsError(f"The tokenizer of {name} has more words than the network beside it.")
    _fill(network, path)
    return network.to(device.setup()), tokenizer, pixels


def _pixel_form(folder: Path, image_size: int | list[int]) -> PixelForm:
    """What preprocessor_config.json says, where there is one; the side is the network's own."""
    side = image_size if isinstance(image_size, int) else image_size[0]
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return PixelForm(side)
    own = json.loads(path.read_text("utf-8"))
    mean, std = (tuple(own.get(key, getattr(PixelForm(), key[6:]))) for key in ("image_mean", "image_std"))
    return PixelForm(side, mean, std, bicubic=own.get("resample", BICUBIC) == BICUBIC)


def _fill(network: torch.nn.Module, path: Path) -> None:
    """The file's tensors into a network without any; every key must be there, none may be left over."""
    try:
        state = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path.name} is damaged or cut short: fetch it again.") from error
    state = {
        key: value.float() if value.is_floating_point() else value
        for key, value in state.items()
        if not key.endswith(OBSOLETE)
    }
    expected = network.state_dict()
    missing, surplus = expected.keys() - state.keys(), state.keys() - expected.keys()
    if missing or surplus:
        what = f"lacks {min(missing)}" if missing else f"has {min(surplus)} too many"
        raise WeightsError(f"{path.name} is no GroupViT of this configuration: it {what}.")
    for key, value in expected.items():
        if value.shape != state[key].shape:
            raise WeightsError(
                f"{path.name} is no GroupViT of this configuration: {key} is {tuple(state[key].shape)}, "
                f"not {tuple(value.shape)}."
            )
    network.load_state_dict(state, strict=True, assign=True)
    # The one tensor that no file holds: it stayed without memory as well.
    embeddings = network.text_model.embeddings
    embeddings.position_ids = torch.arange(embeddings.position_embedding.num_embeddings).unsqueeze(0)
