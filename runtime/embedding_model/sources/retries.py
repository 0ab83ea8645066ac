"""When a failed request to a hub is tried again, and after how long."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tenacity import RetryCallState, Retrying, retry_if_exception_type, sleep_using_event

from embedding_model.refusal import Unavailable


@dataclass(frozen=True)
class RetryPolicy:
    """`attempts` in a row that bring nothing before giving up; waits are in seconds.

    A hub's own Retry-After is obeyed up to `longest_hint`; without one the wait doubles from `first_wait` up to
    `longest_wait`, each shortened by up to half at random so that replicas started together spread out.
    """

    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_hint: float = 300.0  # the hub's rate limits count in windows of five minutes
    sleep: Callable[[float], None] | None = None  # None: real time, ended early when the download is given up

    def wait(self, failures: int, *, error: BaseException | None) -> float:
        """Seconds to wait after the `failures`-th failure in a row (1 is the first)."""
        if isinstance(error, Unavailable) and error.retry_after is not None:
            return min(error.retry_after, self.longest_hint)
        return min(self.longest_wait, self.first_wait * 2.0 ** (failures - 1)) * random.uniform(0.5, 1.0)  # noqa: S311


class Failures:
    """Failures in a row without progress; an attempt that brought new bytes starts the count anew."""

    def __init__(self) -> None:
        self.in_a_row = 0
        self._progressed = False

    def progressed(self) -> None:
        self._progressed = True

    def add(self) -> None:
        self.in_a_row = 1 if self._progressed else self.in_a_row + 1
        self._progressed = False


def retrying(policy: RetryPolicy, *, failures: Failures, stopped: threading.Event) -> Retrying:
    """Retries Unavailable by the policy; the last error is raised as it is, every other exception at once.

    `stopped` ends a wait early when the policy brings no sleep of its own.
    """

    def count(state: RetryCallState) -> None:
        failures.add()

    def stop(state: RetryCallState) -> bool:
        return stopped.is_set() or failures.in_a_row >= policy.attempts

    def wait(state: RetryCallState) -> float:
        return policy.wait(failures.in_a_row, error=state.outcome.exception() if state.outcome else None)

    return Retrying(
        retry=retry_if_exception_type(Unavailable),
        after=count,
        stop=stop,
        wait=wait,
        sleep=policy.sleep or sleep_using_event(stopped),
        reraise=True,
    )
