"""A file of weights -> named tensors, without running anything that is in it, and without reading it all.

Safetensors and torch's zip files are mapped into memory: what is not used is never read, and what is used is read once
and held once. Pickles (``.pth``, ``.bin``) pass torch's restricted reader alone; what it refuses is refused.
"""

import argparse
import pickle
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from focusmae.errors import WeightsError

# What official training scripts keep beside the weights: their command line and learning rates.
_SCALAR = np.float64(0).__reduce__()[0]
_HARMLESS = [
    argparse.Namespace,
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)),
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
]
_OBJECTS = re.compile(r"(unsupported|unrecognized) (global|class|function)|can only build", re.IGNORECASE)
_NESTS = ("model", "module", "state_dict")
_TRACES = ("module.", "_orig_mod.")  # of parallel and of compiled models, in front of every name


class Tensors(NamedTuple):
    """values: name -> tensor on the CPU. metadata: of a safetensors file. arguments: of the training command."""

    values: dict[str, torch.Tensor]
    metadata: dict[str, str]
    arguments: dict


def read_tensors(path: Path) -> Tensors:
    """The tensors of a ``.safetensors`` file or of a torch file (``.pth``, ``.pt``, ``.bin``).

    Raises WeightsError, in one sentence, if the file is missing, damaged, cut short, holds code, or holds no tensors.
    """
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path.name}; the shipped ones are in assets/weights.")
    if path.suffix in (".pth", ".pt", ".bin"):
        return _read_torch(path)
    try:
        with safe_open(path, framework="pt") as file:
            values = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            return Tensors(values, file.metadata() or {}, {})
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path.name} is damaged or not a safetensors file; fetch or train it again.") from error


def _read_torch(path: Path) -> Tensors:
    try:
        torch.serialization.add_safe_globals(_HARMLESS)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        if not _OBJECTS.search(str(error)):
            raise _damaged(path) from error
        raise WeightsError(
            f"{path.name} holds more than weights (code or objects that could run), so it was not opened; ask its "
            "author for a safetensors file."
        ) from error
    except Exception as error:  # whatever a broken file makes of the reader, it is a broken file
        raise _damaged(path) from error
    arguments = content.get("args") if isinstance(content, dict) else None
    while isinstance(content, dict) and (nest := next((n for n in _NESTS if isinstance(content.get(n), dict)), None)):
        content = content[nest]
    if not isinstance(content, dict) or not content or not all(torch.is_tensor(v) for v in content.values()):
        raise WeightsError(f"{path.name} holds no table of weights; choose a file that torch.save wrote of a model.")
    values = {_plain(str(key)): value for key, value in content.items()}
    return Tensors(values, {}, vars(arguments) if isinstance(arguments, argparse.Namespace) else {})


def _damaged(path: Path) -> WeightsError:
    return WeightsError(f"{path.name} is damaged, cut short, or not a file of weights; fetch it again.")


def _plain(key: str) -> str:
    while trace := next((t for t in _TRACES if key.startswith(t)), None):
        key = key.removeprefix(trace)
    return key.replace("._orig_mod.", ".")
