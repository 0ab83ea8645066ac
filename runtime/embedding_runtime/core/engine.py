"""The path of a request through the core: admit, tokenise, queue, wait."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from embedding_runtime.core.admission import Admission, estimate_tokens
from embedding_runtime.core.failures import DeviceBroken, OutOfMemory
from embedding_runtime.core.inputs import Encoded, Input
from embedding_runtime.core.jobs import Item, Job, Output, Tokens
from embedding_runtime.core.measured import Measured
from embedding_runtime.core.queue import TokenQueue
from embedding_runtime.core.telemetry import Telemetry
from embedding_runtime.core.tokenizing import TokenizerThreads
from embedding_runtime.errors import (
    DeadlineExceeded,
    DeviceFailed,
    InferenceFailed,
    InvalidRequest,
    MemoryExhausted,
    NotReady,
    RequestError,
)

# A large request's texts take their turns at this share of what all workers compute: the rest is for others.
TURN_SHARE = 0.25

RETRY_AFTER_SECONDS = 5  # after what another replica, or this one once it was restarted, may answer


@dataclass(frozen=True)
class Computed:
    """`outputs` and `tokens`: one per input, in their order."""

    outputs: Sequence[Output]
    tokens: Sequence[Tokens]
    measured: Measured


class Engine:
    """One model's core. Lives on one event loop; workers hand their batches back through `computed` and `failed`.

    `count_computed`: the backend's own.
    """

    def __init__(
        self,
        *,
        tokenizer: TokenizerThreads,
        queue: TokenQueue,
        admission: Admission,
        telemetry: Telemetry,
        timeout_seconds: float,
        max_inputs: int,
        count_computed: Callable[[Sequence[int]], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.queue = queue
        self.admission = admission
        self._tokenizer = tokenizer
        self._telemetry = telemetry
        self._timeout = timeout_seconds
        self._clock = clock
        self._count_computed = count_computed
        self._max_inputs = max_inputs
        self._loop = asyncio.get_running_loop()
        self._jobs: set[Job] = set()
        self._ending = ""  # why nothing is answered any more

    async def compute(
        self,
        inputs: Sequence[Input],
        *,
        ahead: bool = False,
        truncate: bool = True,
        most_tokens: int | None = None,
    ) -> Computed:
        """What the model says of each input. Without `truncate` one that is too long is refused: InvalidRequest.
        `most_tokens`, of all inputs together, is for answers that grow with every token; beyond it: InvalidRequest.

        `ahead`, for golden cases: before everybody who waits, never refused for a full queue and without a deadline,
        for how busy a pod is says nothing about its answers. Cancelling it frees what has not been computed yet. Raises
        RequestError.
        """
        self._require_few(inputs)
        self._require_going_on()
        estimate = estimate_tokens(inputs, max_input_tokens=self._tokenizer.max_tokens)
        job: Job | None = None
        with self.admission.admit(estimate, always=ahead) as ticket:
            try:
                async with asyncio.timeout(None if ahead else self._timeout):
                    started = self._clock()
                    tokens = await self._tokenizer.encode(inputs)
                    if not truncate:
                        self._require_whole(tokens)
                    lengths = [len(text.ids) for text in tokens]
                    total = sum(lengths)
                    if most_tokens is not None:
                        _require_few_tokens(total, most=most_tokens)
                    ticket.correct(total)
                    queued = self._clock()
                    job = Job.create(tokens, loop=self._loop)
                    outputs = await self._compute(job, ahead=ahead)
            except TimeoutError:
                self._telemetry.job_dropped(uncomputed=job.discarded if job else len(inputs))
                raise DeadlineExceeded(
                    f"The request waited longer than {self._timeout:g} s. Send fewer requests at once or add replicas.",
                    retry_after=1,
                ) from None
            except asyncio.CancelledError:
                self._telemetry.job_dropped(uncomputed=job.discarded if job else len(inputs))
                raise
        done = self._clock()
        began = done if job.began is None else job.began
        measured = Measured(
            inputs=len(inputs),
            characters=sum(item.characters for item in inputs),
            tokens=total,
            truncated=sum(text.truncated for text in tokens),
            tokenize_seconds=queued - started,
            queue_seconds=began - queued,
            inference_seconds=done - began,
            encoded=sum(isinstance(item, Encoded) for item in inputs),
        )
        self._telemetry.job_done(measured, lengths=lengths)
        return Computed(outputs=outputs, tokens=tokens, measured=measured)

    def give_up(self, reason: str) -> int:
        """Answer every request that is under way, and every one that still comes, with NotReady; how many wait now.

        `reason` is a sentence for the client.
        """
        self._ending = reason
        for job in list(self._jobs):
            job.fail(NotReady(reason, retry_after=1))
        return len(self._jobs)

    def _require_few(self, inputs: Sequence[Input]) -> None:
        if len(inputs) > self._max_inputs:
            raise InvalidRequest(
                f"At most {self._max_inputs} inputs in one request, {len(inputs)} came. Send them in several requests.",
                param="input",
            )

    def _require_going_on(self) -> None:
        if self._ending:
            raise NotReady(self._ending, retry_after=1)

    def close(self) -> None:
        self._tokenizer.close()

    def _require_whole(self, tokens: Sequence[Tokens]) -> None:
        cut = next((index for index, text in enumerate(tokens) if text.truncated), None)
        if cut is not None:
            raise InvalidRequest(
                f"Input {cut} is longer than the {self._tokenizer.max_tokens} tokens that the model takes, or than the "
                "request itself allows, and the request forbids to cut it: send a shorter one, or allow truncation.",
                param="input",
            )

    async def _compute(self, job: Job, *, ahead: bool) -> list[Output]:
        self._require_going_on()
        pace = TURN_SHARE * self.admission.tokens_per_second
        self.queue.put(job.items, ahead=ahead, seconds_per_token=1 / pace)
        self._jobs.add(job)
        try:
            return await job.future
        finally:
            self._jobs.discard(job)
            job.abandoned = True  # what of it comes back from a failed batch is not computed any more
            if job.remaining:
                job.discarded = self.queue.discard(job.items)

    # Called from worker threads (backends.workers.Outcome): one hop to the event loop per batch.

    def computed(self, items: Sequence[Item], *, outputs: Sequence[Output], seconds: float) -> None:
        self._hand_over(lambda: self._deliver(items, outputs, seconds))

    def failed(self, items: Sequence[Item], *, error: Exception) -> None:
        self._hand_over(lambda: self._fail(items, error))

    def split(self) -> None:
        self._hand_over(self._telemetry.batch_split)

    def replaced(self) -> None:
        self._hand_over(self._telemetry.worker_replaced)

    def _hand_over(self, deliver: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: a batch outlived the process's drain
            self._loop.call_soon_threadsafe(deliver)

    def _deliver(self, items: Sequence[Item], outputs: Sequence[Output], seconds: float) -> None:
        began = self._clock() - seconds
        for item, output in zip(items, outputs, strict=True):
            item.job.accept(item, output=output, began=began)
        tokens = sum(item.length for item in items)
        padded = self._count_computed([item.length for item in items])
        self.admission.measure(tokens=tokens, seconds=seconds)
        self._telemetry.batch_done(texts=len(items), tokens=tokens, padded=padded, seconds=seconds)

    def _fail(self, items: Sequence[Item], error: Exception) -> None:
        for job in {item.job for item in items}:
            failure = _describe(error)
            failure.__cause__ = error
            job.fail(failure)


def _require_few_tokens(total: int, *, most: int) -> None:
    if total > most:
        raise InvalidRequest(
            f"The inputs have {total} tokens together; at most {most} are answered token by token in one request. Send "
            "fewer or shorter ones in several requests.",
            param="input",
        )


def _describe(error: Exception) -> RequestError:
    """What the client is told; the server's log has the error itself."""
    if isinstance(error, OutOfMemory):
        return MemoryExhausted(
            "One input alone takes more memory than the device has free. Send shorter inputs, or serve the model with "
            "more memory.",
            retry_after=RETRY_AFTER_SECONDS,
        )
    if isinstance(error, DeviceBroken):
        return DeviceFailed(
            "The server's device has failed and computes nothing until the server is restarted. Ask another replica, "
            "or retry later.",
            retry_after=RETRY_AFTER_SECONDS,
        )
    return InferenceFailed(
        f"The model could not compute this request ({type(error).__name__}); the server's log has the details."
    )
