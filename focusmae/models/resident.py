"""The models that stay in memory: a few large ones, least recently used out first, and each loaded by one thread."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from torch import nn

from focusmae.errors import SettingsError

LARGE = 64 << 20  # bytes of weights; what is smaller costs nothing to keep
SMALL_KEPT = 16
LARGE_KEPT = 2
VARIABLE = "FOCUSMAE_RESIDENT"


class Resident:
    """A cache of models. At most ``large_kept()`` large ones and SMALL_KEPT small ones stay when a new one is ready.

    A model that cannot be made leaves everything as it was. Safe to share between threads.
    """

    def __init__(self):
        self._models: OrderedDict[Hashable, nn.Module] = OrderedDict()
        self._lock, self._making = threading.Lock(), {}

    def get(self, key: Hashable, make: Callable[[], nn.Module]) -> nn.Module:
        """The model of that key, from memory or from ``make()``, whose errors are passed on."""
        with self._lock:
            turn = self._making.setdefault(key, threading.Lock())
        try:
            with turn:
                return self._kept(key) or self._add(key, make())
        finally:
            with self._lock:
                self._making.pop(key, None)

    def _kept(self, key: Hashable) -> nn.Module | None:
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
            return self._models.get(key)

    def _add(self, key: Hashable, model: nn.Module) -> nn.Module:
        limit = large_kept()
        with self._lock:
            self._models[key] = model
            for large, kept in ((True, limit), (False, SMALL_KEPT)):
                alike = [k for k, m in self._models.items() if (weight_bytes(m) >= LARGE) == large]
                for old in alike[: max(0, len(alike) - kept)]:
                    del self._models[old]
        return model


def large_kept() -> int:
    """How many large models stay: the environment's FOCUSMAE_RESIDENT, else LARGE_KEPT. Raises SettingsError."""
    text = os.environ.get(VARIABLE, str(LARGE_KEPT))
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"{VARIABLE} is the number of large models that stay in memory, 1 or more, not {text!r}.")
    return int(text)


def weight_bytes(model: nn.Module) -> int:
    """Bytes of a model's weights."""
    return sum(p.numel() * p.element_size() for p in (*model.parameters(), *model.buffers()))
