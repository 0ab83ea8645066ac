"""Requests and responses as plain as ASGI allows: the framework's share of a short request counts."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from embedding_runtime.core.measured import Measured
from embedding_runtime.errors import InvalidRequest
from embedding_runtime.http.body_weight import MOST_CONTAINERS, MOST_VALUES, weigh

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"

# Lists and objects inside each other. No dialect has more than six; what is far deeper breaks whoever describes it.
MOST_LEVELS = 32

_PLAIN = ("", "identity")  # content-encoding of a body that is not compressed

T = TypeVar("T")


class ClientGone(Exception):
    """The connection closed before the answer: nobody is left to answer."""


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    space_suffix: str = ""  # how this answer differs from the served space, `;dims=256`
    model: str = ""  # the served name that was asked, for metrics
    measured: Measured | None = None  # of an answer that the model computed


@dataclass(frozen=True)
class Request:
    scope: Scope
    body: bytes = b""

    def header(self, name: bytes) -> str | None:
        return find_header(self.scope, name=name)

    def headers(self, name: bytes) -> Sequence[str]:
        """Every one of that name."""
        return list_headers(self.scope, name=name)

    def parse_json(self) -> dict[str, Any]:
        """The body as an object without its nulls: null means absent in every dialect. Raises InvalidRequest."""
        coding = self.header(b"content-encoding")
        if coding is not None and coding.lower() not in _PLAIN:
            # A few kilobytes of gzip may unpack to gigabytes, and the vendors' APIs take none.
            raise InvalidRequest("The body is compressed, as content-encoding says. Send it as it is.")
        weight = weigh(self.body)
        if weight.is_too_much:
            raise InvalidRequest(
                f"The body has more than {MOST_CONTAINERS} lists and objects, or {MOST_VALUES} values. Send fewer "
                "inputs in one request."
            )
        try:
            document = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise InvalidRequest(
                f"The body is not valid JSON in UTF-8: {error.msg} at line {error.lineno}, column {error.colno}."
            ) from None
        if not isinstance(document, dict):
            raise InvalidRequest("The body must be a JSON object.")
        if weight.containers > MOST_LEVELS and _is_deeper(document, levels=MOST_LEVELS):
            raise InvalidRequest(f"The body has lists and objects inside each other, more than {MOST_LEVELS} levels.")
        return {key: value for key, value in document.items() if value is not None}


def find_header(scope: Scope, *, name: bytes) -> str | None:
    """The first one."""
    return next(iter(list_headers(scope, name=name)), None)


def list_headers(scope: Scope, *, name: bytes) -> Sequence[str]:
    return [bytes(value).decode("latin-1").strip() for key, value in scope["headers"] if key == name]


def _is_deeper(value: Any, *, levels: int) -> bool:
    """Level by level, for a call for each level would itself be too deep."""
    containers = [value]
    for _ in range(levels):
        children = (found.values() if isinstance(found, dict) else found for found in containers)
        inner = [found for found in children if not _CONTAINERS.isdisjoint(map(type, found))]
        containers = [entry for found in inner for entry in found if type(entry) in _CONTAINERS]
        if not containers:
            return False
    return True


_CONTAINERS = frozenset((list, dict))


async def run_while_connected(work: Coroutine[Any, Any, T], *, receive: Receive) -> T:
    """What `work` returns. A client that hangs up cancels it; then ClientGone is raised. The body must be read."""
    working = asyncio.current_task()
    assert working is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        working.cancel()

    watcher = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if not gone:
            raise
        working.uncancel()
        raise ClientGone from None
    finally:
        watcher.cancel()


def json_response(
    document: Any, *, status: int = 200, space_suffix: str = "", model: str = "", measured: Measured | None = None
) -> Response:
    body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(status=status, body=body, space_suffix=space_suffix, model=model, measured=measured)
