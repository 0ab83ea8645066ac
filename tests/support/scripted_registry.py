"""A registry in the test's own process that does wrong on command: cuts, lies, redirects, asks for tokens.

It answers what a puller asks for and nothing more. What a real registry does is tested with a real one.
"""

import base64
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from images import Image

from embedding_model.sources.access import Access
from embedding_model.sources.registry import Reference, parse_reference


@dataclass(frozen=True)
class Request:
    """`path` without the query."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """`cut`: the connection ends after so many bytes of the body, whatever the headers promise."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None


Script = Callable[[Request], Answer | None]


class ScriptedRegistry:
    """`scripts` are asked first, newest first; what none of them answers is answered from the images."""

    def __init__(self, *, port: int) -> None:
        self.port = port
        self.requests: list[Request] = []
        self.scripts: list[Script] = []
        self.ranges = True  # whether Range is obeyed
        self._manifests: dict[str, tuple[str, bytes]] = {}
        self._blobs: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def access(self) -> Access:
        return Access(endpoint=self.url, redirect_hosts=())

    def add(self, image: Image, *, repository: str = "models/small") -> Reference:
        with self._lock:
            self._manifests |= image.manifests
            self._blobs |= image.blobs
        return parse_reference(f"127.0.0.1:{self.port}/{repository}@{image.digest}")

    def asked(self, part: str) -> list[Request]:
        """The requests whose path holds `part`, in order."""
        return [request for request in self.requests if part in request.path]

    def answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            scripts = self.scripts[::-1]
        for script in scripts:
            answer = script(request)
            if answer is not None:
                return answer
        return self.stored(request)

    def stored(self, request: Request) -> Answer:
        """What an honest registry answers."""
        _, _, digest = request.path.rpartition("/")
        if "/manifests/" in request.path and digest in self._manifests:
            media_type, data = self._manifests[digest]
            return Answer(body=data, headers={"content-type": media_type})
        if "/blobs/" not in request.path or digest not in self._blobs:
            return Answer(status=404, body=b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        return ranged(self._blobs[digest], request=request) if self.ranges else Answer(body=self._blobs[digest])


def ranged(data: bytes, *, request: Request) -> Answer:
    wanted = request.headers.get("range", "")
    if not wanted:
        return Answer(body=data)
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start, end = int(first), min(int(last or len(data) - 1), len(data) - 1)
    if start > end:
        return Answer(status=416)
    headers = {"content-range": f"bytes {start}-{end}/{len(data)}"}
    return Answer(status=206, body=data[start : end + 1], headers=headers)


def require_token(token: str, *, realm: str, scope: str | None = None) -> Script:
    """Nothing without this bearer token; where to get it is said in the challenge."""
    asked = f',scope="{scope}"' if scope is not None else ""
    challenge = f'Bearer realm="{realm}",service="registry.test"{asked}'

    def script(request: Request) -> Answer | None:
        if not request.path.startswith("/v2/") or request.headers.get("authorization") == f"Bearer {token}":
            return None
        return Answer(status=401, headers={"www-authenticate": challenge})

    return script


def give_token(token: str, *, to: tuple[str, str] | None = None, name: str = "token") -> Script:
    """The token server; `to` is the user name and password that it wants."""

    def script(request: Request) -> Answer | None:
        if request.path != "/token":
            return None
        if to is not None and request.headers.get("authorization") != basic(*to):
            return Answer(status=401)
        return Answer(body=json.dumps({name: token, "expires_in": 60}).encode())

    return script


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def once(script: Script) -> Script:
    """The script's first answer, and none after it."""
    left = threading.Semaphore(1)

    def run(request: Request) -> Answer | None:
        answer = script(request)
        return answer if answer is not None and left.acquire(blocking=False) else None

    return run


@contextmanager
def scripted_registry() -> Iterator[ScriptedRegistry]:
    server = _Server(("127.0.0.1", 0), _Handler)
    registry = ScriptedRegistry(port=server.server_address[1])
    server.registry = registry  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a reader that had enough
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for the acknowledgement of its headers

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        registry: ScriptedRegistry = self.server.registry  # type: ignore[attr-defined]
        answer = registry.answer(Request(self.command, url.path, query, headers, body))
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "content-length" not in answer.headers:
            self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body if answer.cut is None else answer.body[: answer.cut])
        if answer.cut is not None:
            self.close_connection = True
