"""What the core reports while it works. http/metrics.py turns it into Prometheus metrics."""

from collections.abc import Sequence
from typing import Protocol

from embedding_runtime.core.measured import Measured


class Telemetry(Protocol):
    """Called on the event loop."""

    def batch_done(self, *, texts: int, tokens: int, padded: int, seconds: float) -> None:
        """One batch was computed: its texts, their tokens, the tokens with padding, and the time it took."""

    def job_done(self, measured: Measured, *, lengths: Sequence[int]) -> None:
        """One request was answered; `lengths` are the tokens of each of its inputs."""

    def job_dropped(self, *, uncomputed: int) -> None:
        """A request's client went away, or its deadline passed, before it was answered; so many of its texts were not
        computed."""

    def batch_split(self) -> None:
        """A batch did not fit into memory and is computed in halves."""

    def worker_replaced(self) -> None:
        """A worker raised and another took its place."""


class Silent:
    """No telemetry."""

    def batch_done(self, *, texts: int, tokens: int, padded: int, seconds: float) -> None:
        pass

    def job_done(self, measured: Measured, *, lengths: Sequence[int]) -> None:
        pass

    def job_dropped(self, *, uncomputed: int) -> None:
        pass

    def batch_split(self) -> None:
        pass

    def worker_replaced(self) -> None:
        pass
