"""Publishing: the real client against a Hub on this machine that takes uploads, and every way in which it may not."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import ModelCard, close_session, constants

from focusmae.__main__ import main
from focusmae.errors import FocusMAEError, SettingsError, WeightsError
from focusmae.hub import SHIPPED
from focusmae.publish import publish, published_files
from tests.tiny import is_one_sentence

TOKEN = "hf_of_a_test"


class Hub:
    """Repositories as dicts of files; large files arrive beforehand, as on the Hub, and a commit only names them."""

    def __init__(self):
        self.repos: dict[str, dict[str, bytes]] = {}
        self.large: dict[str, bytes] = {}
        self.commits, self.sent, self.cards = [], [], []
        self.refuse: dict[str, int] = {}  # part of a path -> status
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_):
        pass

    def _say(self, status: int, told=None) -> None:
        body = json.dumps(told or {}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        hub, path = self.hub, self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refused = next((status for part, status in hub.refuse.items() if part in path), None)
        if refused is None and self.headers.get("Authorization") != f"Bearer {TOKEN}" and "store" not in path:
            refused = 401
        if refused:
            return self._say(refused, {"error": "no"})
        if path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['organization'] or 'somebody'}/{asked['name']}"
            known = repo in hub.repos
            hub.repos.setdefault(repo, {})
            return self._say(409 if known else 200, {"url": f"{hub.url}/{repo}", "private": asked.get("visibility")})
        if path == "/api/validate-yaml":
            hub.cards.append(ModelCard(json.loads(body)["content"]).data.to_dict())
            return self._say(200)
        if path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            for each in objects:
                if each["oid"] not in hub.large:
                    each["actions"] = {"upload": {"href": f"{hub.url}/store/{each['oid']}"}}
            return self._say(200, {"transfer": "basic", "objects": objects})
        repo, _, verb = path.removeprefix("/api/models/").rpartition("/")[0].rpartition("/")
        if verb == "preupload":
            files = [
                {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular",
                 "shouldIgnore": False, "oid": None}
                for f in json.loads(body)["files"]
            ]  # fmt: skip
            return self._say(200, {"files": files})
        assert verb == "commit"
        rows = [json.loads(line) for line in body.splitlines()]
        for row in rows[1:]:
            value = row["value"]
            content = hub.large[value["oid"]] if row["key"] == "lfsFile" else base64.b64decode(value["content"])
            hub.repos[repo][value["path"]] = content
        hub.commits.append(rows[0]["value"]["summary"])
        oid = f"{len(hub.commits):040d}"
        return self._say(200, {"commitUrl": f"{hub.url}/{repo}/commit/{oid}", "commitOid": oid, "success": True})

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(content).hexdigest() == oid
        self.hub.large[oid] = content
        self.hub.sent.append(len(content))
        self._say(200)

    def do_GET(self) -> None:
        """What a client asks that may not create: whether the repository is there."""
        repo = self.path.removeprefix("/api/models/")
        self._say(200, {"id": repo}) if repo in self.hub.repos else self._say(404, {"error": "no"})


@pytest.fixture
def hub(monkeypatch, tmp_path):
    hub = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # its store speaks a protocol of its own
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    close_session()
    yield hub
    close_session()
    hub.server.shutdown()
    hub.server.server_close()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Small ones\n")
    (folder / "scorer.safetensors").write_bytes(bytes(range(256)) * 40)
    (folder / "labels.json").write_text("[]")
    (folder / "log.txt").write_text("not for others")
    return folder


def test_everything_arrives_in_one_commit(hub, folder):
    url = publish("somebody/focusmae", TOKEN, folder)
    assert url.startswith(hub.url) and "somebody/focusmae" in url
    expected = {name: (folder / name).read_bytes() for name in ("README.md", "scorer.safetensors", "labels.json")}
    assert hub.repos == {"somebody/focusmae": expected} and len(hub.commits) == 1


def test_again_sends_only_what_changed(hub, folder):
    publish("focusmae", TOKEN, folder)
    (folder / "README.md").write_text("# Better\n")
    publish("focusmae", TOKEN, folder)
    assert hub.repos["somebody/focusmae"]["README.md"] == b"# Better\n"
    assert len(hub.commits) == 2 and hub.sent == [256 * 40]


def test_what_ships_can_be_published():
    files = published_files(SHIPPED)
    assert files[0].name == "README.md" and {f.suffix for f in files[1:]} == {".safetensors"} and len(files) > 3


def test_the_card_says_what_the_hub_asks_for(hub):
    """What the Hub lists and filters by stands in the card's front matter, and every file in its text."""
    publish("somebody/focusmae", TOKEN)
    card = ModelCard.load(SHIPPED / "README.md")
    assert hub.cards == [card.data.to_dict()]
    assert card.data.license == "apache-2.0" and card.data.library_name == "focusmae"
    assert card.data.pipeline_tag == "image-classification" and card.data.pipeline_tag in card.data.tags
    assert {"masked-autoencoder", "safetensors"} <= set(card.data.tags)
    assert card.data.datasets and all(name.count("/") == 1 for name in card.data.datasets)
    assert card.text.lstrip().startswith("# ")
    assert [file.name for file in published_files(SHIPPED)[1:] if f"`{file.name}`" not in card.text] == []


def test_from_the_command_line(hub, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["publish", "--repo", "somebody/focusmae"]) == 0
    assert capsys.readouterr().out == f"{hub.url}/somebody/focusmae/commit/{1:040d}\n"
    assert set(hub.repos["somebody/focusmae"]) == {file.name for file in published_files(SHIPPED)}


@pytest.mark.parametrize(
    "refuse, token, error, said",
    [
        ({}, None, SettingsError, "--token"),
        ({}, "hf_of_somebody_else", SettingsError, "--token"),
        ({"create": 403}, TOKEN, SettingsError, "somebody/focusmae"),
        ({"commit": 403}, TOKEN, SettingsError, "somebody/focusmae"),
        ({"preupload": 404}, TOKEN, SettingsError, "somebody/focusmae"),
        ({"create": 500}, TOKEN, WeightsError, "500"),
        ({"validate": 400}, TOKEN, WeightsError, "README.md"),
    ],
)
def test_a_refusal_is_one_sentence(refuse, token, error, said, hub, folder):
    hub.refuse = refuse
    with pytest.raises(error) as caught:
        publish("somebody/focusmae", token, folder)
    assert said in str(caught.value) and is_one_sentence(str(caught.value)) and not hub.commits


def test_no_hub_and_no_network(hub, folder, monkeypatch):
    hub.server.shutdown()
    hub.server.server_close()
    with pytest.raises(WeightsError) as caught:
        publish("somebody/focusmae", TOKEN, folder)
    assert "reached" in str(caught.value) and is_one_sentence(str(caught.value))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SettingsError, match="HF_HUB_OFFLINE") as caught:
        publish("somebody/focusmae", TOKEN, folder)
    assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize("name", ["", "a/b/c", "spaces in it", "x" * 200, "../up"])
def test_names_that_are_none(name, hub, folder):
    with pytest.raises(FocusMAEError) as caught:
        publish(name, TOKEN, folder)
    assert is_one_sentence(str(caught.value)) and not hub.repos


def test_a_folder_that_is_not_ready(folder, tmp_path):
    (folder / "scorer.safetensors").unlink()
    with pytest.raises(WeightsError, match="safetensors"):
        publish("focusmae", TOKEN, folder)
    with pytest.raises(WeightsError, match="README.md"):
        publish("focusmae", TOKEN, tmp_path)
