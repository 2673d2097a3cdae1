"""Weights -> files on this machine: shipped, from the Hub's cache, or fetched now."""

from collections.abc import Callable
from pathlib import Path

from huggingface_hub import constants

from focusmae.errors import WeightsError
from focusmae.hub import cache
from focusmae.hub.cache import Found
from focusmae.hub.registry import SHIPPED, Weights, folder_weights


def fetch(weights: Weights | Path, progress: Callable[[int, int], None] | None = None) -> Found:
    """The files of ``weights`` (what ``find`` returned, a visitor's own path included), fetched if they are not here.

    What is whole in the cache is used without asking a network: "main" is resolved once, and stays. HF_HUB_OFFLINE,
    HF_ENDPOINT, HF_HOME, HF_HUB_CACHE and HF_TOKEN mean what they mean to every program that uses the Hub.

    Args:
        progress: gets bytes done and bytes in total, now and then, from this thread. What it raises stops the
            download and is passed on; the bytes that have arrived are kept, and the next call goes on from there.
    Raises:
        WeightsError: in one sentence; what was in the cache before is as it was.
    """
    if isinstance(weights, Path):
        return _local(weights)
    if weights.file:
        return Found(weights.path, SHIPPED, None, weights.revision, cache.sha256(weights.path))
    found = cache.lookup(weights)
    if found is None:
        if constants.is_offline_mode():
            raise WeightsError(
                f"{weights.weights_files[0]} of {weights.repo} (revision {weights.revision}) is not on this machine, "
                "and HF_HUB_OFFLINE forbids to fetch it: unset that and run `python -m focusmae download "
                f"{weights.name}`."
            )
        # Here and not above: the client takes a second to import, and whoever has the files does not need it.
        from focusmae.hub import transfer

        transfer.download(weights, progress or (lambda done, total: None))
        found = cache.lookup(weights)
    if found is None:
        raise WeightsError(f"What the Hub holds as {weights.name} is empty or cut off; nothing here can mend that.")
    return cache.read(weights, *found)


def _local(path: Path) -> Found:
    """A visitor's own file, or folder in the form of the Hub's."""
    file = folder_weights(path) if path.is_dir() else path
    if file is None:
        raise WeightsError(f"The folder {path.name} holds no model.safetensors or pytorch_model.bin.")
    return Found(file, file.parent, cache.read_config(file.parent, path.name), "local", cache.sha256(file))
