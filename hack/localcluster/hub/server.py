"""The hub's HTTP API as an ASGI application, and a way to run it inside a process.

Paths are split before they are decoded, because the hub takes a revision as one segment (`refs%2Fpr%2F1`).

    GET  /api/models/{repo}                                 model info of main
    GET  /api/models/{repo}/revision/{revision}[?blobs=true, expand=KEY]
    GET  /api/models/{repo}/tree/{revision}[/{folder}][?recursive, expand, limit, cursor]
    POST /api/models/{repo}/paths-info/{revision}
    GET  /api/models/{repo}/refs
    GET  /api/whoami-v2
    GET, HEAD /{repo}/resolve/{revision}/{path}             content, or 302 to the LFS path
    GET  /-/health                                          the server's process id
    GET, HEAD /lfs/{repo}/{commit}/{sha256}/{path}?signature=...
"""

import asyncio
import hashlib
import hmac
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote

import uvicorn
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from localcluster.hub import answers, listings
from localcluster.hub.certificates import Certificates
from localcluster.hub.content import Body, close_connection, send_body, stall
from localcluster.hub.repository import Entry, Repository
from localcluster.hub.state import Fault, FaultKind, Gate, Span
from localcluster.hub.store import Store

HEALTH = "/-/health"
_PAGE = 1000  # entries of a tree page, as the hub has it


@dataclass(frozen=True)
class File:
    """A file to be served rather than a JSON answer."""

    body: Body
    headers: dict[str, str]


class HubApp:
    """The ASGI application. `cdn_url`, when given, is the origin that large files are redirected to."""

    def __init__(self, store: Store, *, cdn_url: str | None = None) -> None:
        self._store = store
        self._cdn_url = (cdn_url or "").rstrip("/")
        self._key = store.state.signing_key()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        path = unquote(request.scope["raw_path"].decode("ascii"))
        fault = None if path == HEALTH else await asyncio.to_thread(self._store.state.take_fault, path, span=None)
        if fault is not None and fault.kind is FaultKind.HANG:
            await stall(receive=receive)
            return
        if fault is not None and fault.kind is FaultKind.DOWN:
            await close_connection(receive=receive, send=send)
            return
        try:
            if fault is not None:
                raise _status_error(fault.kind, retry_after=fault.value)
            paths = tuple(await _form_paths(request)) if request.method == "POST" else ()
            answer = await asyncio.to_thread(self._answer, request, paths=paths)
        except answers.HubError as error:
            answer = error.response()
        if isinstance(answer, Response) and answer.status_code == 200:
            answer = _tagged(answer, wanted=request.headers.get("if-none-match"))
        if isinstance(answer, Response) and answer.status_code != 200:
            await answer(scope, receive, send)
            return
        file = _as_file(answer) if isinstance(answer, Response) else answer
        await self._send_file(file, path=path, request=request, receive=receive, send=send)

    async def _send_file(self, file: File, *, path: str, request: Request, receive: Receive, send: Send) -> None:
        async def take_fault(span: Span) -> Fault | None:
            return None if path == HEALTH else await asyncio.to_thread(self._store.state.take_fault, path, span=span)

        await send_body(
            file.body,
            headers=file.headers,
            range_header=request.headers.get("range"),
            head=request.method == "HEAD",
            take_fault=take_fault,
            receive=receive,
            send=send,
        )

    def _answer(self, request: Request, *, paths: tuple[str, ...]) -> Response | File:
        raw = request.scope["raw_path"].decode("ascii")
        segments = [unquote(segment) for segment in raw.lstrip("/").split("/")]
        reader = Reader.of(request.headers, tokens=self._store.state.read().tokens)
        match request.method, segments:
            case "GET", ["-", "health"]:
                return PlainTextResponse(str(os.getpid()))
            case "GET", ["api", "whoami-v2"]:
                return _whoami(reader)
            case "GET", ["api", "models", org, name]:
                return self._model(f"{org}/{name}", revision="main", request=request, reader=reader)
            case "GET", ["api", "models", org, name, "revision", revision]:
                return self._model(f"{org}/{name}", revision=revision, request=request, reader=reader)
            case "GET", ["api", "models", org, name, "refs"]:
                pull_requests = request.query_params.get("include_prs") == "1"
                repository, _ = self._open(f"{org}/{name}", reader=reader)
                return JSONResponse(listings.refs(repository, pull_requests=pull_requests))
            case "GET", ["api", "models", org, name, "tree", revision, *folder]:
                return self._tree(f"{org}/{name}", revision, "/".join(folder), request=request, reader=reader)
            case "POST", ["api", "models", org, name, "paths-info", revision]:
                return self._paths_info(f"{org}/{name}", revision, paths=paths, reader=reader)
            case "GET" | "HEAD", [org, name, "resolve", revision, *path]:
                return self._resolve(f"{org}/{name}", revision, "/".join(path), reader=reader)
            case "GET" | "HEAD", ["lfs", org, name, commit, sha256, *_]:
                return self._large(f"{org}/{name}", commit, sha256, raw=raw, request=request)
        raise answers.no_route()

    def _model(self, repo: str, *, revision: str, request: Request, reader: "Reader") -> Response:
        repository, gate = self._open(repo, reader=reader)
        commit = _commit(repository, revision)
        blobs = request.query_params.get("blobs", "").lower() in ("true", "1")
        info = listings.model_info(repository, repo=repo, commit=commit, gate=gate, blobs=blobs)
        expand = [*request.query_params.getlist("expand"), *request.query_params.getlist("expand[]")]
        return JSONResponse({key: info[key] for key in ("_id", "id", *expand) if key in info} if expand else info)

    def _tree(self, repo: str, revision: str, folder: str, *, request: Request, reader: "Reader") -> Response:
        repository, _ = self._open(repo, reader=reader)
        commit = _commit(repository, revision)
        query = dict(request.query_params)
        recursive, expand = (query.get(key, "").lower() in ("true", "1") for key in ("recursive", "expand"))
        entries = listings.below(repository.entries(commit), folder=folder.strip("/"), recursive=recursive)
        if folder and not entries:
            raise answers.entry_not_found(commit)
        start, limit = int(query.get("cursor", "0")), min(int(query.get("limit", _PAGE)), _PAGE)
        page = listings.tree(entries[start : start + limit], last_commit=repository.commit(commit) if expand else None)
        headers = {"X-Repo-Commit": commit}
        if start + limit < len(entries):
            headers["Link"] = listings.next_link(str(request.url.replace(query="")), query=query, cursor=start + limit)
        return JSONResponse(page, headers=headers)

    def _paths_info(self, repo: str, revision: str, *, paths: tuple[str, ...], reader: "Reader") -> Response:
        repository, _ = self._open(repo, reader=reader)
        entries = [entry for entry in repository.entries(_commit(repository, revision)) if entry.path in paths]
        return JSONResponse(listings.tree(entries, last_commit=None))

    def _resolve(self, repo: str, revision: str, path: str, *, reader: "Reader") -> Response | File:
        repository, gate = self._open(repo, reader=reader)
        commit = _commit(repository, revision)
        if gate.gated and reader.token not in gate.allowed:
            raise answers.gated(repo, authenticated=reader.token is not None)
        entry = _file(repository, commit, path)
        headers = _file_headers(entry, commit=commit)
        if entry.large is None:
            return File(Body(repository.blob(entry.oid), entry.size), headers)
        where = f"/lfs/{repo}/{commit}/{entry.large.sha256}/{quote(path)}"
        location = f"{self._cdn_url}{where}?signature={self._sign(where)}"
        return Response(status_code=302, headers={**headers, "Location": location})

    def _large(self, repo: str, commit: str, sha256: str, *, raw: str, request: Request) -> Response | File:
        """Open to whoever has the signed URL, as on the hub's CDN."""
        repository = self._store.find(repo)
        signature = request.query_params.get("signature", "")
        if repository is None or not hmac.compare_digest(signature, self._sign(raw)):
            raise answers.HubError(403, "Access denied: the signature is missing or wrong")
        entry = next(
            (entry for entry in repository.entries(commit) if entry.large and entry.large.sha256 == sha256), None
        )
        if entry is None:
            raise answers.entry_not_found(commit)
        return File(Body(repository.large_file(sha256), entry.size), _file_headers(entry, commit=commit))

    def _open(self, repo: str, *, reader: "Reader") -> tuple[Repository, Gate]:
        if reader.presented and reader.token is None:
            raise answers.invalid_token()
        repository = self._store.find(repo)
        gate = self._store.state.read().gate(repo)
        if repository is None or (gate.private and reader.token is None):
            raise answers.repo_not_found(authenticated=reader.token is not None)
        return repository, gate

    def _sign(self, path: str) -> str:
        return hmac.new(self._key, path.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Reader:
    """Who asks: whether an Authorization header came, and its token when it is one of ours."""

    presented: bool
    token: str | None

    @classmethod
    def of(cls, headers: Headers, *, tokens: tuple[str, ...]) -> "Reader":
        given = headers.get("authorization", "")
        token = given.removeprefix("Bearer ")
        return cls(presented=bool(given), token=token if token in tokens else None)


def create_app(store: Store, *, cdn_url: str | None = None) -> HubApp:
    """An ASGI application; it must be called by uvicorn, whose connections the faults cut."""
    return HubApp(store, cdn_url=cdn_url)


@contextmanager
def running(
    store: Store,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    cdn_url: str | None = None,
    certificates: Certificates | None = None,
) -> Iterator[str]:
    """Serve the store from a thread of this process; gives the endpoint's URL."""
    server = make_server(create_app(store, cdn_url=cdn_url), host=host, port=port, certificates=certificates)
    listener = server.config.bind_socket()
    listener.listen()  # from here on a request waits for the thread instead of being refused
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="hub", daemon=True)
    thread.start()
    try:
        yield f"{'http' if certificates is None else 'https'}://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join()
        listener.close()


def make_server(
    app: HubApp, *, host: str, port: int, log_level: str = "warning", certificates: Certificates | None = None
) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level=log_level,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=60,
        ssl_certfile=certificates.chain if certificates else None,
        ssl_keyfile=certificates.key if certificates else None,
    )
    return uvicorn.Server(config)


def _tagged(response: Response, *, wanted: str | None) -> Response:
    """The answer with the weak ETag that the hub's API gives, or 304 when the reader has it already."""
    tag = f'W/"{hashlib.sha256(bytes(response.body)).hexdigest()[:32]}"'
    if wanted == tag:
        return Response(status_code=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return response


def _as_file(response: Response) -> File:
    """A JSON answer, sent as files are, so that faults of the body reach it too."""
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    body = bytes(response.body)
    return File(Body(body, len(body)), headers)


def _commit(repository: Repository, revision: str) -> str:
    commit = repository.resolve(revision)
    if commit is None:
        raise answers.revision_not_found(revision)
    return commit


def _file(repository: Repository, commit: str, path: str) -> Entry:
    for entry in repository.entries(commit):
        if entry.path == path and not entry.directory:
            return entry
    raise answers.entry_not_found(commit)


def _file_headers(entry: Entry, *, commit: str) -> dict[str, str]:
    name = entry.path.rpartition("/")[2]
    headers = {
        "X-Repo-Commit": commit,
        "ETag": f'"{entry.large.sha256 if entry.large else entry.oid}"',
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(name)}",
    }
    if entry.large is not None:
        headers |= {"X-Linked-Etag": f'"{entry.large.sha256}"', "X-Linked-Size": str(entry.large.size)}
    return headers


def _whoami(reader: Reader) -> Response:
    if reader.token is None:
        raise answers.invalid_token() if reader.presented else answers.HubError(401, "Invalid username or password.")
    token = {"displayName": "local", "role": "read"}
    return JSONResponse(
        {
            "type": "user",
            "id": "local",
            "name": "local",
            "fullname": "Local user",
            "orgs": [],
            "auth": {"accessToken": token},
        }
    )


def _status_error(kind: FaultKind, *, retry_after: int | None) -> answers.HubError:
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    if kind is FaultKind.TOO_MANY_REQUESTS:
        return answers.HubError(429, "We had to rate limit you", headers=headers)
    return answers.HubError(503, "Service temporarily unavailable", headers=headers)


async def _form_paths(request: Request) -> list[str]:
    """The `paths` of a POST: JSON, or the form that huggingface_hub sends."""
    if request.headers.get("content-type", "").startswith("application/json"):
        return [str(path) for path in (await request.json()).get("paths", [])]
    return parse_qs((await request.body()).decode()).get("paths", [])
