"""Which weights exist, and how they are fetched: the real client against a Hub on this machine that can misbehave."""

import dataclasses
import json
import os
import random
import re
import shutil
import threading

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

from focusmae import hub
from focusmae.errors import FocusMAEError, SettingsError, WeightsError
from focusmae.hub import cache, transfer
from tests.hub_server import HubServer
from tests.tiny import is_one_sentence

REPO, FILE = "facebook/vit-mae-base", "model.safetensors"
MAE = hub.find("autoencoder", "mae-base")
CONTENT = save({"a": np.random.default_rng(0).random(50_000, np.float32)})
OTHER = save({"a": np.random.default_rng(1).random(50_000, np.float32)})
FILES = {FILE: CONTENT, "config.json": b'{"hidden_size": 24}'}

# name -> repository and format, as the README and the page promise them
PUBLISHED = {
    "mae-base": ("facebook/vit-mae-base", "vit-mae"),
    "mae-large": ("facebook/vit-mae-large", "vit-mae"),
    "mae-huge": ("facebook/vit-mae-huge", "vit-mae"),
    "videomae-base": ("MCG-NJU/videomae-base", "videomae"),
    "videomae-large": ("MCG-NJU/videomae-large", "videomae"),
    "videomae-base-ssv2": ("MCG-NJU/videomae-base-ssv2", "videomae"),
    "videomae-base-kinetics": ("MCG-NJU/videomae-base-finetuned-kinetics", "videomae-classifier"),
    "videomae-large-kinetics": ("MCG-NJU/videomae-large-finetuned-kinetics", "videomae-classifier"),
    "videomae-base-ssv2-finetuned": ("MCG-NJU/videomae-base-finetuned-ssv2", "videomae-classifier"),
    "vit-base": ("timm/vit_base_patch16_224.augreg2_in21k_ft_in1k", "timm"),
    "sam-vit-base": ("facebook/sam-vit-base", "sam"),
    "sam-vit-large": ("facebook/sam-vit-large", "sam"),
    "sam-vit-huge": ("facebook/sam-vit-huge", "sam"),
    "groupvit": ("nvidia/groupvit-gcc-redcaps", "groupvit"),
}


@pytest.fixture
def server():
    with HubServer({REPO: FILES}) as server:
        yield server


def refused(weights=MAE, progress=None, command=True) -> str:
    """The sentence with which a fetch ends; nothing half-fetched passes for whole."""
    with pytest.raises(WeightsError) as error:
        hub.fetch(weights, progress)
    told = str(error.value)
    assert is_one_sentence(told) and len(told) < 400, told
    assert not command or f"`python -m focusmae download {weights.name}`" in told, told
    assert not hub.here(weights)
    return told


def partial() -> int:
    """Bytes of the weights file that an unfinished download left."""
    left = list(cache.place(REPO).glob("blobs/*.incomplete"))
    return sum(path.stat().st_size for path in left)


# The table.


def test_the_table_holds_what_is_promised():
    found = {w.name: (w.repo, w.format) for w in hub.WEIGHTS.values() if w.repo}
    assert found == PUBLISHED


@pytest.mark.parametrize("role, name", hub.WEIGHTS)
def test_every_entry_is_complete(role, name):
    w = hub.WEIGHTS[role, name]
    assert (w.role, w.name) == (role, name) and hub.find(role, name) is w and w in hub.named(name)
    assert name in hub.names(role) and w.summary and w.licence and (w.file is None) != (w.repo is None)
    if w.file:
        assert w.path.is_file() and w.size == w.path.stat().st_size and w.format == "own" and hub.here(w)
        return
    assert re.fullmatch("[0-9a-f]{40}|main", w.revision) and w.revisions[-1] == "main" and w.size > 1e8
    assert w.weights_files[0] == FILE and w.files[1] == "config.json"
    assert w.noncommercial is (w.format in ("vit-mae", "videomae", "videomae-classifier", "groupvit"))
    assert w.licence == "Apache-2.0" or w.noncommercial
    assert not w.sha256 or (w.revision != "main" and set(w.sha256) <= set(w.weights_files))
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in w.sha256.values())
    with pytest.raises(WeightsError) as error:
        _ = w.path
    assert is_one_sentence(str(error.value))


def test_an_unknown_name_is_answered_with_the_names():
    for role in ("autoencoder", "classifier", "scorer", "segmenter"):
        with pytest.raises(SettingsError) as error:
            hub.find(role, "mae-bse")
        assert is_one_sentence(str(error.value)) and all(name in str(error.value) for name in hub.names(role))
    with pytest.raises(SettingsError) as error:
        hub.named("mae-bse")
    assert is_one_sentence(str(error.value)) and all(name in str(error.value) for _, name in hub.WEIGHTS)


def test_paths_are_passed_on(tmp_path):
    for name in ("a.safetensors", "b.pth", "c.bin", "d.pt"):
        assert hub.find("autoencoder", tmp_path / name) == tmp_path / name and not hub.here(tmp_path / name)
    file = tmp_path / "checkpoint"
    file.write_bytes(b"x")
    assert hub.find("classifier", str(file)) == file and hub.here(file)
    with pytest.raises(SettingsError) as error:
        hub.find("autoencoder", tmp_path)
    assert is_one_sentence(str(error.value)) and "config.json" in str(error.value)
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    assert hub.find("autoencoder", str(tmp_path)) == tmp_path


def test_names_of_timm():
    assert MAE not in hub.named("timm:vit_base_patch16_224")
    found, known = hub.find("classifier", "timm:vit_base_patch16_224"), hub.find("classifier", "vit-base")
    assert found.name == "timm:vit_base_patch16_224" and hub.named(found.name) == [found]
    assert (found.repo, found.files, found.format, found.licence) == (known.repo, known.files, "timm", "Apache-2.0")
    assert not found.noncommercial and found.revision == "main" and found.size == 0 and not hub.here(found)
    wrong = {
        "vit_base_patch16_224.mae": "classes",  # an encoder alone
        "vit_base_patch16_clip_224.openai": "classes",  # 512 numbers that are no classes
        "resnet50": "plain vision transformer",
        "vit_base_patch16_224.nothing": "list_pretrained",
        "vit_bas": "list_pretrained",
    }
    for name, why in wrong.items():
        with pytest.raises(SettingsError, match=re.escape(why)) as error:
            hub.find("classifier", f"timm:{name}")
        assert is_one_sentence(str(error.value)) and name in str(error.value)
    with pytest.raises(SettingsError):
        hub.find("autoencoder", "timm:vit_base_patch16_224")


# Fetching.


def test_fetch(server):
    assert not hub.here(MAE) and server.requests == []
    seen = []
    found = hub.fetch(MAE, lambda done, total: seen.append((done, total)))
    assert found.path.read_bytes() == CONTENT and found.path.name == FILE
    assert found.folder == found.path.parent and found.config == json.loads(FILES["config.json"])
    assert found.revision == server.commit(REPO) and found.sha256 == hub.sha256(found.path)
    total = sum(map(len, FILES.values()))
    assert seen == sorted(seen) and seen[-1] == (total, total) and len(seen) > 3
    asked = list(server.requests)
    assert hub.here(MAE) and hub.fetch(MAE) == found and server.requests == asked  # no network is asked again


def test_the_clients_cache_is_shared_both_ways(server):
    found = hub.fetch(MAE)
    theirs = huggingface_hub.hf_hub_download(REPO, FILE, local_files_only=True)
    assert os.path.samefile(theirs, found.path)
    told = huggingface_hub.scan_cache_dir(server.cache)
    assert not told.warnings and [repo.repo_id for repo in told.repos] == [REPO] and told.size_on_disk > len(CONTENT)
    shutil.rmtree(server.cache)
    assert not hub.here(MAE)
    for name in FILES:
        huggingface_hub.hf_hub_download(REPO, name)
    asked = list(server.requests)
    assert hub.here(MAE) and hub.fetch(MAE) == found and server.requests == asked


def test_shipped_weights_need_no_hub(server):
    weights = hub.find("autoencoder", "embedded")
    found = hub.fetch(weights)
    assert found == hub.Found(weights.path, weights.path.parent, None, weights.revision, hub.sha256(weights.path))
    assert server.requests == []


def test_a_visitors_own_files(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    for given in (tmp_path, tmp_path / FILE):
        found = hub.fetch(hub.find("autoencoder", given))
        assert found.path == tmp_path / FILE and found.config == {"hidden_size": 24} and found.revision == "local"
        assert found.sha256 == hub.sha256(tmp_path / FILE)
    for damage in (b"{", b"[1]", b"\xff"):
        (tmp_path / "config.json").write_bytes(damage)
        with pytest.raises(WeightsError) as error:
            hub.fetch(tmp_path)
        assert is_one_sentence(str(error.value)) and "config.json" in str(error.value)


def test_a_pickle_is_taken_only_where_there_are_no_safetensors():
    both = {**FILES, "pytorch_model.bin": b"pickled"}
    with HubServer({REPO: both}) as server:
        assert hub.fetch(MAE).path.name == FILE
        assert server.downloads("pytorch_model.bin") == []
    del both[FILE]
    with HubServer({REPO: both}):
        found = hub.fetch(MAE)
        assert found.path.name == "pytorch_model.bin" and found.path.read_bytes() == b"pickled" and hub.here(MAE)
    with HubServer({REPO: both, "facebook/sam-vit-base": both}):
        told = refused(hub.find("segmenter", "sam-vit-base"), command=False)
        assert FILE in told and "pytorch_model.bin" not in told


def test_the_pinned_commit_is_taken_and_stays(server):
    old = server.commit(REPO)
    pinned = dataclasses.replace(MAE, revision=old, sha256={})
    new = server.change(REPO, {FILE: OTHER})
    found = hub.fetch(pinned)
    assert found.revision == old != new and found.path.read_bytes() == CONTENT
    # Another Hub may not have that commit: then its newest is taken, and says so.
    found = hub.fetch(MAE)
    assert MAE.revision not in (old, new) and found.revision == new and found.path.read_bytes() == OTHER


def test_a_pinned_file_must_have_the_known_hash(server):
    right = hub.sha256(hub.fetch(MAE).path)
    shutil.rmtree(server.cache)
    pinned = dataclasses.replace(MAE, revision=server.commit(REPO), sha256={FILE: "0" * 64})
    told = refused(pinned)
    assert right[:12] in told and "0" * 12 in told and partial() == 0 and not list(cache.place(REPO).glob("blobs/*000"))
    pinned = dataclasses.replace(pinned, sha256={FILE: right})
    assert hub.fetch(pinned).sha256 == right
    # Fetched by somebody else, it is looked at all the same.
    told = refused(dataclasses.replace(pinned, sha256={FILE: "0" * 64}))
    assert "removed" in told


def test_extras_come_along_where_there_are_any():
    weights = hub.find("segmenter", "groupvit")
    files = {**FILES, "vocab.json": b"{}", "merges.txt": b""}
    with HubServer({weights.repo: files}) as server:
        for name in (FILE, "config.json"):
            huggingface_hub.hf_hub_download(weights.repo, name)
        assert not hub.here(weights)  # the tokenizer may be missing
        found = hub.fetch(weights)
        assert {path.name for path in found.folder.iterdir()} == set(files) and hub.here(weights)
        asked = len(server.requests)
        assert hub.fetch(weights) == found and len(server.requests) == asked


def test_a_needed_file_that_is_missing(server):
    server.change(REPO, {})
    del server.repos[REPO][-1]["config.json"]
    assert "config.json" in refused(command=False)
    assert server.downloads(FILE) == []  # found out before the large file was fetched


# No network.


def test_offline(server, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    told = refused()
    assert FILE in told and MAE.revision in told and "HF_HUB_OFFLINE" in told and server.requests == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    found = hub.fetch(MAE)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.here(MAE) and hub.fetch(MAE) == found


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "htp://x", "http://[", "nonsense"])
def test_nobody_answers(server, monkeypatch, address):
    monkeypatch.setattr(constants, "ENDPOINT", address)
    told = refused()
    assert FILE in told and MAE.revision in told
    assert address != "http://127.0.0.1:9" or "cannot be reached" in told


def test_another_web_server_answers(server):
    server.fault("foreign")
    assert "HF_ENDPOINT" in refused()
    server.mend()
    server.fault("down")
    assert "cannot be reached" in refused()


def test_no_answer_in_time(monkeypatch):
    monkeypatch.setattr(transfer, "PAUSES", ())
    with HubServer({REPO: FILES}, timeout=2) as server:
        server.fault("slow", seconds=10, method="HEAD")
        assert "in time" in refused()
        server.mend()
        server.fault("slow", seconds=10, method="GET")
        assert "connection broke" in refused()


# A Hub that refuses.


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("status, why", [(401, "HF_TOKEN"), (403, "conditions"), (429, "wait"), (500, "500")])
def test_refusals(server, method, status, why):
    other = dataclasses.replace(MAE, name="whole", repo="a/b", revision="main")
    server.repos["a/b"] = [FILES]
    before = hub.fetch(other)
    server.fault(status, method=method)
    assert why in refused()
    assert len(server.requests) < 20
    assert hub.fetch(other) == before and before.path.read_bytes() == CONTENT
    server.mend()
    assert hub.fetch(MAE).path.read_bytes() == CONTENT


def test_conditions_that_nobody_accepted(server):
    server.fault("gated")
    assert "conditions" in refused()


def test_files_in_xet_come_by_plain_http(server):
    server.fault("xet")
    told = huggingface_hub.get_hf_file_metadata(f"{server.url}/{REPO}/resolve/main/{FILE}")
    assert told.xet_file_data is not None  # the client would go there
    assert hub.fetch(MAE).path.read_bytes() == CONTENT and len(server.downloads(FILE)) == 1


def test_what_does_not_exist(server):
    server.fault(404, method="GET", file=FILE)
    assert "no longer" in refused()
    server.mend()
    server.fault(404)
    assert FILE in refused(command=False)
    server.mend()
    del server.repos[REPO]
    assert REPO in refused()


def test_a_trouble_that_passes_is_not_mentioned(server):
    server.fault(503, times=1, method="HEAD")
    server.fault(503, times=1, method="GET")
    server.fault("down", times=1, method="GET", file=FILE)
    assert hub.fetch(MAE).path.read_bytes() == CONTENT


def test_the_token_goes_to_the_hub_and_nowhere_else(monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with HubServer({REPO: FILES}, token="hf_secret") as server:
        assert "HF_TOKEN" in refused()
        monkeypatch.setenv("HF_TOKEN", "hf_wrong")
        assert "hf_wrong" not in refused()
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        hub.fetch(MAE)
        stored = server.downloads(FILE)
        assert [r.token for r in stored] == [None]
        assert all(r.token == "hf_secret" for r in server.requests[-7:] if r not in stored)


# A connection that breaks.


@pytest.mark.parametrize("at", [0, 1, len(CONTENT) - 1, *random.Random(3).sample(range(len(CONTENT)), 3)])
def test_a_broken_download_goes_on_where_it_ended(server, at):
    server.fault("cut", after=at, file=FILE)
    told = refused()
    assert "connection broke" in told and partial() == at
    assert len(server.downloads(FILE)) == len(transfer.PAUSES) + 1 + (at > 0)
    server.mend()
    seen, before = [], len(server.downloads(FILE))
    found = hub.fetch(MAE, lambda done, total: seen.append(done))
    assert found.path.read_bytes() == CONTENT and partial() == 0
    assert [r.start for r in server.downloads(FILE)[before:]] == [at] and seen[0] <= at + len(
        FILES["config.json"]
    ) + 65536


def test_a_line_that_breaks_now_and_then_is_not_mentioned(server):
    for at in (90_000, 150_000, 10):
        server.fault("cut", after=at, times=1, file=FILE)
    assert hub.fetch(MAE).path.read_bytes() == CONTENT
    assert [r.start for r in server.downloads(FILE)] == [0, 90_000, 150_000, 150_000]


@pytest.mark.parametrize("kind, starts", [("norange", [0, 1000]), ("shifted", [0, 1000, 0])])
def test_a_server_that_knows_no_parts(server, kind, starts):
    server.fault("cut", after=1000, times=1, file=FILE)
    server.fault(kind, file=FILE)
    assert hub.fetch(MAE).path.read_bytes() == CONTENT
    assert [r.start for r in server.downloads(FILE)] == starts


def test_other_content_after_going_on(server):
    server.fault("cut", after=70_000, times=1, file=FILE)
    server.fault("other", after=70_000, times=1, file=FILE)
    told = refused()
    assert "other content" in told and "removed" in told and partial() == 0
    assert [r.start for r in server.downloads(FILE)] == [0, 70_000]
    assert hub.fetch(MAE).path.read_bytes() == CONTENT and server.downloads(FILE)[-1].start == 0


def test_a_file_that_changed_between_two_days_is_fetched_anew(server):
    server.fault("cut", after=70_000, file=FILE)
    refused()
    server.mend()
    new = server.change(REPO, {FILE: OTHER})
    found = hub.fetch(MAE)
    assert found.path.read_bytes() == OTHER and found.revision == new and server.downloads(FILE)[-1].start == 0


@pytest.mark.parametrize("more", [500, -500])
def test_another_length_than_announced(server, more):
    server.fault("length", after=more, file=FILE)
    told = refused()
    assert str(len(CONTENT)) in told and str(len(CONTENT) + more) in told and partial() == 0
    server.mend()
    assert hub.fetch(MAE).path.read_bytes() == CONTENT


def test_a_page_that_asks_to_log_in_costs_nothing_that_has_arrived(server):
    server.fault("cut", after=70_000, file=FILE)
    refused()
    server.mend()
    server.fault("foreign", method="GET")
    refused()
    assert partial() == 70_000
    server.mend()
    assert hub.fetch(MAE).path.read_bytes() == CONTENT and server.downloads(FILE)[-1].start == 70_000


def test_a_length_that_is_not_said(server):
    server.fault("unsaid", after=500, file=FILE)
    assert "bytes" in refused() and partial() == 0
    server.mend()
    server.fault("unsaid", after=-500, file=FILE)
    assert "connection broke" in refused() and partial() == len(CONTENT) - 500
    server.mend()
    server.fault("unsaid", method="HEAD")
    server.fault("unsaid")
    seen = []
    assert hub.fetch(MAE, lambda done, total: seen.append(done <= total)).path.read_bytes() == CONTENT and all(seen)
    assert server.downloads(FILE)[-1].start == 0  # where the end is not known, what is there may be no beginning


def test_what_was_whole_stays_whole_while_its_successor_breaks(server):
    before = hub.fetch(MAE)
    new = server.change(REPO, {FILE: OTHER, "config.json": b"{}"})
    for kind, after in (("cut", 1000), ("other", 1000), ("length", 1)):
        server.fault(kind, after=after, file=FILE)
        with pytest.raises(WeightsError):
            transfer.download(MAE, lambda done, total: None)
        assert hub.here(MAE) and hub.fetch(MAE) == before and before.path.read_bytes() == CONTENT
        server.mend()
    transfer.download(MAE, lambda done, total: None)
    assert hub.fetch(MAE).revision == new and before.path.read_bytes() == CONTENT


# Whoever asks changes their mind.


class Enough(FocusMAEError):
    pass


def test_stopping_keeps_what_has_arrived(server):
    def stop(done, total):
        if done > 60_000:
            raise Enough

    server.fault("slow", after=20_000, seconds=0.001, file=FILE)
    with pytest.raises(Enough):
        hub.fetch(MAE, stop)
    kept = partial()
    assert 60_000 < kept + len(FILES["config.json"]) < len(CONTENT) and not hub.here(MAE)
    assert hub.fetch(MAE).path.read_bytes() == CONTENT
    assert [r.start for r in server.downloads(FILE)] == [0, kept]


def test_stopping_while_the_line_is_broken(server, monkeypatch):
    monkeypatch.setattr(transfer, "PAUSES", (60,))
    calls = []

    def stop(done, total):
        calls.append(done)
        if calls.count(done) > 1:  # nothing has moved since the last report
            raise Enough

    server.fault("cut", after=1000, file=FILE)
    with pytest.raises(Enough):
        hub.fetch(MAE, stop)
    assert partial() == 1000


def test_three_at_once_fetch_once(server):
    together, found = threading.Barrier(3, timeout=60), []

    def ask():
        begun = []

        def wait(done, total):
            if not begun:  # everybody has asked the Hub, nobody has begun to download
                begun.append(done)
                together.wait()

        found.append(hub.fetch(MAE, wait))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and found[0] == found[1] == found[2] and found[0].path.read_bytes() == CONTENT
    assert len(server.downloads(FILE)) == 1


def test_who_waits_for_another_download_sees_it_grow_and_may_stop(server):
    seen, held, waiting = [], [], threading.Event()

    def first(done, total):
        if done > 60_000 and not held:
            held.append(done)
            waiting.wait(20)

    def second(done, total):
        seen.append(done)
        if len(seen) > 2:
            raise Enough

    server.fault("slow", after=20_000, seconds=0.001, file=FILE)
    thread = threading.Thread(target=hub.fetch, args=(MAE, first))
    thread.start()
    while thread.is_alive() and partial() < 60_000:
        waiting.wait(0.01)
    with pytest.raises(Enough):
        hub.fetch(MAE, second)
    waiting.set()
    thread.join()
    assert seen[-1] >= 60_000 and hub.here(MAE) and len(server.downloads(FILE)) == 1


# A cache that somebody touched.


@pytest.mark.parametrize("name, noted", [(FILE, True), (FILE, False), ("pytorch_model.bin", True)])
def test_a_cut_off_file_in_the_cache_is_not_whole_and_is_fetched_again(name, noted):
    with HubServer({REPO: {name: CONTENT, "config.json": b"{}"}}):
        found = hub.fetch(MAE)
        if not noted:  # as if another program had fetched it
            shutil.rmtree(cache.place(REPO) / ".focusmae")
        os.truncate(found.path, len(CONTENT) // 2)
        assert not hub.here(MAE)
        assert hub.fetch(MAE) == found and found.path.read_bytes() == CONTENT
        (found.folder / "config.json").unlink()
        assert not hub.here(MAE)
        assert hub.fetch(MAE) == found


def test_changed_bytes_in_the_cache_are_found_and_removed(server):
    found = hub.fetch(MAE)
    found.path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    assert "other content" in refused()
    assert not found.path.exists() and hub.fetch(MAE) == found and found.path.read_bytes() == CONTENT


def test_a_hash_is_computed_once(server, monkeypatch):
    computed, digest = [], cache.hashlib.file_digest
    monkeypatch.setattr(cache.hashlib, "file_digest", lambda *given: computed.append(given) or digest(*given))
    found = hub.fetch(MAE)
    assert hub.fetch(MAE) == found and len(computed) == 1  # when it arrived
    cache._sha256.cache_clear()  # as in another process
    assert hub.fetch(MAE) == found and len(computed) == 1
    os.utime(found.path, ns=(1, 1))  # somebody touched it
    assert hub.fetch(MAE) == found and len(computed) == 2
    cache._sha256.cache_clear()
    assert hub.fetch(MAE) == found and len(computed) == 2


def test_a_damaged_config_in_the_cache(server):
    found = hub.fetch(MAE)
    (found.folder / "config.json").write_text("{")
    assert "config.json" in refused()
    assert hub.fetch(MAE) == found


def test_a_small_file_with_other_content(server):
    server.fault("other", file="config.json")
    assert "config.json" in refused() and partial() == 0
    server.mend()
    assert hub.fetch(MAE).config == {"hidden_size": 24}


def test_a_disk_that_is_full_or_may_not_be_written(server, monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert "room" in refused(command=False)
    monkeypatch.undo()
    with HubServer({REPO: FILES}):
        (tmp_path / "file").write_text("")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
        told = refused(command=False)
        assert "HF_HOME" in told and str(tmp_path) not in told


def test_a_cache_that_may_only_be_read_is_enough(server, monkeypatch):
    found = hub.fetch(MAE)
    shutil.rmtree(cache.place(REPO) / ".focusmae")
    monkeypatch.setattr(cache.Path, "write_text", lambda *_: (_ for _ in ()).throw(PermissionError()))
    assert hub.here(MAE) and hub.fetch(MAE) == found


def test_without_links(server, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(transfer.Path, "symlink_to", refuse)
    found = hub.fetch(MAE)
    assert found.path.read_bytes() == CONTENT and not found.path.is_symlink()
    assert hub.here(MAE) and hub.fetch(MAE) == found
