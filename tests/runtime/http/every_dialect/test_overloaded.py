"""A full queue, a deadline and a broken answer, as each dialect says them."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from runtime_under_test import AppUnderTest, app_under_test, settings, until

from embedding_model.resolved import Activation, Task
from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.core.jobs import Output, SparseVector, Tokens

Body = Mapping[str, Any]

EMBEDDING: Mapping[str, Body] = {
    "/openai/v1/embeddings": {"model": "words", "input": "hello"},
    "/cohere/v1/embed": {"model": "words", "texts": ["hello"], "input_type": "search_query"},
    "/cohere/v2/embed": {
        "model": "words",
        "texts": ["hello"],
        "input_type": "search_query",
        "embedding_types": ["float"],
    },
    "/jina/v1/embeddings": {"model": "words", "input": ["hello"]},
    "/tei/embed": {"inputs": "hello"},
    "/tei/embed_all": {"inputs": "hello"},
    "/tei/similarity": {"inputs": {"source_sentence": "hello", "sentences": ["hello"]}},
    "/v1/embeddings": {"model": "words", "input": "hello"},
    "/invocations": {"inputs": "hello"},
}
RERANKING: Mapping[str, Body] = {
    "/cohere/v1/rerank": {"model": "words", "query": "hello", "documents": ["hello"]},
    "/cohere/v2/rerank": {"model": "words", "query": "hello", "documents": ["hello"]},
    "/jina/v1/rerank": {"model": "words", "query": "hello", "documents": ["hello"]},
    "/tei/rerank": {"query": "hello", "texts": ["hello"]},
}


class Shut:
    def __init__(self) -> None:
        self.shut = threading.Event()
        self.go = threading.Event()

    def __call__(self, batch: Sequence[Tokens]) -> None:
        if self.shut.is_set():
            assert self.go.wait(30), "the test never let the worker go"


@pytest.mark.parametrize(
    ("path", "body", "serving"),
    [
        *((path, body, {}) for path, body in EMBEDDING.items()),
        *((path, body, {"task": Task.RERANKING, "activation": Activation.SIGMOID}) for path, body in RERANKING.items()),
    ],
    ids=[*EMBEDDING, *RERANKING],
)
async def test_a_full_queue_is_429_with_a_time_to_come_back_on_every_route(
    path: str, body: Body, serving: Mapping[str, Any]
) -> None:
    gate = Shut()
    backend = FakeBackend(before=gate, dimensions=1 if serving else 8)
    async with app_under_test(backend, serve=settings(max_queue_tokens=1), **serving) as runtime:
        fine = await runtime.client.post(path, json=body)
        backend.batches.clear()
        gate.shut.set()
        first = asyncio.create_task(runtime.client.post(path, json=body))
        await until(lambda: len(backend.batches) == 1)
        refused = await runtime.client.post(path, json=body)
        gate.go.set()
        answered = await first

    assert (fine.status_code, answered.status_code) == (200, 200), fine.text
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1


class Broken(FakeBackend):
    """Says NaN in every part of its answers."""

    def __init__(self, *, value: float, dimensions: int = 8) -> None:
        super().__init__(dimensions=dimensions)
        self.value = value
        self.enabled = False

    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        outputs = super().compute(batch)
        return [self._spoil(output) for output in outputs] if self.enabled else outputs

    def _spoil(self, output: Output) -> Output:
        for values in (output.dense, output.token_vectors):
            if values is not None:
                values.reshape(-1)[0] = self.value
        sparse = output.sparse
        if sparse is not None:
            values = sparse.values.copy()
            values[0] = self.value
            sparse = SparseVector(indices=sparse.indices, values=values)
        return Output(dense=output.dense, sparse=sparse, token_vectors=output.token_vectors)


TASKS: Sequence[tuple[str, Body, Mapping[str, Any], int]] = (
    *((path, body, {}, 8) for path, body in EMBEDDING.items()),
    *((path, body, {"task": Task.RERANKING, "activation": Activation.SIGMOID}, 1) for path, body in RERANKING.items()),
    ("/tei/predict", {"inputs": "hello"}, {"task": Task.CLASSIFICATION, "activation": Activation.SOFTMAX}, 3),
    ("/tei/embed_sparse", {"inputs": "hello"}, {"task": Task.SPARSE}, 8),
)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("path", "body", "serving", "width"), TASKS, ids=[path for path, *_ in TASKS])
async def test_nan_or_infinity_is_an_error_and_never_an_answer_on_every_route(
    path: str, body: Body, serving: Mapping[str, Any], width: int, value: float
) -> None:
    backend = Broken(value=value, dimensions=width)
    async with app_under_test(backend, **serving) as runtime:
        fine = await runtime.client.post(path, json=body)
        backend.enabled = True
        spoiled = await runtime.client.post(path, json=body)

    assert fine.status_code == 200, fine.text
    assert spoiled.status_code in {424, 500}
    assert "NaN" in spoiled.text


async def ask_late(runtime: AppUnderTest) -> int:
    return (await runtime.embed(input="late")).status_code


async def test_a_deadline_that_passes_is_503_and_what_waits_is_never_computed() -> None:
    gate = Shut()
    backend = FakeBackend(before=gate)
    async with app_under_test(backend, serve=settings(request_timeout_seconds=0.5)) as runtime:
        gate.shut.set()
        first = asyncio.create_task(ask_late(runtime))
        await until(lambda: len(backend.batches) == 1)
        statuses = await asyncio.gather(first, *(ask_late(runtime) for _ in range(9)))
        waiting = runtime.app.loaded.engine.queue.texts if runtime.app.loaded else -1
        gate.go.set()

    assert statuses == [503] * 10
    assert waiting == 0
    assert backend.batches == [[1]], "a text whose request was answered with 503 was computed"
