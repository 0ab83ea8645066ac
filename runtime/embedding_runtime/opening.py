"""From settings to a model that answers: load it, warm it up, start its workers."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from embedding_runtime.backends.workers import WorkerPool
from embedding_runtime.core.admission import Admission
from embedding_runtime.core.engine import Engine
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.queue import TokenQueue
from embedding_runtime.core.telemetry import Telemetry
from embedding_runtime.core.tokenizing import TokenizerThreads
from embedding_runtime.cpu import count_cpus
from embedding_runtime.http.dialect import Loaded
from embedding_runtime.loading import LoadedModel
from embedding_runtime.settings import ServeSettings

T = TypeVar("T")

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
    found = await _in_thread(lambda: load(settings), name="load")
    queue = TokenQueue(max_batch_tokens=found.max_batch_tokens)
    engine = Engine(
        tokenizer=TokenizerThreads(
            found.tokenizer,
            threads=count_cpus(),
            max_characters=settings.max_text_characters,
            side=found.model.serving.truncation_side,
        ),
        serving=found.model.serving,
        queue=queue,
        admission=Admission(max_queue_tokens=settings.max_queue_tokens, workers=found.workers),
        telemetry=telemetry,
        timeout_seconds=settings.request_timeout_seconds,
        max_inputs=settings.max_inputs,
    )
    pool = WorkerPool(backend=found.backend, queue=queue, count=found.workers, hang_seconds=settings.hang_seconds)
    largest = _largest_batch(found)
    await _in_thread(lambda: pool.start(outcome=engine, warm_up=largest), name="warm-up")
    backend = found.backend
    loaded = Loaded(model=found.model, engine=engine, device=backend.device, dtype=backend.dtype, path=backend.path)
    return Opened(loaded=loaded, pool=pool, seconds=found.seconds)


def _largest_batch(loaded: LoadedModel) -> Sequence[Tokens]:
    """As many texts of the maximum length as fit a batch: what memory must hold, before the first request comes."""
    [filler] = loaded.tokenizer.encode(["warm " * loaded.tokenizer.max_tokens])
    return [filler] * max(1, loaded.max_batch_tokens // len(filler.ids))


async def _in_thread(work: Callable[[], T], *, name: str) -> T:
    """Like asyncio.to_thread, in a daemon thread: a process told to stop does not wait for an import."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        try:
            outcome: tuple[T | None, BaseException | None] = (work(), None)
        except BaseException as error:
            outcome = (None, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future
