"""GET /openapi.json and GET /docs: the API's description, for programs and for people."""

import asyncio
from collections.abc import Callable, Mapping

import orjson

from embedding_runtime.http.dialect import Call, Dialect, Methods, Route
from embedding_runtime.http.messages import Response
from embedding_runtime.http.openapi.docs_page import CONTENT_SECURITY_POLICY, write_page
from embedding_runtime.http.openapi.document import describe_api
from embedding_runtime.http.openapi.limits import find_limits
from embedding_runtime.http.routing import Router
from embedding_runtime.served_model import ServedModel

DESCRIPTION_PATH = "/openapi.json"
PAGE_PATH = "/docs"


class _Page:
    """A handler whose answer is written when it is first asked for: neither start nor other requests pay for it."""

    def __init__(self, write: Callable[[ServedModel], Response]) -> None:
        self._write = write
        self._response: Response | None = None

    async def __call__(self, call: Call) -> Response:
        if self._response is None:
            # Off the event loop: it takes longer than a short request.
            self._response = await asyncio.to_thread(self._write, call.loaded.model)
        return self._response


def make_pages(router: Router, *, secured: bool) -> Dialect:
    """`secured`: see `describe_api`."""

    def describe(model: ServedModel) -> Mapping[str, object]:
        return describe_api(router, limits=find_limits(model), secured=secured)

    def write_description(model: ServedModel) -> Response:
        return Response(status=200, body=orjson.dumps(describe(model)))

    def show_page(model: ServedModel) -> Response:
        headers = (
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        )
        page = write_page(describe(model), names=tuple(model.names), task=model.serving.task)
        return Response(status=200, body=page.encode(), headers=headers)

    routes: Mapping[str, Methods] = {
        DESCRIPTION_PATH: {"GET": Route(_Page(write_description), summary="The description of this API.")},
        PAGE_PATH: {"GET": Route(_Page(show_page), summary="The same, to read.")},
    }
    return Dialect(name="openapi", routes=routes, error_body=router.dialects[0].error_body)
