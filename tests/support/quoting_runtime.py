"""A guarded serving process whose parts fail and quote what they were given, as libraries do:
`python quoting_runtime.py PORT PRIVATE API_KEYS JWKS AUDIENCE LOG_FORMAT`.

Everything is the product's but the backend and the tokenizer; a text's first word chooses the failure. Log and event
loop are set up as `embedding-runtime serve` does it.
"""

import asyncio
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import uvloop
from runtime_under_test import WordTokenizer, loader, read, settings

from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.core.inputs import Input
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.log import configure_logging, log_loop_errors
from embedding_runtime.serve import serve
from embedding_runtime.settings import LogFormat


class QuotingTokenizer(WordTokenizer):
    """Fails in a thread of the tokenizer, or makes something else fail."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop

    def encode(self, inputs: Sequence[Input]) -> list[Tokens]:
        for text in map(read, inputs):
            match text.split()[0]:
                case "fail-tokenizer":
                    fail(text)
                case "fail-chain":
                    fail_again(text)
                case "fail-thread":
                    threading.Thread(target=fail, args=(text,)).start()
                case "fail-callback":
                    self._loop.call_soon_threadsafe(fail, text)
                case "fail-task":
                    asyncio.run_coroutine_threadsafe(fail_later(text), self._loop)
        return super().encode(inputs)


def fail(text: str) -> None:
    raise ValueError(f"cannot read {text!r}")


def fail_again(text: str) -> None:
    try:
        fail(text)
    except ValueError as error:
        raise KeyError(text) from error


async def fail_later(text: str) -> None:
    asyncio.get_running_loop().create_task(fail_soon(text)).set_name(text)  # nobody waits for it


async def fail_soon(text: str) -> None:
    fail(text)


def refuse_batch(batch: Sequence[Tokens]) -> None:
    for tokens in batch:
        if len(tokens.ids) == 13:  # the failing one; all that a backend sees is numbers
            raise RuntimeError(f"cannot compute {list(tokens.ids)}")


async def run() -> int:
    log_loop_errors()
    tokenizer = QuotingTokenizer(asyncio.get_running_loop())
    chosen = settings(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        private_port=int(sys.argv[2]),
        api_keys=Path(sys.argv[3]),
        jwks=Path(sys.argv[4]),
        jwt_audiences=(sys.argv[5],),
        drain_seconds=0,
    )
    return await serve(chosen, load=loader(FakeBackend(before=refuse_batch), tokenizer=tokenizer))


if __name__ == "__main__":
    configure_logging(LogFormat(sys.argv[6]))
    sys.exit(uvloop.run(run()))
