"""Prometheus metrics of one process, in a registry of its own. Times in seconds, sizes in tokens.

docs/operations.md lists them; a test compares the two.
"""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from embedding_model.ports import CaseResult
from embedding_model.resolved import Task
from embedding_runtime.core.admission import Admission
from embedding_runtime.core.measured import Measured
from embedding_runtime.core.queue import TokenQueue
from embedding_runtime.errors import RequestError
from embedding_runtime.http.tei_metrics import TeiMetrics
from embedding_runtime.memory import LoadMemory

SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TOKENS = (16, 64, 256, 512, 1024, 2048, 4096, 8192, 16384)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """Also the core's telemetry. Only used on the event loop."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._tei = TeiMetrics()
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "embedding_requests", "Requests answered.", ["dialect", "route", "status", "model"], registry=registry
        )
        self._request_seconds = Histogram(
            "embedding_request_duration_seconds",
            "From the request's head to its response.",
            ["dialect", "route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._gone = Counter(
            "embedding_client_disconnects", "Clients that hung up before the answer.", ["dialect"], registry=registry
        )
        self._texts = Counter("embedding_texts", "Texts embedded.", registry=registry)
        self._tokens = Counter("embedding_tokens", "Tokens embedded, without padding.", registry=registry)
        self._encoded = Counter(
            "embedding_token_id_inputs", "Inputs that came as token ids in place of text.", registry=registry
        )
        self._truncated = Counter(
            "embedding_truncated_texts", "Texts cut to the model's maximum length.", registry=registry
        )
        self._tokenize_seconds = Histogram(
            "embedding_tokenize_duration_seconds", "Tokenising one request.", buckets=SECONDS, registry=registry
        )
        self._queue_seconds = Histogram(
            "embedding_queue_duration_seconds",
            "How long one request waited for a worker.",
            buckets=SECONDS,
            registry=registry,
        )
        self._inference_seconds = Histogram(
            "embedding_inference_duration_seconds",
            "From a request's first batch to its last output.",
            buckets=SECONDS,
            registry=registry,
        )
        self._batch_seconds = Histogram(
            "embedding_batch_duration_seconds", "Computing one batch.", buckets=SECONDS, registry=registry
        )
        self._batch_texts = Histogram("embedding_batch_texts", "Texts of a batch.", buckets=TEXTS, registry=registry)
        self._batch_tokens = Histogram(
            "embedding_batch_tokens", "Tokens of a batch, without padding.", buckets=TOKENS, registry=registry
        )
        self._computed = Counter("embedding_computed_tokens", "Tokens of batches, with padding.", registry=registry)
        self._padding = Counter("embedding_padding_tokens", "Tokens of batches that are padding.", registry=registry)
        self._dropped = Counter(
            "embedding_dropped_requests", "Requests given up: client gone or deadline passed.", registry=registry
        )
        self._uncomputed = Counter(
            "embedding_dropped_texts", "Texts of requests given up that were not computed.", registry=registry
        )
        self._splits = Counter(
            "embedding_batch_splits", "Batches that did not fit into memory and were halved.", registry=registry
        )
        self._replaced = Counter(
            "embedding_worker_replacements", "Workers that failed and were replaced.", registry=registry
        )
        self._golden = Gauge(
            "embedding_golden_case_passed", "1: the golden case passed.", ["case", "kind"], registry=registry
        )
        self._checks = Counter(
            "embedding_self_checks", "Runs of golden cases and built-in checks.", ["result"], registry=registry
        )
        self._check_seconds = Histogram(
            "embedding_self_check_duration_seconds",
            "One run of golden cases and built-in checks.",
            buckets=SECONDS,
            registry=registry,
        )
        self._check_passed = Gauge(
            "embedding_self_check_passed", "1: the last run of golden cases and checks passed.", registry=registry
        )
        self._info = Gauge(
            "embedding_model_info",
            "What is served; always 1.",
            ["space", "revision", "device", "dtype", "path"],
            registry=registry,
        )
        self._memory = Gauge(
            "embedding_load_memory_bytes",
            "Memory of the process, and of its GPU: the most until the model was loaded, and what it then was.",
            ["place", "when"],
            registry=registry,
        )

    def observe(self, name: str, *, help_text: str, value: Callable[[], float]) -> None:
        """A gauge that is read when it is scraped."""
        Gauge(name, help_text, registry=self._registry).set_function(value)

    def render(self) -> bytes:
        return generate_latest(self._registry) + self._tei.render()

    def describe_model(
        self, *, space: str, revision: str, device: str, dtype: str, path: str, task: Task = Task.EMBEDDING
    ) -> None:
        self._info.labels(space, revision, device, dtype, path).set(1)
        self._tei.predicts = task in (Task.RERANKING, Task.CLASSIFICATION)

    def observe_core(self, *, queue: TokenQueue, admission: Admission) -> None:
        """Gauges of what waits and how fast it goes."""
        self._tei.queue_size = lambda: queue.texts
        self.observe("embedding_queue_tokens", help_text="Tokens that wait for a worker.", value=lambda: queue.tokens)
        self.observe("embedding_queue_texts", help_text="Texts that wait for a worker.", value=lambda: queue.texts)
        self.observe(
            "embedding_queue_oldest_age_seconds",
            help_text="How long the oldest text has waited.",
            value=queue.oldest_age,
        )
        self.observe(
            "embedding_admitted_tokens",
            help_text="Tokens admitted and not yet answered.",
            value=lambda: admission.tokens,
        )
        self.observe(
            "embedding_batch_budget_tokens",
            help_text="Most tokens of a batch now: less than set for a while after a batch did not fit into memory.",
            value=lambda: queue.batch_tokens,
        )
        self.observe(
            "embedding_tokens_per_second",
            help_text="What the workers compute together while they are busy, as Retry-After reckons.",
            value=lambda: admission.tokens_per_second,
        )

    def describe_memory(self, memory: LoadMemory) -> None:
        self._memory.labels("process", "peak").set(memory.peak)
        self._memory.labels("process", "loaded").set(memory.resident)
        if memory.device_peak is not None and memory.device_resident is not None:
            self._memory.labels("gpu", "peak").set(memory.device_peak)
            self._memory.labels("gpu", "loaded").set(memory.device_resident)

    def self_check_done(self, results: Iterable[CaseResult], *, passed: bool, seconds: float) -> None:
        """One run of golden cases and built-in checks."""
        self._golden.clear()  # of a check that this run has no result of, the last one would stand for ever
        for result in results:
            self._golden.labels(result.name, result.kind).set(result.passed)
        self._checks.labels("passed" if passed else "failed").inc()
        self._check_seconds.observe(seconds)
        self._check_passed.set(passed)

    def self_check_given_up(self) -> None:
        """One run that says nothing, because the pod could not be asked."""
        self._checks.labels("unasked").inc()

    def request_done(
        self,
        *,
        dialect: str,
        route: str,
        status: int,
        model: str,
        seconds: float,
        measured: Measured | None,
        failure: type[RequestError] | None = None,
    ) -> None:
        """`route` is the path, empty where there is none of it; `model` a served name, or empty.

        `measured`: of an answer that the model computed. `failure`: what the request was refused with.
        """
        self._requests.labels(dialect, route, str(status), model).inc()
        self._request_seconds.labels(dialect, route).observe(seconds)
        if measured is not None:
            self._tei.request_succeeded(measured, seconds=seconds)
        elif failure is not None:
            self._tei.request_failed(failure)

    def client_gone(self, *, dialect: str) -> None:
        self._gone.labels(dialect).inc()
        self._tei.request_dropped()

    def batch_done(self, *, texts: int, tokens: int, padded: int, seconds: float) -> None:
        self._batch_seconds.observe(seconds)
        self._batch_texts.observe(texts)
        self._batch_tokens.observe(tokens)
        self._computed.inc(padded)
        self._padding.inc(padded - tokens)
        self._tei.batch_done(texts=texts, tokens=tokens)

    def job_done(self, measured: Measured, *, lengths: Sequence[int]) -> None:
        self._texts.inc(measured.inputs)
        self._tokens.inc(measured.tokens)
        self._truncated.inc(measured.truncated)
        self._encoded.inc(measured.encoded)
        self._tokenize_seconds.observe(measured.tokenize_seconds)
        self._queue_seconds.observe(measured.queue_seconds)
        self._inference_seconds.observe(measured.inference_seconds)
        self._tei.texts_tokenized(lengths)

    def job_dropped(self, *, uncomputed: int) -> None:
        self._dropped.inc()
        self._uncomputed.inc(uncomputed)

    def batch_split(self) -> None:
        self._splits.inc()

    def worker_replaced(self) -> None:
        self._replaced.inc()
