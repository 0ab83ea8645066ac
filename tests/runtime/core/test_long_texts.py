"""A text that is larger than a batch: how the start and the watch over workers allow for it."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from runtime_under_test import WordTokenizer, embed_texts, loader, opened_model, settings, until

from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.telemetry import Silent
from embedding_runtime.opening import open_model


class OnCuda(FakeBackend):
    device = "cuda"


@pytest.mark.parametrize(("backend", "warmed"), [(FakeBackend(), [64]), (OnCuda(), [512])], ids=["cpu", "cuda"])
async def test_a_start_on_a_cpu_computes_no_more_than_a_batch_and_on_a_gpu_the_longest_text(
    backend: FakeBackend, warmed: list[int]
) -> None:
    load = loader(backend, max_batch_tokens=64, tokenizer=WordTokenizer(max_tokens=512))
    opened = await open_model(settings(), load=load, telemetry=Silent())
    opened.close()

    assert backend.batches == [warmed]


async def test_a_text_of_several_batches_may_take_as_many_times_longer_before_its_worker_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go = threading.Event()

    def wait(batch: Sequence[Tokens]) -> None:
        if len(batch[0].ids) == 256:
            assert go.wait(30), "the test never let the worker go"

    backend = FakeBackend(before=wait)
    tokenizer = WordTokenizer(max_tokens=512)
    async with opened_model(backend, serve=settings(hang_seconds=60), tokenizer=tokenizer) as opened:
        now = opened.pool._clock()
        task = asyncio.create_task(embed_texts(opened, ["word " * 256]))
        await until(lambda: len(backend.batches) == 1)
        started = opened.pool._clock()
        monkeypatch.setattr(opened.pool, "_clock", lambda: now + 4 * 60)
        assert opened.pool.explain_trouble() == ""
        monkeypatch.setattr(opened.pool, "_clock", lambda: started + 4 * 60 + 1)
        assert opened.pool.explain_trouble() == "1 of 1 workers hang"
        go.set()
        await task
