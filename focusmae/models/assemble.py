"""Named tensors -> a model, without allocating or initialising anything twice.

The model is laid out on torch's "meta" device, which stores nothing, and the file's tensors become its parameters:
mapped from the disk where they can be, copied only where their number format differs. All or nothing: a tensor too
few, too many, or of another shape leaves no model behind.
"""

import contextlib
from collections.abc import Callable

import torch
from torch import nn

from focusmae.errors import WeightsError


def assemble(make: Callable[[], nn.Module], tensors: dict[str, torch.Tensor], name: str) -> nn.Module:
    """``make()`` with ``tensors`` (by our names) as its weights, in float32, for evaluation.

    Raises WeightsError, in one sentence that starts with ``name``, if they do not fit each other exactly.
    """
    with sentence(name), torch.device("meta"):
        model = make()
    wanted = {key: value.shape for key, value in model.state_dict().items()}
    both = [key for key in wanted if key in tensors]
    for problem, keys in (
        ("it lacks", [key for key in wanted if key not in tensors]),
        ("it has a surplus", [key for key in tensors if key not in wanted]),
        ("of another shape is", [key for key in both if tensors[key].shape != wanted[key]]),
        ("no floating-point numbers are in", [key for key in both if not tensors[key].is_floating_point()]),
    ):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise misfit(name, f"{problem} {keys[0]}{more}")
    model.load_state_dict({key: tensors[key].float() for key in wanted}, strict=True, assign=True)
    return model.eval().requires_grad_(False)


class Unfit(Exception):
    """Why a file's tensors and description make no model, in a few words."""


def misfit(name: str, why: str) -> WeightsError:
    """The sentence for weights that are read, but not those of the model that they claim to be."""
    return WeightsError(f"{name} does not fit the model that it describes ({why}); fetch or train it again.")


@contextlib.contextmanager
def sentence(name: str):
    """Turns what an inconsistent description makes of the code inside into one sentence about the file ``name``."""
    try:
        yield
    except Unfit as error:
        raise misfit(name, str(error)) from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, AssertionError, RuntimeError) as error:
        raise misfit(name, "its parts do not belong together") from error
