"""GET /openapi.json and GET /docs: the API's description, for programs and for people."""

from collections.abc import Callable, Mapping
from functools import cache

import orjson

from embedding_runtime.http.dialect import Call, Dialect, Handler, Methods, Route
from embedding_runtime.http.messages import Response
from embedding_runtime.http.openapi.docs_page import CONTENT_SECURITY_POLICY, write_page
from embedding_runtime.http.openapi.document import describe_api
from embedding_runtime.http.routing import Router

DESCRIPTION_PATH = "/openapi.json"
PAGE_PATH = "/docs"

HTML = "text/html; charset=utf-8"


def make_pages(router: Router, *, secured: bool) -> Dialect:
    """Each page is written once, when it is first asked for: neither the start nor other requests pay for it."""

    @cache
    def describe(names: tuple[str, ...]) -> Mapping[str, object]:
        return describe_api(router, names=names, secured=secured)

    @cache
    def write_description(names: tuple[str, ...]) -> Response:
        return Response(status=200, body=orjson.dumps(describe(names)))

    @cache
    def show_page(names: tuple[str, ...]) -> Response:
        headers = (
            (b"content-type", HTML.encode()),
            (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        )
        return Response(status=200, body=write_page(describe(names), names=names).encode(), headers=headers)

    routes: Mapping[str, Methods] = {
        DESCRIPTION_PATH: {"GET": Route(_answer(write_description), summary="The description of this API.")},
        PAGE_PATH: {"GET": Route(_answer(show_page), summary="The same, to read.")},
    }
    return Dialect(name="openapi", routes=routes, error_body=router.dialects[0].error_body)


def _answer(write: Callable[[tuple[str, ...]], Response]) -> Handler:
    async def answer(call: Call) -> Response:
        return write(tuple(call.loaded.model.names))

    return answer
