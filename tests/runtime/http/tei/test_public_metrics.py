"""TEI's /metrics on the public port: only where serve is told to."""

import httpx
import pytest
from runtime_under_test import AppUnderTest, app_under_test, settings

from embedding_model.goldens.cases import CaseSet
from embedding_runtime.http.app import App
from embedding_runtime.http.routing import DIALECTS, Router
from embedding_runtime.http.tei.metrics import publish_metrics
from embedding_runtime.serve import Process


def app_with_metrics(runtime: AppUnderTest) -> App:
    app = App(
        lifecycle=runtime.lifecycle,
        metrics=runtime.metrics,
        max_body_bytes=1000,
        max_buffered_bytes=1000,
        router=Router(publish_metrics(DIALECTS, metrics=runtime.metrics)),
    )
    app.loaded = runtime.app.loaded
    return app


async def test_without_it_the_path_is_unknown() -> None:
    async with app_under_test() as runtime:
        answers = [await runtime.client.get(path) for path in ("/metrics", "/tei/metrics")]
    assert [answer.status_code for answer in answers] == [404, 404]


@pytest.mark.parametrize("path", ["/metrics", "/tei/metrics"])
async def test_with_it_they_are_those_of_the_private_port(path: str) -> None:
    async with app_under_test() as runtime:
        await runtime.embed(input="hello")
        transport = httpx.ASGITransport(app=app_with_metrics(runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://runtime") as client:
            answer = await client.get(path)
            described = (await client.get("/openapi.json")).json()
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "embedding_texts_total 1.0" in answer.text
    content = described["paths"][path]["get"]["responses"]["200"]["content"]
    assert set(content) == {"text/plain"}


@pytest.mark.parametrize("told", [True, False])
async def test_serve_has_them_where_it_is_told_to(told: bool) -> None:
    process = Process(settings(public_metrics=told), cases=CaseSet(cases=()))
    assert ("/metrics" in process._app.router.places) is told
