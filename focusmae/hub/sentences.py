"""One clear sentence for everything that can go wrong between here and the Hub, with the command that goes on."""

from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from focusmae.errors import WeightsError
from focusmae.hub.registry import Weights

# The client's errors are httpx's in version 1 and httpx2's in version 2.
HTTPError = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")


def status_of(error: Exception) -> int | None:
    """The HTTP status that an error of the client's carries, if it does."""
    return getattr(getattr(error, "response", None), "status_code", None)


def again(weights: Weights) -> str:
    """What to run, as the end of a sentence."""
    return f"try again with `python -m focusmae download {weights.name}`"


def broken_off(weights: Weights, name: str, done: int, size: int | None) -> WeightsError:
    """A download that ended early; what has arrived is kept."""
    of = f" of {size / 1e6:.1f}" if size else ""
    return WeightsError(
        f"The connection broke after {done / 1e6:.1f}{of} MB of {name} ({weights.name}): "
        f"`python -m focusmae download {weights.name}` goes on from there."
    )


def wrong_length(weights: Weights, name: str, length: int, announced: int) -> WeightsError:
    """Another length than announced."""
    return WeightsError(
        f"The Hub sends {length} bytes of {name} of {weights.name} where it announced {announced}: {again(weights)}."
    )


def no_room(weights: Weights, name: str, size: int) -> WeightsError:
    """The disk is too small."""
    return WeightsError(
        f"There is no room for {name} of {weights.name} ({size / 1e6:.0f} MB) in the Hub's cache: make some, or set "
        "HF_HOME to a folder on a larger disk."
    )


def explained(error: Exception, weights: Weights, name: str, revision: str) -> WeightsError:
    """What kept the Hub from saying anything of a file."""
    if (status := status_of(error)) is not None:
        if isinstance(error, GatedRepoError):
            status = 403
        elif isinstance(error, RepositoryNotFoundError):
            status = 401  # the Hub says the same of what does not exist and of what is hidden
        return refused(status, weights, name, revision)
    what = f"{name} of {weights.repo} (revision {revision})"
    kind = type(error).__name__
    if isinstance(error, HTTPError) and "Timeout" in kind and kind != "ConnectTimeout":
        return WeightsError(f"The Hub did not answer in time when asked for {what}: {again(weights)}.")
    if isinstance(error, HTTPError):
        return WeightsError(
            f"The Hub cannot be reached and {what} is not on this machine: run `python -m focusmae download "
            f"{weights.name}` where there is a network."
        )
    return WeightsError(
        f"What answered for {what} is no Hugging Face Hub: check HF_ENDPOINT and the proxy, then {again(weights)}."
    )


def refused(status: int, weights: Weights, name: str, revision: str) -> WeightsError:
    """An answer with an error's status."""
    what = f"{name} of {weights.repo} (revision {revision})"
    match status:
        case 401:
            told = f"The Hub has no {what}, or shows it only to a token that may read it: set HF_TOKEN to one"
        case 403:
            told = f"The Hub refuses {what}: accept the conditions on its page, set HF_TOKEN to a token of that account"
        case 404:
            told = f"The Hub no longer holds {what}: it may be back later"
        case 429:
            told = "The Hub counts too many requests from here: wait some minutes, or set HF_TOKEN"
        case _:
            told = f"The Hub answered with error {status} when asked for {what}: wait a little"
    return WeightsError(f"{told}, then {again(weights)}.")
