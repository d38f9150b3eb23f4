"""Be a model hub on a loopback port: repositories in memory, files in pieces, connections that break off."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PIECE = 1 << 16
_PATIENCE_S = 300.0


@dataclass
class Repo:
    """Hold one repository: its revisions, and what of it is told to whom."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    """What a caller must show; without it the hub says that there is no such repository."""
    gated: bool = False
    """Whether even a valid token is not enough."""
    about: dict[str, Any] = field(default_factory=dict)
    """What a search tells besides."""


@dataclass
class Asked:
    """Remember one request."""

    method: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class HubServer:
    """Answer as huggingface.co does, and remember what was asked."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    cut_after: dict[str, int] = field(default_factory=dict)
    """File -> bytes after which its next answer breaks off."""
    hold_after: dict[str, int] = field(default_factory=dict)
    """File -> bytes after which its answer waits until `release` is set."""
    release: threading.Event = field(default_factory=threading.Event)
    false_sizes: dict[str, int] = field(default_factory=dict)
    """File -> size to tell instead of the real one."""
    bad_token: str = "revoked"

    def add(self, name: str, files: Mapping[str, bytes], *, revision: str = "main") -> str:
        """Commit files under a revision and return the commit."""
        content = {path: bytes(data) for path, data in files.items()}
        commit = hashlib.sha1(repr((name, revision, sorted(content.items()))).encode()).hexdigest()
        repo = self.repos.setdefault(name, Repo())
        repo.commits[commit] = content
        repo.refs[revision] = commit
        return commit

    def ranges(self, file: str) -> list[str | None]:
        """Return the Range of every request for a file."""
        return [a.range for a in self.asked if a.method == "GET" and a.path.endswith(file)]

    @property
    def env(self) -> dict[str, str]:
        """Return the variables that lead to this hub, and bear with it when it is silent."""
        return {"HF_ENDPOINT": self.url, "HF_HUB_DOWNLOAD_TIMEOUT": "300"}


@contextmanager
def serving() -> Iterator[HubServer]:
    """Serve a hub without repositories while the block runs."""
    hub = HubServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
    thread.start()
    try:
        yield hub
    finally:
        hub.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            shown = self.headers.get("authorization")
            hub.asked.append(Asked(self.command, parts.path, self.headers.get("range"), shown))
            words = parts.path.strip("/").split("/")
            if shown == f"Bearer {hub.bad_token}":
                self._refuse(401, None, "Invalid credentials in Authorization header")
            elif words == ["api", "models"]:
                self._json(_found(hub, parse_qs(parts.query)))
            elif words[:2] == ["api", "models"]:
                self._api("/".join(words[2:4]), words[4:])
            elif len(words) > 4 and words[2] == "resolve":
                self._file("/".join(words[:2]), words[3], "/".join(words[4:]))
            else:
                self._refuse(404, None, "no such page")

        def _repo(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
            repo = hub.repos.get(name)
            shown = self.headers.get("authorization")
            if repo is None or (repo.token and shown != f"Bearer {repo.token}"):
                self._refuse(404 if shown else 401, "RepoNotFound", "Repository not found")
            elif repo.gated and "/resolve/" in self.path:
                self._refuse(403, "GatedRepo", f"Access to model {name} is restricted")
            elif (commit := repo.refs.get(revision, revision)) not in repo.commits:
                self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            else:
                return commit, repo.commits[commit]
            return None

        def _api(self, name: str, rest: list[str]) -> None:
            revision = rest[1] if len(rest) > 1 else "main"
            if (found := self._repo(name, revision)) is None:
                return
            commit, files = found
            if rest[:1] == ["tree"]:
                self._json([_entry(hub, path, data) for path, data in files.items()])
            else:
                siblings = [{"rfilename": path} for path in files]
                self._json({"id": name, "modelId": name, "sha": commit, "siblings": siblings})

        def _file(self, name: str, revision: str, path: str) -> None:
            if (found := self._repo(name, revision)) is None:
                return
            commit, files = found
            if path not in files:
                self._refuse(404, "EntryNotFound", "Entry not found")
                return
            data = files[path]
            total, start = len(data), 0
            if wanted := self.headers.get("range"):
                start = int(wanted.removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("content-length", str(total - start))
            if start:
                self.send_header("content-range", f"bytes {start}-{total - 1}/{total}")
            self.send_header("etag", f'"{_etag(path, data)}"')
            self.send_header("x-repo-commit", commit)
            self.end_headers()
            if self.command == "GET":
                self._send(path, data[start:])

        def _send(self, path: str, data: bytes) -> None:
            cut, hold = hub.cut_after.pop(path, None), hub.hold_after.pop(path, None)
            for at in range(0, len(data), PIECE):
                if cut is not None and at >= cut:
                    self.close_connection = True
                    return
                if hold is not None and at >= hold:
                    self.wfile.flush()
                    hub.release.wait(_PATIENCE_S)
                    hold = None
                try:
                    self.wfile.write(data[at : at + PIECE])
                except OSError:
                    self.close_connection = True
                    return

        def _json(self, content: object) -> None:
            payload = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def _refuse(self, status: int, code: str | None, text: str) -> None:
            self.send_response(status)
            if code:
                self.send_header("x-error-code", code)
            self.send_header("x-error-message", text)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: what was asked is in the hub."""

    return Handler


def _is_large(path: str) -> bool:
    return path.endswith((".safetensors", ".bin", ".npz"))


def _etag(path: str, data: bytes) -> str:
    if _is_large(path):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _entry(hub: HubServer, path: str, data: bytes) -> dict[str, object]:
    size = hub.false_sizes.get(path, len(data))
    entry: dict[str, object] = {"type": "file", "path": path, "size": size}
    if _is_large(path):
        entry["lfs"] = {"oid": _etag(path, data), "size": size, "pointerSize": 134}
        return entry | {"oid": "0" * 40}
    return entry | {"oid": _etag(path, data)}


def _found(hub: HubServer, query: dict[str, list[str]]) -> list[dict[str, object]]:
    wanted = query.get("search", [""])[0].lower()
    return [
        {"id": name, "modelId": name, **repo.about}
        for name, repo in hub.repos.items()
        if wanted in name.lower()
    ]
