"""Who may wait: admission by tokens, decided once, when a request arrives.

A request is admitted whole or refused whole, and its own size does not matter: while fewer tokens than the limit are
under way anybody is admitted. Otherwise small requests would fill every gap and a large one would never get in. What
one request may hold is bounded elsewhere, by its body and its number of texts. The estimate made on arrival is
corrected once the texts are tokenised; that never refuses anybody afterwards. What may not be refused, golden cases, is
counted all the same.
"""

import math
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from embedding_runtime.core.inputs import Input
from embedding_runtime.errors import Overloaded

# English text has about four bytes a token; the estimate only has to be of the right size until it is corrected.
BYTES_PER_TOKEN = 4
SPECIAL_TOKENS = 2

MAX_RETRY_AFTER_SECONDS = 30
UNMEASURED_TOKENS_PER_SECOND = 2000.0  # of one worker until the first batch is done; a CPU core with a small model
SMOOTHING = 0.2


def estimate_tokens(inputs: Sequence[Input], *, max_input_tokens: int) -> int:
    return sum(min(item.tokenized_characters // BYTES_PER_TOKEN + SPECIAL_TOKENS, max_input_tokens) for item in inputs)


class Admission:
    """Counts tokens admitted and not yet answered. Used on the event loop only."""

    def __init__(self, *, max_queue_tokens: int, workers: int = 1) -> None:
        self._limit = max_queue_tokens
        self._workers = workers
        self._rate = UNMEASURED_TOKENS_PER_SECOND
        self.tokens = 0

    def admit(self, tokens: int, *, always: bool = False) -> "Ticket":
        """A ticket to hold while the request is under way. Raises Overloaded with a time to wait, unless `always`."""
        if not always and self.tokens >= self._limit:
            # Until as many tokens are done as this request brings: everybody who is refused now comes back for them.
            wait = math.ceil((self.tokens + tokens - self._limit) / self.tokens_per_second)
            retry_after = max(1, min(wait, MAX_RETRY_AFTER_SECONDS))
            raise Overloaded(
                f"The queue is full: {self.tokens} tokens wait, {self._limit} may. Retry in {retry_after} s, "
                "send fewer requests at once, or add replicas.",
                retry_after=retry_after,
            )
        return Ticket(self, tokens=tokens)

    @property
    def tokens_per_second(self) -> float:
        """What all workers compute together."""
        return self._rate * self._workers

    def measure(self, *, tokens: int, seconds: float) -> None:
        """A batch of `tokens` took `seconds` on one worker; keeps the rate that Retry-After is computed from."""
        if seconds > 0:
            self._rate += SMOOTHING * (tokens / seconds - self._rate)


class Ticket:
    """Admitted tokens of one request; a context manager that gives them back."""

    def __init__(self, admission: Admission, *, tokens: int) -> None:
        self._admission = admission
        self._tokens = tokens
        admission.tokens += tokens

    def correct(self, tokens: int) -> None:
        """Replace the estimate by the real count."""
        self._admission.tokens += tokens - self._tokens
        self._tokens = tokens

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.tokens -= self._tokens
        self._tokens = 0
