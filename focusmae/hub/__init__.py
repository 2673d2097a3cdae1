"""What weights exist, and how they are fetched: ``find`` a name, ask whether it is ``here``, ``fetch`` its files."""

from focusmae.hub.cache import Found, here, sha256
from focusmae.hub.fetching import fetch
from focusmae.hub.registry import SHIPPED, WEIGHTS, Weights, find, named, names

__all__ = ["SHIPPED", "WEIGHTS", "Found", "Weights", "fetch", "find", "here", "named", "names", "sha256"]
