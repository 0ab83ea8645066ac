"""What a scrape says: our own names, those of TEI, and how both follow from requests."""

import asyncio
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from runtime_under_test import AppUnderTest, app_under_test, settings, until

from embedding_model.ports import CaseResult
from embedding_model.resolved import Task
from embedding_runtime import errors
from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.queue import TokenQueue
from embedding_runtime.errors import RequestError
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.http.tei_metrics import FAILURES

OPERATIONS = Path(__file__).resolve().parents[3] / "docs" / "operations.md"

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(metrics: Metrics) -> Samples:
    """Every sample, by name and labels, as Prometheus reads them."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


async def test_requests_are_counted_by_dialect_route_status_and_served_name() -> None:
    async with app_under_test() as runtime:
        await runtime.embed(input="hello")
        await runtime.client.post("/tei/embed", json={"inputs": ["a", "b"]})
        await runtime.client.post("/tei/embed/", json={"inputs": 7})
        found = scrape(runtime.metrics)

    name = "embedding_requests_total"
    assert value(found, name, dialect="openai", route="/v1/embeddings", status="200", model="words") == 1
    assert value(found, name, dialect="tei", route="/tei/embed", status="200", model="") == 1
    assert value(found, name, dialect="tei", route="/tei/embed", status="422", model="") == 1
    assert value(found, "embedding_request_duration_seconds_count", dialect="tei", route="/tei/embed") == 2


async def test_no_label_is_a_clients_own_word() -> None:
    async with app_under_test() as runtime:
        for path in ("/secretword", "/v1/embeddings/secretword", "/v1/models/secretword", "/embed////"):
            await runtime.client.get(path)
            await runtime.client.post(path, json={"model": "secretword", "input": "secretword", "inputs": "a"})
        await runtime.embed(model="secretword", input="secretword")
        text = runtime.metrics.render().decode()

    assert "secretword" not in text
    assert "/embed//" not in text


async def test_the_share_of_padding_follows_from_two_counters() -> None:
    async with app_under_test(max_batch_tokens=1024) as runtime:
        await runtime.embed(input=["one", "one two three four"])
        found = scrape(runtime.metrics)

    assert value(found, "embedding_computed_tokens_total") == 8
    assert value(found, "embedding_padding_tokens_total") == 3
    assert value(found, "embedding_tokens_total") == 5


async def test_what_is_cut_is_counted() -> None:
    async with app_under_test() as runtime:
        await runtime.embed(input=["word " * 600, "short"])
        assert value(scrape(runtime.metrics), "embedding_truncated_texts_total") == 1


class Shut:
    """A backend that waits until it is let go."""

    def __init__(self) -> None:
        self.shut = threading.Event()
        self.go = threading.Event()

    def __call__(self, batch: Sequence[Tokens]) -> None:
        if self.shut.is_set():
            assert self.go.wait(30), "the test never let the worker go"


async def test_a_client_that_hangs_up_costs_no_compute_and_both_are_counted() -> None:
    gate = Shut()
    backend = FakeBackend(before=gate)
    async with app_under_test(backend) as runtime:
        gate.shut.set()
        first = asyncio.create_task(runtime.embed(input="first"))
        await until(lambda: len(backend.batches) == 1)
        leaving = asyncio.create_task(runtime.embed(input=["leaving soon"] * 50))
        await until(lambda: queue_of(runtime).texts == 50)
        waiting = scrape_core(runtime)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await until(lambda: queue_of(runtime).texts == 0)
        gate.go.set()
        await first
        found = scrape(runtime.metrics)

    assert value(waiting, "embedding_queue_texts") == value(waiting, "te_queue_size") == 50
    assert value(waiting, "embedding_queue_tokens") == 100
    assert (
        value(
            waiting,
            "embedding_queue_oldest_age_seconds",
        )
        >= 0
    )
    assert value(waiting, "embedding_admitted_tokens") == 101
    assert value(found, "embedding_dropped_requests_total") == 1
    assert value(found, "embedding_dropped_texts_total") == 50
    assert backend.batches == [[1]]


def queue_of(runtime: AppUnderTest) -> TokenQueue:
    return runtime.app.loaded.engine.queue


def scrape_core(runtime: AppUnderTest) -> Samples:
    """With the gauges that the process adds once its model is loaded."""
    engine = runtime.app.loaded.engine
    runtime.metrics.observe_core(queue=engine.queue, admission=engine.admission)
    return scrape(runtime.metrics)


async def test_tei_names_stand_beside_ours_exactly_as_teis_exporter_writes_them() -> None:
    async with app_under_test() as runtime:
        await runtime.client.post("/embed", json={"inputs": "one two"})
        await runtime.embed(input=["one", "one two three"])
        await runtime.client.post("/embed", json={"inputs": 7})
        await runtime.client.post("/rerank", json={"query": "a", "texts": ["b"]})
        lines = runtime.metrics.render().decode().splitlines()

    for line in (
        "# TYPE te_request_count counter",
        'te_request_count{method="single"} 3',
        'te_request_count{method="batch"} 1',
        'te_request_success{method="single"} 1',
        'te_request_success{method="batch"} 1',
        'te_request_failure{err="validation"} 1',
        'te_request_failure{err="model_type"} 1',
        "te_embed_success 3",
        "te_predict_success 0",
        "# TYPE te_request_duration histogram",
        "te_request_duration_count 2",
        "te_embed_duration_count 3",
        "te_embed_queue_duration_count 3",
        'te_request_input_length_bucket{le="1.0"} 1',
        'te_request_input_length_bucket{le="2.0"} 2',
        'te_request_input_length_bucket{le="4.0"} 3',
        "te_request_input_length_sum 6.0",
        "# TYPE te_queue_size gauge",
        "te_queue_size 0",
    ):
        assert line in lines
    assert not any(line.startswith("te_") and "_total" in line.split("{")[0] for line in lines)


async def test_a_reranker_counts_under_teis_name_for_predictions() -> None:
    metrics = Metrics()
    metrics.describe_model(space="s", revision="r", device="cpu", dtype="float32", path="x", task=Task.RERANKING)
    metrics.request_done(
        dialect="tei", route="/rerank", status=500, model="", seconds=1, measured=None, failure=errors.InferenceFailed
    )
    lines = metrics.render().decode().splitlines()
    assert {"te_predict_count 1", "te_embed_count 0", 'te_request_failure{err="inference"} 1'} <= set(lines)


def test_every_way_to_fail_has_teis_word_or_none() -> None:
    def kinds(kind: type[RequestError]) -> set[type[RequestError]]:
        return {kind}.union(*(kinds(below) for below in kind.__subclasses__()))

    words = {"overloaded", "batch_size", "validation", "tokenization", "inference", "model_type", "dropped", None}
    for kind in kinds(RequestError) - {RequestError}:
        assert next(FAILURES[named] for named in kind.__mro__ if named in FAILURES) in words


async def test_what_is_refused_for_a_full_queue_is_counted_as_tei_counts_it() -> None:
    gate = Shut()
    backend = FakeBackend(before=gate)
    async with app_under_test(backend, serve=settings(max_queue_tokens=3)) as runtime:
        gate.shut.set()
        first = asyncio.create_task(runtime.embed(input="three words here"))
        await until(lambda: len(backend.batches) == 1)
        refused = await runtime.embed(input="more")
        gate.go.set()
        await first
        lines = runtime.metrics.render().decode().splitlines()

    assert refused.status_code == 429
    assert 'te_request_failure{err="overloaded"} 1' in lines


def names_in_docs() -> set[str]:
    return set(re.findall(r"^\| `((?:embedding|te)_[a-z_]+)`", OPERATIONS.read_text(), re.MULTILINE))


@pytest.fixture
async def exposed() -> set[str]:
    async with app_under_test() as runtime:
        scrape_core(runtime)
        text = runtime.metrics.render().decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    return {name for name in kinds if not name.endswith("_created")}


async def test_the_table_of_metrics_in_the_docs_is_complete_and_names_no_other(exposed: set[str]) -> None:
    of_process = {"embedding_ready", "embedding_verdict"}  # the process adds them
    assert names_in_docs() == exposed | of_process


def test_a_check_that_the_last_run_has_no_result_of_is_not_told() -> None:
    def result(name: str, *, passed: bool) -> CaseResult:
        return CaseResult(name=f"check.{name}", kind="check", passed=passed)

    metrics, name = Metrics(), "embedding_golden_case_passed"
    metrics.self_check_done([result("run", passed=False)], passed=False, seconds=1)
    assert value(scrape(metrics), name, case="check.run", kind="check") == 0
    metrics.self_check_done([result("finite", passed=True)], passed=True, seconds=1)
    assert value(scrape(metrics), name, case="check.run", kind="check") is None
    assert value(scrape(metrics), name, case="check.finite", kind="check") == 1
