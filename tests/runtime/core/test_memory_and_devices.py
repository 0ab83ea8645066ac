"""Batches that do not fit into memory, and devices that break."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from runtime_under_test import WordTokenizer, app_under_test, embed_texts, loader, opened_model, settings, until

from embedding_model.refusal import Unavailable
from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.backends.torch_backend import TorchBackend
from embedding_runtime.backends.torch_failures import recognise
from embedding_runtime.core.failures import DeviceBroken, OutOfMemory
from embedding_runtime.core.jobs import Item, Job, Output, Tokens
from embedding_runtime.core.queue import SMALLER_BATCHES_SECONDS, TokenQueue
from embedding_runtime.core.telemetry import Silent
from embedding_runtime.errors import DeviceFailed
from embedding_runtime.opening import open_model
from embedding_runtime.settings import Dtype

ILLEGAL_ACCESS = (
    "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported"
)


@dataclass
class SmallMemory:
    """Takes so many tokens, padding counted; `shut` holds the first batch back until it is set."""

    tokens: int
    refused: int = 0
    enabled: bool = False
    go: threading.Event = field(default_factory=threading.Event)

    def __call__(self, batch: Sequence[Tokens]) -> None:
        if not self.enabled:
            return
        assert self.go.wait(30), "the test never let the worker go"
        if max(len(tokens.ids) for tokens in batch) * len(batch) > self.tokens:
            self.refused += 1
            raise OutOfMemory("a batch of this size was asked for and did not fit")


class Counted(Silent):
    def __init__(self) -> None:
        self.splits = self.replaced = 0

    def batch_split(self) -> None:
        self.splits += 1

    def worker_replaced(self) -> None:
        self.replaced += 1


async def test_a_batch_that_does_not_fit_is_computed_in_halves_by_the_same_worker() -> None:
    memory, telemetry = SmallMemory(tokens=16), Counted()
    backend = FakeBackend(before=memory)
    async with opened_model(backend, telemetry=telemetry, max_batch_tokens=64) as opened:
        memory.enabled = True
        memory.go.set()
        together = await embed_texts(opened, [f"text {index}" for index in range(32)])
        alone = await embed_texts(opened, ["text 7"])
        trouble = opened.pool.explain_trouble()

    np.testing.assert_array_equal(together.vectors[7], alone.vectors[0])
    assert (telemetry.splits, telemetry.replaced, trouble) == (3, 0, "")
    assert backend.batches[:3] == [[2] * 32, [2] * 16, [2] * 8]


async def test_a_text_that_does_not_fit_alone_fails_its_own_request_only() -> None:
    memory = SmallMemory(tokens=16)
    async with app_under_test(FakeBackend(before=memory), max_batch_tokens=256) as runtime:
        memory.enabled = True
        first = asyncio.create_task(runtime.embed(input="first"))
        large = asyncio.create_task(runtime.embed(input="large " * 17))
        others = [asyncio.create_task(runtime.embed(input=f"other {index}")) for index in range(10)]
        memory.go.set()
        answers = await asyncio.gather(first, *others)
        failed = await large
        live = await runtime.embed(input="still here")

    assert [answer.status_code for answer in answers] == [200] * 11
    assert live.status_code == 200
    assert failed.status_code == 503
    assert failed.json()["error"]["code"] == "memory_exhausted"
    assert "shorter inputs" in failed.json()["error"]["message"]
    assert int(failed.headers["retry-after"]) >= 1


async def test_half_of_a_split_batch_that_nobody_waits_for_any_more_is_not_computed() -> None:
    memory = SmallMemory(tokens=16)
    backend = FakeBackend(before=memory)
    async with opened_model(backend, max_batch_tokens=64) as opened:
        memory.enabled = True
        leaving = asyncio.create_task(embed_texts(opened, ["two words"] * 16))
        await until(lambda: len(backend.batches) == 1)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        memory.go.set()
        await embed_texts(opened, ["staying"])

    assert backend.batches == [[2] * 16, [1]]


def test_batches_stay_small_for_a_while_and_then_grow_again() -> None:
    now = 1000.0
    queue = TokenQueue(max_batch_tokens=100, clock=lambda: now)
    loop = asyncio.new_event_loop()
    try:
        queue.put(items_of([10] * 30, loop=loop))
    finally:
        loop.close()
    assert len(queue.take()) == 10
    queue.shrink_batches(50)
    assert len(queue.take()) == 5
    queue.shrink_batches(80)
    assert len(queue.take()) == 5, "what did not fit at 50 does not fit at 80"
    now += SMALLER_BATCHES_SECONDS
    assert len(queue.take()) == 10


def items_of(lengths: Sequence[int], *, loop: asyncio.AbstractEventLoop) -> list[Item]:
    return Job.create([Tokens(ids=[0] * length) for length in lengths], loop=loop).items


class Warm(FakeBackend):
    """A device that runs out of memory above a number of texts, from the first batch on."""

    device = "cuda"

    def __init__(self, *, texts: int) -> None:
        super().__init__()
        self.texts = texts

    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        outputs = super().compute(batch)
        if len(batch) > self.texts:
            raise OutOfMemory("tried to allocate 20.00 MiB")
        return outputs


async def test_a_device_too_small_for_the_largest_batch_still_starts_with_smaller_ones() -> None:
    backend = Warm(texts=2)
    load = loader(backend, max_batch_tokens=64, tokenizer=WordTokenizer(max_tokens=8))
    opened = await open_model(settings(), load=load, telemetry=Silent())
    assert backend.batches == [[8] * 8, [8] * 4, [8] * 2]
    assert opened.loaded.engine.queue.batch_tokens == 16
    opened.close()


async def test_a_device_too_small_for_one_text_is_said_so_at_the_start() -> None:
    load = loader(Warm(texts=0), max_batch_tokens=64, tokenizer=WordTokenizer(max_tokens=8))
    with pytest.raises(Unavailable, match="Not one text of 8 tokens fits into the memory of cuda"):
        await open_model(settings(), load=load, telemetry=Silent())


class Breaking(FakeBackend):
    """Computes until it breaks."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = threading.Event()
        self.calls_since = 0

    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        if self.broken.is_set():
            self.calls_since += 1
            raise DeviceBroken("CUDA error: an illegal memory access was encountered")
        return super().compute(batch)


async def test_a_device_that_says_it_is_broken_is_never_asked_again() -> None:
    device = Breaking()
    async with opened_model(device) as opened:
        await embed_texts(opened, ["fine"])
        device.broken.set()
        for _ in range(20):
            with pytest.raises(DeviceFailed) as failed:
                await embed_texts(opened, ["not any more"])
        trouble = opened.pool.explain_trouble()
        engine = opened.loaded.engine
        assert engine.admission.tokens == engine.queue.tokens == 0

    assert trouble == "the device is broken: CUDA error: an illegal memory access was encountered"
    assert failed.value.retry_after is not None
    assert device.calls_since == 1


async def test_every_route_tells_clients_of_a_broken_device_to_ask_elsewhere_and_health_is_red() -> None:
    device = Breaking()
    async with app_under_test(device) as runtime:
        healthy = await runtime.client.get("/health")
        device.broken.set()
        openai = await runtime.embed(input="hello")
        tei = await runtime.client.post("/embed", json={"inputs": "hello"})
        health = await runtime.client.get("/health")

    assert healthy.status_code == 200
    assert [openai.status_code, tei.status_code, health.status_code] == [503, 503, 503]
    assert openai.json()["error"]["code"] == "device_failed"
    assert "another replica" in openai.json()["error"]["message"]
    assert tei.json()["error_type"] == "Unhealthy"
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in (openai, tei, health))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), OutOfMemory),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."), OutOfMemory),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), OutOfMemory),
        (torch.AcceleratorError("CUDA error: out of memory"), OutOfMemory),
        (RuntimeError(ILLEGAL_ACCESS), DeviceBroken),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), DeviceBroken),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx(...)`"), DeviceBroken),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), DeviceBroken),
        (RuntimeError("CUDA error: invalid configuration argument"), type(None)),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx(...)`"), type(None)),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), type(None)),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value)[:40],
)
def test_what_torch_says_is_told_apart(error: RuntimeError | MemoryError, kind: type[object]) -> None:
    assert type(recognise(error)) is kind


class Computing:
    """A model that does what it is told."""

    name = "told"

    def __init__(self, work: object) -> None:
        self.work = work

    def compute(self, batch: Sequence[Tokens]) -> Sequence[Output]:
        if isinstance(self.work, Exception):
            raise self.work
        torch.empty(1 << 50)
        raise AssertionError("a petabyte was allocated")


def backend_of(work: object) -> TorchBackend:
    return TorchBackend(Computing(work), device=torch.device("cpu"), dtype=Dtype.FLOAT32, vocabulary_size=None)


def test_memory_that_torch_really_does_not_get_is_recognised() -> None:
    with pytest.raises(OutOfMemory, match="can't allocate memory") as failed:
        backend_of(None).compute([])
    assert failed.value.__cause__ is failed.value.__context__ is None, "it would keep the batch's tensors"


def test_a_simulated_cuda_error_is_a_broken_device_and_an_ordinary_one_stays_as_it_is() -> None:
    with pytest.raises(DeviceBroken, match=r"^CUDA error: an illegal memory access was encountered$"):
        backend_of(RuntimeError(ILLEGAL_ACCESS)).compute([])
    with pytest.raises(RuntimeError, match="size of tensor") as ordinary:
        backend_of(RuntimeError("The size of tensor a must match")).compute([])
    assert type(ordinary.value) is RuntimeError
