"""Blocking questions, asked in threads."""

import asyncio
import threading

import pytest

from embedding_model.refusal import Unavailable
from embedding_model.resolved import Origin, SourceKind
from embedding_operator.observe.facts import ResolutionRequest, Resolved
from embedding_operator.resolve.threads import ThreadedAsk

REQUEST = ResolutionRequest(Origin(kind=SourceKind.HUGGING_FACE, repo="acme/tiny", requested="main"))


async def test_what_the_question_raises_arrives() -> None:
    def ask(request: ResolutionRequest) -> Resolved:
        raise Unavailable(f"{request.origin.repo} cannot be asked")

    threaded = ThreadedAsk(ask)
    with pytest.raises(Unavailable, match="acme/tiny"):
        await threaded(REQUEST)
    threaded.close()


async def test_a_hub_that_hangs_blocks_neither_the_loop_nor_closing() -> None:
    asked, release = threading.Event(), threading.Event()

    def hang(request: ResolutionRequest) -> Resolved:
        asked.set()
        release.wait(timeout=30)
        raise Unavailable("released")

    threaded = ThreadedAsk(hang, threads=1)
    try:
        async with asyncio.timeout(10):
            first = asyncio.ensure_future(threaded(REQUEST))
            second = asyncio.ensure_future(threaded(REQUEST))
            await asyncio.to_thread(asked.wait, 10)
            first.cancel()
            threaded.close()
            results = await asyncio.gather(first, second, return_exceptions=True)
    finally:
        release.set()
    assert [type(result) for result in results] == [asyncio.CancelledError, asyncio.CancelledError]
