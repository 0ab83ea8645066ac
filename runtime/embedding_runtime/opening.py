"""From settings to a model that answers: load it, warm it up, start its workers."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from embedding_model.refusal import Unavailable
from embedding_model.resolved import Task
from embedding_runtime.backends.workers import WorkerPool
from embedding_runtime.core.admission import Admission
from embedding_runtime.core.engine import Engine
from embedding_runtime.core.failures import OutOfMemory
from embedding_runtime.core.inputs import Pair, Text
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.queue import TokenQueue
from embedding_runtime.core.telemetry import Telemetry
from embedding_runtime.core.tokenizing import TokenizerThreads
from embedding_runtime.cpu import count_cpus
from embedding_runtime.http.dialect import Limits, Loaded
from embedding_runtime.loading import LoadedModel
from embedding_runtime.settings import ServeSettings, TokenIds
from embedding_runtime.waiting import in_daemon_thread

Load = Callable[[ServeSettings], LoadedModel]


@dataclass(frozen=True)
class Opened:
    """`seconds` names how long each step of loading took."""

    loaded: Loaded
    pool: WorkerPool
    seconds: dict[str, float]

    def close(self) -> None:
        self.pool.stop()
        self.loaded.engine.close()


async def open_model(settings: ServeSettings, *, load: Load, telemetry: Telemetry) -> Opened:
    """Raises Refusal and Unavailable, and whatever the first forward pass raises."""
    found = await in_daemon_thread(lambda: load(settings), name="load")
    queue = TokenQueue(max_batch_tokens=found.max_batch_tokens)
    limits = Limits(
        inputs=settings.max_inputs,
        queue_tokens=settings.max_queue_tokens,
        batch_tokens=found.max_batch_tokens,
        tokenize_threads=count_cpus(),
    )
    tokenizer = TokenizerThreads(
        found.tokenizer,
        threads=limits.tokenize_threads,
        max_characters=settings.max_text_characters,
        vocabulary_size=found.backend.vocabulary_size,
        side=found.model.serving.truncation_side,
    )
    engine = Engine(
        tokenizer=tokenizer,
        queue=queue,
        admission=Admission(max_queue_tokens=settings.max_queue_tokens, workers=found.workers),
        telemetry=telemetry,
        timeout_seconds=settings.request_timeout_seconds,
        max_inputs=settings.max_inputs,
        count_computed=found.backend.count_computed,
    )
    pool = WorkerPool(
        backend=found.backend,
        queue=queue,
        count=found.workers,
        hang_seconds=settings.hang_seconds,
        max_batch_tokens=found.max_batch_tokens,
    )
    largest = _largest_batch(found)
    try:
        await in_daemon_thread(lambda: pool.start(outcome=engine, warm_up=largest), name="warm-up")
    except OutOfMemory as error:
        raise Unavailable(
            f"Not one text of {len(largest[0].ids)} tokens fits into the memory of {found.backend.device}: {error}. "
            "Serve with more memory, a smaller maximum length, or half precision."
        ) from error
    backend = found.backend
    loaded = Loaded(
        model=found.model,
        engine=engine,
        tokenizer=tokenizer,
        limits=limits,
        device=backend.device,
        dtype=backend.dtype,
        path=backend.path,
        since=int(time.time()),
        takes_token_ids=settings.token_ids is TokenIds.ACCEPT,
        memory=found.memory,
        trouble=pool.explain_trouble,
    )
    return Opened(loaded=loaded, pool=pool, seconds=found.seconds)


def _largest_batch(loaded: LoadedModel) -> Sequence[Tokens]:
    """As many inputs of the maximum length as fit a batch: what memory must hold, before the first request comes.

    On a CPU an input is no longer than a batch: 32768 tokens of a model of 600 million parameters are some 160 tera
    operations, half an hour of one core, and the pod would never be ready.
    """
    longest = loaded.tokenizer.max_tokens
    if loaded.backend.device == "cpu":
        longest = min(longest, loaded.max_batch_tokens)
    words = "warm " * longest
    scores = loaded.model.serving.task is Task.RERANKING
    [filler] = loaded.tokenizer.encode([Pair("warm", words) if scores else Text(words)])
    types = None if filler.type_ids is None else filler.type_ids[:longest]
    filler = replace(filler, ids=filler.ids[:longest], type_ids=types)
    return [filler] * max(1, loaded.max_batch_tokens // len(filler.ids))
