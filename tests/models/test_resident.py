"""The models that stay in memory: bounded, loaded once, and safe between threads."""

import threading

import pytest
import torch
from torch import nn

from focusmae.errors import SettingsError, WeightsError
from focusmae.models.resident import LARGE, SMALL_KEPT, VARIABLE, Resident, large_kept, weight_bytes
from tests.tiny import is_one_sentence


def large() -> nn.Module:
    model = nn.Module()
    model.weight = nn.Parameter(torch.empty(LARGE // 4, device="meta"))
    return model


def small() -> nn.Module:
    return nn.Linear(2, 2)


def test_sizes():
    assert weight_bytes(large()) == LARGE and weight_bytes(small()) == 24


def test_a_few_large_ones_stay_the_last_used():
    cache = Resident()
    a, b = cache.get("a", large), cache.get("b", large)
    assert cache.get("a", large) is a
    c = cache.get("c", large)
    assert cache.get("a", large) is a and cache.get("c", large) is c
    assert cache.get("b", large) is not b


def test_small_ones_do_not_drive_large_ones_out_and_are_bounded_too():
    cache = Resident()
    big, first = cache.get("big", large), cache.get(0, small)
    for number in range(1, SMALL_KEPT + 1):
        cache.get(number, small)
    assert cache.get("big", large) is big and cache.get(0, small) is not first


def test_how_many_stay_is_configurable(monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")
    cache = Resident()
    a = cache.get("a", large)
    cache.get("b", large)
    assert cache.get("a", large) is not a
    for wrong in ("0", "-1", "many", "1.5"):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(SettingsError) as error:
            large_kept()
        assert is_one_sentence(str(error.value)) and VARIABLE in str(error.value)


def test_a_model_that_cannot_be_made_leaves_the_others(monkeypatch):
    cache = Resident()
    models = {name: cache.get(name, large) for name in "ab"}

    def broken():
        raise WeightsError("It is broken.")

    for _ in range(2):
        with pytest.raises(WeightsError):
            cache.get("c", broken)
    assert all(cache.get(name, large) is model for name, model in models.items())
    c = cache.get("c", large)
    assert cache.get("c", large) is c


def test_threads_share_one_load_and_do_not_wait_for_others():
    cache, made, found, began, release = Resident(), [], [], threading.Event(), threading.Event()

    def slow():
        began.set()
        assert release.wait(30)
        made.append(1)
        return small()

    threads = [threading.Thread(target=lambda: found.append(cache.get("slow", slow))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert began.wait(30)
    cache.get("other", small)  # while the slow one is being made
    release.set()
    for thread in threads:
        thread.join(30)
    assert len(made) == 1 and len(found) == 4 and len({id(model) for model in found}) == 1
