"""A small hub on 127.0.0.1 that speaks as much of the hub's protocol as a download needs.

What it serves is data, what it does wrong is a word of `Repository.fault`; every request is noted.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

MAIN = "a" * 40
OLD = "b" * 40
HTML = b"<!doctype html><html><body>Please log in</body></html>"


@dataclass
class Repository:
    """Files by revision, and the one thing that goes wrong with them.

    ``fault``: ``gated``, ``private``, ``down``, ``html``, ``truncated``, ``wrong size``,
    ``damaged`` (the right size and other bytes), or nothing. The last three hit the weights.
    """

    files: dict[str, bytes]
    revisions: dict[str, str] = field(default_factory=lambda: {"main": MAIN, "v1": OLD})
    fault: str = ""


class Hub:
    """The server's state: repositories by id, and the requests so far."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []
        self.url = ""

    def downloads(self) -> list[str]:
        """Names of the files whose content was asked for."""
        marked = [line.split(" ", 1)[1] for line in self.requests if line.startswith("GET ")]
        return sorted({p.split("/", 5)[5] for p in marked if p.split("/")[3:4] == ["resolve"]})


@contextmanager
def serve() -> Iterator[Hub]:
    """Run a hub in a thread."""
    hub = Hub()

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlparse(self.path).path)
        self.state.requests.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        is_api = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if is_api else parts[:2])
        repository = self.state.repositories.get(name)
        if repository is None or repository.fault == "private":
            self._fail(401, "RepoNotFound")
        elif repository.fault == "down":
            self._fail(503, "")
        elif repository.fault == "html":
            self._send(200, HTML, {"Content-Type": "text/html"})
        elif is_api:
            self._api(name, repository, parts[4:])
        else:
            self._resolve(repository, parts[3:])

    def _commit(self, repository: Repository, revision: str) -> str | None:
        found = repository.revisions.get(revision, revision)
        return found if found in repository.revisions.values() else None

    def _api(self, name: str, repository: Repository, rest: list[str]) -> None:
        kind = rest[0] if rest else ""
        revision = rest[1] if kind == "tree" else "/".join(rest[1:]) or "main"
        commit = self._commit(repository, revision)
        if commit is None:
            self._fail(404, "RevisionNotFound")
            return
        if kind == "tree":
            body: object = [
                {"type": "file", "path": p, "size": len(d), "oid": _git(d), **_lfs(p, d)}
                for p, d in repository.files.items()
            ]
        else:
            files = [{"rfilename": path} for path in repository.files]
            body = {"id": name, "modelId": name, "sha": commit, "siblings": files}
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repository: Repository, rest: list[str]) -> None:
        commit, path = self._commit(repository, rest[0]), "/".join(rest[1:])
        data = repository.files.get(path)
        if repository.fault == "gated":
            self._fail(403, "GatedRepo")
        elif commit is None:
            self._fail(404, "RevisionNotFound")
        elif data is None:
            self._fail(404, "EntryNotFound")
        else:
            self._file(repository, commit, path, data)

    def _file(self, repository: Repository, commit: str, path: str, data: bytes) -> None:
        lfs = _lfs(path, data)
        etag = lfs["lfs"]["oid"] if lfs else _git(data)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit}
        headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(data))} if lfs else {}
        fault = repository.fault if lfs and self.command == "GET" else ""
        if fault == "damaged":
            data = bytes([data[0] ^ 1]) + data[1:]
        if fault == "wrong size":
            data += b"more"
        begin = int(self.headers.get("Range", "bytes=0-").split("=")[1].split("-")[0])
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        sent = data[begin:] if fault != "truncated" else data[begin : len(data) // 2]
        self._send(206 if begin else 200, sent, headers, len(data) - begin)

    def _fail(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if length is not None and length != len(body):
            self.close_connection = True


def _git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _lfs(path: str, data: bytes) -> dict[str, dict[str, object]]:
    """Weights lie in large-file storage, under their SHA-256."""
    if not path.endswith((".safetensors", ".bin", ".gguf")):
        return {}
    sha256 = hashlib.sha256(data).hexdigest()
    return {"lfs": {"oid": sha256, "size": len(data), "pointerSize": 130}}
