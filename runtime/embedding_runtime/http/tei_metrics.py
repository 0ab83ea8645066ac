"""The metrics of text-embeddings-inference (TEI), for dashboards and autoscalers that were made for it.

Names, labels and buckets are those of its 1.9: router/src/prometheus.rs, router/src/http/server.rs, core/src/infer.rs,
core/src/queue.rs, core/src/tokenization.rs. Its exporter writes a counter under its bare name; the Prometheus client
for Python can only append `_total`, so these are written here, in the text format 0.0.4.

`te_request_*` count requests, `te_embed_*` and `te_predict_*` their texts and pairs. A request that failed before its
inputs were known counts as one of a single input.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from embedding_runtime import errors
from embedding_runtime.core.measured import Measured
from embedding_runtime.errors import RequestError

DURATIONS = tuple(0.00001 * 1.5**power for power in range(1, 36))
INPUT_LENGTHS = tuple(float(2**power) for power in range(20))
BATCH_SIZES = tuple(float(2**power) for power in range(13))
BATCH_TOKENS = tuple(float(2**power) for power in range(21))

# Values of `err`. None: TEI counts no such request at all.
FAILURES: Mapping[type[RequestError], str | None] = {
    errors.InvalidRequest: "validation",
    errors.Unauthorized: None,
    errors.UnknownModel: "validation",
    errors.WrongTask: "model_type",
    errors.UnknownRoute: None,
    errors.MethodNotAllowed: None,
    errors.MalformedRequest: None,
    errors.HeadTimeout: None,
    errors.HeadTooLarge: None,
    errors.BodyTimeout: "validation",
    errors.BodyTooLarge: "validation",
    errors.SpaceMismatch: "validation",
    errors.Overloaded: "overloaded",
    errors.NotReady: None,
    errors.DeviceFailed: "inference",
    errors.DeadlineExceeded: "dropped",
    errors.TokenizerFailed: "tokenization",
    errors.UnknownToken: "tokenization",
    errors.MissingEndToken: "tokenization",
    errors.InferenceFailed: "inference",
}


class Histogram:
    """Like the client's, but one call may count a value many times: a request of 2048 texts costs no more than one."""

    def __init__(self, name: str, *, buckets: Sequence[float]) -> None:
        self.name = name
        self._buckets = buckets
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0

    def observe(self, value: float, *, times: int = 1) -> None:
        self._counts[bisect_left(self._buckets, value)] += times
        self._sum += value * times

    def render(self) -> Iterator[str]:
        yield f"# TYPE {self.name} histogram"
        total = 0
        for bound, count in zip((*self._buckets, math.inf), self._counts, strict=True):
            total += count
            edge = "+Inf" if bound == math.inf else repr(bound)
            yield f'{self.name}_bucket{{le="{edge}"}} {total}'
        yield f"{self.name}_sum {self._sum!r}"
        yield f"{self.name}_count {total}"


class TeiMetrics:
    """Used on the event loop only. `predicts`: the model scores or labels, which TEI counts apart from embedding."""

    def __init__(self) -> None:
        self.predicts = False
        self.queue_size: Callable[[], int] = lambda: 0
        self._requests = Counter[str]()
        self._succeeded = Counter[str]()
        self._failed = Counter[str]()
        self._texts = Counter[str]()
        self._texts_succeeded = Counter[str]()
        self._request_times = _times("te_request")
        self._text_times = {task: _times(f"te_{task}") for task in ("embed", "predict")}
        self._lengths = Histogram("te_request_input_length", buckets=INPUT_LENGTHS)
        self._batch_size = Histogram("te_batch_next_size", buckets=BATCH_SIZES)
        self._batch_tokens = Histogram("te_batch_next_tokens", buckets=BATCH_TOKENS)

    def request_succeeded(self, measured: Measured, *, seconds: float) -> None:
        method = "single" if measured.inputs == 1 else "batch"
        self._requests[method] += 1
        self._succeeded[method] += 1
        task = self._task
        self._texts[task] += measured.inputs
        self._texts_succeeded[task] += measured.inputs
        values = (seconds, measured.tokenize_seconds, measured.queue_seconds, measured.inference_seconds)
        for histogram, value in zip(self._request_times, values, strict=True):
            histogram.observe(value)
        for histogram, value in zip(self._text_times[task], values, strict=True):
            histogram.observe(value, times=measured.inputs)

    def request_failed(self, kind: type[RequestError]) -> None:
        failure = next(FAILURES[named] for named in kind.__mro__ if named in FAILURES)
        if failure is None:
            return
        self._requests["single"] += 1
        self._texts[self._task] += 1
        self._failed[failure] += 1

    def request_dropped(self) -> None:
        self.request_failed(errors.DeadlineExceeded)

    def texts_tokenized(self, lengths: Iterable[int]) -> None:
        for length, times in Counter(lengths).items():
            self._lengths.observe(length, times=times)

    def batch_done(self, *, texts: int, tokens: int) -> None:
        self._batch_size.observe(texts)
        self._batch_tokens.observe(tokens)

    def render(self) -> bytes:
        lines = [
            *_counter("te_request_count", self._requests, label="method"),
            *_counter("te_request_success", self._succeeded, label="method"),
            *_counter("te_request_failure", self._failed, label="err"),
        ]
        for task, times in self._text_times.items():
            lines += _bare_counter(f"te_{task}_count", self._texts[task])
            lines += _bare_counter(f"te_{task}_success", self._texts_succeeded[task])
            for histogram in times:
                lines += histogram.render()
        for histogram in (*self._request_times, self._lengths, self._batch_size, self._batch_tokens):
            lines += histogram.render()
        lines += ["# TYPE te_queue_size gauge", f"te_queue_size {self.queue_size()}", ""]
        return "\n".join(lines).encode()

    @property
    def _task(self) -> str:
        return "predict" if self.predicts else "embed"


def _times(prefix: str) -> tuple[Histogram, ...]:
    """Of the whole, tokenising, the queue, and computing."""
    names = ("duration", "tokenization_duration", "queue_duration", "inference_duration")
    return tuple(Histogram(f"{prefix}_{name}", buckets=DURATIONS) for name in names)


def _counter(name: str, values: Mapping[str, int], *, label: str) -> Iterator[str]:
    """Label values are this module's own words: none needs to be escaped."""
    yield f"# TYPE {name} counter"
    for value, count in sorted(values.items()):
        yield f'{name}{{{label}="{value}"}} {count}'


def _bare_counter(name: str, count: int) -> Iterator[str]:
    yield f"# TYPE {name} counter"
    yield f"{name} {count}"
