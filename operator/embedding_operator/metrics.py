"""Prometheus metrics of the operator process, on a port of their own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client import start_http_server as start_metrics_server

from embedding_operator.kube.client import CallRecord
from embedding_operator.workqueue import QueueState

PREFIX = "embedding_operator"


class Metrics:
    """One registry per process, so that tests can have several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._reconciles = Histogram(
            f"{PREFIX}_reconcile_seconds",
            "Time of one reconcile, by outcome (Done, Wait, Stalled, or the class of an error).",
            ["outcome"],
            registry=self.registry,
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
        )
        self._calls = Histogram(
            f"{PREFIX}_kubernetes_request_seconds",
            "Time of one call to the API server, by verb, kind and status code (0: no answer).",
            ["verb", "kind", "status"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 10),
        )
        self._resolutions = Counter(
            f"{PREFIX}_resolutions",
            "Questions to the hub, by result (Resolved, Refused, Retrying).",
            ["result"],
            registry=self.registry,
        )
        self._polls = Counter(
            f"{PREFIX}_branch_polls",
            "Questions where a tracked branch stands, by result (Moved, Unchanged, Refused, Unavailable, Error).",
            ["result"],
            registry=self.registry,
        )
        self._audits = Histogram(
            f"{PREFIX}_audit_seconds",
            "Time of one audit of a pod, by result (Passed, Failed, Unreachable, Unsupported).",
            ["result"],
            registry=self.registry,
            buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
        )
        self._quarantined = Counter(
            f"{PREFIX}_quarantined_pods",
            "Pods deleted because their answers were wrong, and those of others right.",
            registry=self.registry,
        )
        self._leader = Gauge(f"{PREFIX}_leader", "1 while this replica holds the Lease.", registry=self.registry)
        self._waiting = Gauge(f"{PREFIX}_queue_waiting", "Keys that wait for a worker.", registry=self.registry)
        self._delayed = Gauge(f"{PREFIX}_queue_delayed", "Keys that come back later.", registry=self.registry)
        self._oldest = Gauge(
            f"{PREFIX}_queue_oldest_seconds", "How long the first key in the queue has waited.", registry=self.registry
        )

    def record_reconcile(self, outcome: str, seconds: float) -> None:
        self._reconciles.labels(outcome=outcome).observe(seconds)

    def record_call(self, call: CallRecord) -> None:
        self._calls.labels(verb=call.verb, kind=call.kind, status=str(call.status)).observe(call.seconds)

    def record_resolution(self, result: str) -> None:
        self._resolutions.labels(result=result).inc()

    def record_poll(self, result: str) -> None:
        self._polls.labels(result=result).inc()

    def record_audit(self, result: str, seconds: float) -> None:
        self._audits.labels(result=result).observe(seconds)

    def record_quarantine(self) -> None:
        self._quarantined.inc()

    def record_queue(self, state: QueueState) -> None:
        self._waiting.set(state.waiting)
        self._delayed.set(state.delayed)
        self._oldest.set(state.oldest_seconds)

    def record_leader(self, leading: bool) -> None:
        self._leader.set(1 if leading else 0)

    def serve(self, port: int) -> None:
        """Serve /metrics on every address of the pod from a thread of its own; OSError when the port is taken."""
        start_metrics_server(port, registry=self.registry)
