"""TEI's GET /metrics on the public port, where serve is told to have it there."""

from collections.abc import Sequence
from dataclasses import replace

from embedding_runtime.http.dialect import Call, Dialect, Route
from embedding_runtime.http.messages import Response
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.http.tei.routes import TEI

PATH = "/metrics"


def publish_metrics(dialects: Sequence[Dialect], *, metrics: Metrics) -> Sequence[Dialect]:
    """The dialects, TEI's with a path that needs no key, as there: Prometheus asks it."""

    async def show(call: Call) -> Response:
        kind = (b"content-type", metrics.content_type.encode())
        return Response(status=200, body=metrics.render(), headers=(kind,))

    route = Route(show, summary="Metrics in Prometheus' text format.", reply=str, open=True, media_type="text/plain")
    return [
        replace(dialect, routes={**dialect.routes, PATH: {"GET": route}}) if dialect is TEI else dialect
        for dialect in dialects
    ]
