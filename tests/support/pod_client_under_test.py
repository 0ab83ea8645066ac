"""A pod client over HTTP whose pods are one answer of the test's, at whatever address it asks: over a local socket."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web
from fixed_tokens import FixedTokens

from embedding_operator.audit.client import PodClient


@dataclass(frozen=True)
class Asked:
    """What came to the pod."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes


@asynccontextmanager
async def client_of(
    answer: Callable[[Asked], web.Response], *, tokens: FixedTokens | None = None
) -> AsyncIterator[PodClient]:
    async def respond(request: web.BaseRequest) -> web.Response:
        return answer(await read(request))

    async with client_served_by(respond, tokens=tokens) as client:
        yield client


@asynccontextmanager
async def client_served_by(
    respond: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], *, tokens: FixedTokens | None = None
) -> AsyncIterator[PodClient]:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "pod"))
        protocol = web.Server(respond, access_log=None)
        server = await asyncio.get_running_loop().create_unix_server(protocol, path)
        client = PodClient(tokens=tokens or FixedTokens(), connector=aiohttp.UnixConnector(path))
        try:
            yield client
        finally:
            await client.close()
            server.close()
            await protocol.shutdown(1.0)


async def read(request: web.BaseRequest) -> Asked:
    url = f"http://{request.headers['Host']}{request.path_qs}"
    return Asked(request.method, url, dict(request.headers), await request.read())
