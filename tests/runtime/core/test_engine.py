"""Requests through the core: order, batches, failures, clients that leave."""

import asyncio
import math
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from runtime_under_test import DIMENSIONS, PROMPTS, WordTokenizer, embed_texts, opened_model, settings, until

from embedding_runtime.backends.fake import FakeBackend, vector_of
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import Output, Tokens
from embedding_runtime.core.telemetry import Silent
from embedding_runtime.errors import DeadlineExceeded, InferenceFailed, InvalidRequest, NonFiniteOutput


def expected(text: str) -> np.ndarray:
    [tokens] = WordTokenizer().encode([Text(text)])
    vector = vector_of(tokens.ids, dimensions=DIMENSIONS)
    return vector / np.linalg.norm(vector)


class Gate:
    """A backend that waits until it is let go."""

    def __init__(self) -> None:
        self.shut = threading.Event()
        self.go = threading.Event()

    def __call__(self, batch: Sequence[Tokens]) -> None:
        if self.shut.is_set():
            assert self.go.wait(30), "the test never let the worker go"


async def test_vectors_come_in_the_order_of_the_texts_however_they_were_batched() -> None:
    texts = [f"word {'long ' * (index % 7 * 10)}{index}" for index in range(100)]
    async with opened_model(FakeBackend(), workers=3) as opened:
        found = await embed_texts(opened, texts)

    np.testing.assert_allclose(found.vectors, [expected(text) for text in texts], atol=1e-6)


async def test_many_requests_at_once_each_get_their_own_vectors() -> None:
    texts = [f"request {index}" for index in range(200)]
    async with opened_model(FakeBackend(), workers=2) as opened:
        answers = await asyncio.gather(*(embed_texts(opened, [text]) for text in texts))

    for text, answer in zip(texts, answers, strict=True):
        np.testing.assert_allclose(answer.vectors[0], expected(text), atol=1e-6)


async def test_what_waits_while_a_worker_is_busy_becomes_one_batch() -> None:
    gate = Gate()
    backend = FakeBackend(before=gate)
    async with opened_model(backend) as opened:
        gate.shut.set()
        engine = opened.loaded.engine
        first = asyncio.create_task(embed_texts(opened, ["first"]))
        await until(lambda: len(backend.batches) == 1)
        rest = [asyncio.create_task(embed_texts(opened, [f"rest {index}"])) for index in range(10)]
        await until(lambda: engine.queue.tokens == 20)
        gate.go.set()
        await asyncio.gather(first, *rest)

    assert backend.batches == [[1], [2] * 10]


async def test_a_client_that_leaves_costs_no_compute() -> None:
    gate = Gate()
    backend = FakeBackend(before=gate)
    async with opened_model(backend) as opened:
        gate.shut.set()
        engine = opened.loaded.engine
        first = asyncio.create_task(embed_texts(opened, ["first"]))
        await until(lambda: len(backend.batches) == 1)
        leaving = asyncio.create_task(embed_texts(opened, ["leaving soon"] * 50))
        await until(lambda: engine.queue.tokens == 100)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert engine.queue.tokens == 0
        staying = asyncio.create_task(embed_texts(opened, ["staying here with you"]))
        await until(lambda: engine.queue.tokens == 4)
        gate.go.set()
        await asyncio.gather(first, staying)

    assert backend.batches == [[1], [4]]
    assert engine.admission.tokens == 0


async def test_a_request_beyond_its_deadline_is_answered_so() -> None:
    gate = Gate()
    async with opened_model(FakeBackend(before=gate), serve=settings(request_timeout_seconds=0.05)) as opened:
        gate.shut.set()
        with pytest.raises(DeadlineExceeded) as late:
            await embed_texts(opened, ["late"])
        gate.go.set()

    assert late.value.retry_after == 1


class FailsFor:
    """Raises while a batch holds a text of the given length, at most `times` times; always where that is negative."""

    def __init__(self, *, length: int, times: int) -> None:
        self.length, self.times = length, times

    def __call__(self, batch: Sequence[Tokens]) -> None:
        if self.times and any(len(tokens.ids) == self.length for tokens in batch):
            self.times -= 1
            raise RuntimeError("the device said no")


class Replacements(Silent):
    def __init__(self) -> None:
        self.count = 0

    def worker_replaced(self) -> None:
        self.count += 1


async def test_a_worker_that_raises_is_replaced_and_its_batch_answered_at_the_second_try() -> None:
    telemetry = Replacements()
    async with opened_model(FakeBackend(before=FailsFor(length=3, times=1)), telemetry=telemetry) as opened:
        found = await embed_texts(opened, ["three words here"])

    np.testing.assert_allclose(found.vectors[0], expected("three words here"), atol=1e-6)
    assert telemetry.count == 1


async def test_a_batch_that_fails_twice_is_an_error_and_the_next_request_is_answered() -> None:
    async with opened_model(FakeBackend(before=FailsFor(length=3, times=2))) as opened:
        with pytest.raises(InferenceFailed) as failed:
            await embed_texts(opened, ["three words here"])
        found = await embed_texts(opened, ["fine"])

    assert "device said no" not in failed.value.message
    assert found.measured.tokens == 1


async def test_a_worker_that_hangs_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    backend = FakeBackend(before=gate)
    async with opened_model(backend, serve=settings(hang_seconds=60)) as opened:
        gate.shut.set()
        now = opened.pool._clock()
        task = asyncio.create_task(embed_texts(opened, ["slow"]))
        await until(lambda: len(backend.batches) == 1)
        assert opened.pool.explain_trouble() == ""
        monkeypatch.setattr(opened.pool, "_clock", lambda: now + 61)
        assert opened.pool.explain_trouble() == "1 of 1 workers hang"
        gate.go.set()
        await task
        await until(lambda: not opened.pool.explain_trouble())


async def test_a_text_that_makes_a_batch_fail_takes_no_other_request_with_it() -> None:
    gate, fails = Gate(), FailsFor(length=3, times=-1)

    def before(batch: Sequence[Tokens]) -> None:
        gate(batch)
        fails(batch)

    backend = FakeBackend(before=before)
    async with opened_model(backend, max_batch_tokens=256) as opened:
        gate.shut.set()
        engine = opened.loaded.engine
        first = asyncio.create_task(embed_texts(opened, ["first"]))
        await until(lambda: len(backend.batches) == 1)
        others = [asyncio.create_task(embed_texts(opened, [f"other {index}"])) for index in range(60)]
        poison = asyncio.create_task(embed_texts(opened, ["three words here"]))
        await until(lambda: engine.queue.tokens == 123)
        gate.go.set()
        answers = await asyncio.gather(first, *others)
        with pytest.raises(InferenceFailed):
            await poison
        assert opened.pool.explain_trouble() == ""

    assert backend.batches[1] == [2] * 60 + [3]
    assert len(answers) == 61
    tries = len(backend.batches) - 2
    assert tries <= 4 * math.ceil(math.log2(61)), "halved, not one by one; a check after each failure, the poison twice"
    assert backend.batches.count([3]) == 2


class BreakingDevice(FakeBackend):
    """Computes until it breaks, then never again. `prepares`: whether a thread can still be made ready for it."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = threading.Event()
        self.prepares = True

    def prepare_thread(self) -> None:
        if self.broken.is_set() and not self.prepares:
            raise RuntimeError("the device is gone")

    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        if self.broken.is_set():
            raise RuntimeError("the device is gone")
        return super().compute(batch)


@pytest.mark.parametrize("prepares", [True, False])
async def test_a_broken_device_is_seen_and_every_request_fails_at_once(prepares: bool) -> None:
    device = BreakingDevice()
    device.prepares = prepares
    async with opened_model(device, workers=2) as opened:
        engine = opened.loaded.engine
        await embed_texts(opened, ["fine"])
        assert opened.pool.explain_trouble() == ""
        device.broken.set()
        for _ in range(10):
            with pytest.raises(InferenceFailed):
                await embed_texts(opened, ["not any more"])
        await until(lambda: opened.pool.explain_trouble().startswith("2 of 2 workers are lost"))
        with pytest.raises(InferenceFailed):
            await embed_texts(opened, ["nor now"])
        assert engine.admission.tokens == engine.queue.tokens == 0


class Poisoned(FakeBackend):
    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        outputs = super().compute(batch)
        for output, tokens in zip(outputs, batch, strict=True):
            if len(tokens.ids) == 3 and output.dense is not None:
                output.dense[1] = np.nan
        return outputs


async def test_a_vector_with_nan_is_an_error_for_its_own_request_only() -> None:
    async with opened_model(Poisoned(), max_batch_tokens=64) as opened:
        bad, good = await asyncio.gather(
            embed_texts(opened, ["three words here"]),
            embed_texts(opened, ["two words"]),
            return_exceptions=True,
        )

    assert isinstance(bad, NonFiniteOutput)
    np.testing.assert_allclose(good.vectors[0], expected("two words"), atol=1e-6)


async def test_a_text_without_tokens_is_refused_by_its_index() -> None:
    async with opened_model(FakeBackend()) as opened:
        with pytest.raises(InvalidRequest, match="Input 1 holds no token"):
            await embed_texts(opened, ["one", " "])
        assert opened.loaded.engine.admission.tokens == 0


async def test_the_prompt_goes_before_every_text_and_counts_as_tokens() -> None:
    async with opened_model(FakeBackend()) as opened:
        found = await embed_texts(opened, ["hello"], prompt=PROMPTS[0])

    np.testing.assert_allclose(found.vectors[0], expected("query: hello"), atol=1e-6)
    assert found.measured.tokens == 2


async def test_dimensions_cut_first_and_normalise_then() -> None:
    async with opened_model(FakeBackend()) as opened:
        found = await embed_texts(opened, ["hello"], dimensions=3)

    cut = expected("hello")[:3]
    np.testing.assert_allclose(found.vectors[0], cut / np.linalg.norm(cut), atol=1e-6)


async def test_a_model_that_does_not_normalise_answers_the_raw_vector() -> None:
    async with opened_model(FakeBackend(), normalize=False) as opened:
        found = await embed_texts(opened, ["hello"])

    [tokens] = WordTokenizer().encode([Text("hello")])
    np.testing.assert_allclose(found.vectors[0], vector_of(tokens.ids, dimensions=DIMENSIONS))


async def test_truncated_texts_are_counted() -> None:
    async with opened_model(FakeBackend()) as opened:
        found = await embed_texts(opened, ["word " * 600, "short"])

    assert (found.measured.truncated, found.measured.tokens) == (1, 513)
