"""A small Hugging Face Hub on this machine, for tests: the real client talks to it, and it can misbehave.

    with HubServer({"facebook/vit-mae-base": {"model.safetensors": content, "config.json": b"{}"}}) as server:
        hub.fetch(hub.find("autoencoder", "mae-base"))  # this process's client asks server.url, caches in server.cache
        subprocess.run([...], env=server.environment)   # so does another process
        server.requests                                 # what was asked: Request(method, repo, file, start, status)
        server.fault("cut", after=1000)                 # every download breaks at byte 1000 of the file ...
        server.fault("503", times=1, file="config.json")  # ... and config.json's first request fails
        server.mend()                                   # all faults are gone

While it runs, huggingface_hub is set to it (address, cache, offline mode off, short timeouts, no proxy), together with
the environment, and focusmae's pauses between attempts are gone; afterwards everything is as it was. The cache is
empty and thrown away at the end, unless a folder is given, which is how two runs share one.

Large files (``LARGE`` suffixes) are answered as the Hub does: a redirect to another server, with the SHA-256 as
X-Linked-Etag; the others directly, with a git hash as ETag. "main" is the newest commit; every commit has a hash.

Faults (``times`` requests long, or until mended; ``file`` and ``method`` narrow them down):
    "401", "403", "404", "429", "500", "503", ...   that status, for HEAD and GET
    "gated"     401 with the Hub's word for a repository whose conditions nobody accepted
    "xet"       large files are announced as lying in Xet, too
    "down"      the connection is closed without an answer
    "foreign"   an answer of some other web server: a page, without the Hub's headers
    "cut"       the connection breaks at byte ``after`` of the file, however often it is asked
    "length"    the file that comes has ``after`` bytes more than announced (negative: fewer)
    "unsaid"    the same, and how long it is is not said; with method="HEAD", the Hub does not announce it either
    "other"     every byte of the file from ``after`` on is another one than announced
    "slow"      ``seconds`` pass before every piece of ``after`` bytes (0: before the answer, which then comes at once)
    "shifted"   a part begins one byte earlier than it was asked to, and says so
    "norange"   the whole file comes whatever part was asked for
"""

import contextlib
import hashlib
import json
import os
import socket
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote
from urllib.request import getproxies

import pytest
from huggingface_hub import close_session, constants

from focusmae.hub import transfer

LARGE = (".safetensors", ".bin", ".pth", ".pt")
BODY = {"cut", "length", "unsaid", "other", "shifted", "norange"}  # faults of what is sent, not of what is announced


class Request(NamedTuple):
    """One request as it was answered; ``start`` is the first byte that was asked for."""

    method: str
    repo: str
    file: str
    start: int
    status: int
    token: str | None


@dataclass
class Fault:
    kind: str
    after: int
    seconds: float
    times: int | None
    file: str | None
    method: str | None

    def meets(self, method: str, name: str) -> bool:
        wanted = self.method or ("GET" if self.kind in BODY else None)
        return self.times != 0 and wanted in (None, method) and (self.file is None or name.endswith(self.file))


class HubServer:
    """See the module's docstring.

    Args:
        repos: repository -> file name -> content.
        cache: folder for HF_HOME; a temporary one without.
        token: if given, whoever does not send it gets 401.
        timeout: seconds after which the client gives up on an answer.
    """

    def __init__(
        self, repos: Mapping[str, Mapping[str, bytes]], cache: Path | None = None, token: str | None = None, timeout=20
    ):
        self.repos = {repo: [dict(files)] for repo, files in repos.items()}  # every commit's files, the newest last
        self.token, self.timeout, self._given = token, timeout, cache
        self.requests: list[Request] = []
        self._faults: list[Fault] = []
        self._closing = threading.Event()

    def __enter__(self) -> "HubServer":
        self._undo = contextlib.ExitStack()
        self._hub, self._store = (self._undo.enter_context(_serving(self, large)) for large in (False, True))
        self.url = f"http://127.0.0.1:{self._hub.server_address[1]}"
        self.home = Path(self._given or self._undo.enter_context(tempfile.TemporaryDirectory()))
        self.cache = self.home / "hub"
        changed = {
            "HF_ENDPOINT": self.url, "HF_HOME": str(self.home), "HF_HUB_CACHE": str(self.cache), "HF_HUB_OFFLINE": "0",
            "HF_HUB_ETAG_TIMEOUT": str(self.timeout), "HF_HUB_DOWNLOAD_TIMEOUT": str(self.timeout),
            "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost",
        }  # fmt: skip
        patch = self._undo.enter_context(pytest.MonkeyPatch.context())
        for name, value in changed.items():
            patch.setenv(name, value)
        self.environment = dict(os.environ)
        patch.setattr(constants, "ENDPOINT", self.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", self.url + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_CACHE", str(self.cache))
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_TOKEN_PATH", str(self.home / "token"))
        patch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", self.timeout)
        patch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", self.timeout)
        patch.setattr(transfer, "PAUSES", (0.0,) * len(transfer.PAUSES))
        if set(getproxies()) - {"no"}:  # a client keeps the proxies that it began with
            close_session()
            self._undo.callback(close_session)
        return self

    def __exit__(self, *_) -> None:
        self._closing.set()
        self._undo.close()

    def fault(self, kind, after: int = 0, seconds: float = 0, times: int | None = None, file=None, method=None) -> None:
        """Misbehave from now on; several faults may be set, and the first that fits a request is taken."""
        self._faults.append(Fault(str(kind), after, seconds, times, file, method))

    def mend(self) -> None:
        """Behave again."""
        self._faults.clear()

    def change(self, repo: str, files: Mapping[str, bytes]) -> str:
        """Add a commit in which ``files`` are new or other than before; returns its hash."""
        self.repos[repo].append({**self.repos[repo][-1], **files})
        return self.commit(repo)

    def commit(self, repo: str, number: int = -1) -> str:
        """The hash (40 digits) of a repository's newest commit, or of another by its number."""
        files = self.repos[repo][number]
        told = json.dumps([repo, {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}])
        return hashlib.sha1(told.encode()).hexdigest()

    def downloads(self, file: str) -> list[Request]:
        """The requests for the content of a file whose name ends so, redirects left out."""
        return [r for r in self.requests if r.method == "GET" and r.file.endswith(file) and r.status != 302]

    def _at(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        for number in range(len(self.repos[repo]) - 1, -1, -1):
            if revision in ("main", self.commit(repo, number)):
                return self.commit(repo, number), self.repos[repo][number]
        return None

    def _met(self, method: str, name: str, announces: bool, sends: bool) -> Fault | None:
        """The fault that a request meets: large files are announced by the Hub and sent by the store behind it."""
        for fault in self._faults:
            body = fault.kind in BODY | {"slow"} and method == "GET"
            if fault.meets(method, name) and (sends if body else announces):
                if fault.times:
                    fault.times -= 1
                return fault
        return None


@contextlib.contextmanager
def _serving(hub: HubServer, large: bool):
    """A server in threads of its own: the Hub itself, or the store where its large files lie."""
    kind = type("Handler", (_Handler,), {"hub": hub, "large": large, "lines": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for (
            line
        ) in kind.lines:  # kept open by the client: a later server at this port must not be mistaken for this one
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer
    large: bool
    lines: list[socket.socket]

    def setup(self) -> None:
        super().setup()
        self.lines.append(self.connection)

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the other side hung up
            super().handle()

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_GET

    def log_message(self, *_) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(self.path.partition("?")[0]).strip("/")
        if path.startswith("api/models/"):
            return self._model(path.removeprefix("api/models/").partition("/revision/")[0])
        if "/resolve/" not in path:  # the client asks for more than weights
            return self.send_error(404)
        self.repo, _, rest = path.partition("/resolve/")
        revision, _, self.name = rest.partition("/")
        asked = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
        self.start, away = int(asked or 0), self.name.endswith(LARGE) and not self.large
        fault = self.hub._met(self.command, self.name, not self.large, self.large or not away)
        if fault and fault.kind == "slow" and not fault.after and self.hub._closing.wait(fault.seconds):
            return None
        if fault and fault.kind == "down":
            self.close_connection = True
            return self._note(0)
        if fault and fault.kind == "foreign":
            return self._say(200, b"<html>welcome</html>", {"Content-Type": "text/html"})
        if fault and fault.kind.isdecimal():
            return self._say(int(fault.kind))
        if fault and fault.kind == "gated":
            return self._say(401, headers={"X-Error-Code": "GatedRepo"})
        if not self.large and self.hub.token and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._say(401)
        if self.repo not in self.hub.repos:
            return self._say(404, headers={"X-Error-Code": "RepoNotFound"})
        found = self.hub._at(self.repo, revision)
        if found is None:
            return self._say(404, headers={"X-Error-Code": "RevisionNotFound"})
        commit, files = found
        if self.name not in files:
            return self._say(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        content = files[self.name]
        if away:
            port = self.hub._store.server_address[1]
            linked = {
                "Location": f"http://localhost:{port}/{self.repo}/resolve/{commit}/{self.name}",
                "X-Repo-Commit": commit, "X-Linked-Size": str(len(content)),
                "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"', "ETag": '"of the redirect"',
            }  # fmt: skip
            if fault and fault.kind == "unsaid":
                del linked["X-Linked-Size"]
            if fault and fault.kind == "xet":
                linked |= {"X-Xet-Hash": "0" * 64, "Link": f'<{self.hub.url}/api/xet>; rel="xet-auth"'}
            return self._say(302, headers=linked)
        small = hashlib.sha1(b"blob %d\0" % len(content) + content)
        etag = (hashlib.sha256(content) if self.large else small).hexdigest()
        return self._send(content, {"X-Repo-Commit": commit, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}, fault)

    def _send(self, content: bytes, headers: dict[str, str], fault: Fault | None) -> None:
        """The file, or the part of it that was asked for, as far as the fault lets it."""
        kind, after = (fault.kind, fault.after) if fault else (None, 0)
        if kind in ("length", "unsaid") and self.command == "GET":
            content = content + bytes(after) if after >= 0 else content[:after]
        if kind == "other":
            content = content[:after] + bytes(255 - value for value in content[after:])
        size, start = len(content), 0 if kind == "norange" else self.start
        if start and start >= size:
            return self._say(416, headers={"Content-Range": f"bytes */{size}"})
        start -= kind == "shifted" and start > 0
        if start:
            headers = {**headers, "Content-Range": f"bytes {start}-{size - 1}/{size}"}
        body = content[start:]
        self._head(206 if start else 200, None if kind == "unsaid" else len(body), headers)
        if self.command == "HEAD":
            return
        if kind == "cut":
            body, self.close_connection = body[: max(after - start, 0)], True
        step = after if kind == "slow" and after else max(len(body), 1)
        for at in range(0, len(body), step):
            if kind == "slow" and after and self.hub._closing.wait(fault.seconds):
                break
            self.wfile.write(body[at : at + step])

    def _model(self, repo: str) -> None:
        """What the Hub's API says of a repository: its newest commit and its files."""
        self.repo, self.name, self.start = repo, "", 0
        if repo not in self.hub.repos:
            return self._say(404, headers={"X-Error-Code": "RepoNotFound"})
        files = [{"rfilename": name} for name in self.hub.repos[repo][-1]]
        told = {"_id": "0", "id": repo, "modelId": repo, "sha": self.hub.commit(repo), "siblings": files, "tags": []}
        self._say(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _say(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self._head(status, len(body), headers or {})
        if self.command == "GET":
            self.wfile.write(body)

    def _head(self, status: int, length: int | None, headers: Mapping[str, str]) -> None:
        self._note(status)
        self.send_response(status)
        ending = {"Connection": "close"} if length is None else {"Content-Length": str(length)}
        for name, value in {**headers, **ending}.items():
            self.send_header(name, value)
        self.end_headers()

    def _note(self, status: int) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        self.hub.requests.append(Request(self.command, self.repo, self.name, self.start, status, token))
