"""A serving process whose computing costs time, and whose workers may raise now and then:
`python laborious_runtime.py PORT PRIVATE SECONDS_PER_TOKEN FAILS_EVERY BREAKS_AFTER MAX_QUEUE_TOKENS DRAIN SHUTDOWN`.

Everything is the product's but the backend and the tokenizer. A batch takes its tokens, padding counted, times
SECONDS_PER_TOKEN, without using a CPU; each FAILS_EVERYth raises, after BREAKS_AFTER the device is broken; 0: never.
"""

import sys
import threading
from collections.abc import Sequence

import uvloop
from runtime_under_test import loader, settings

from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.core.failures import DeviceBroken
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.serve import serve

MAX_BATCH_TOKENS = 256


class Labour:
    """What happens before a batch is computed."""

    def __init__(self, *, seconds_per_token: float, fails_every: int, breaks_after: int) -> None:
        self._seconds_per_token = seconds_per_token
        self._fails_every = fails_every
        self._breaks_after = breaks_after
        self._batches = 0
        self._never = threading.Event()

    def __call__(self, batch: Sequence[Tokens]) -> None:
        self._batches += 1
        if self._breaks_after and self._batches > self._breaks_after:
            raise DeviceBroken("CUDA error: an illegal memory access was encountered")
        if self._fails_every and self._batches % self._fails_every == 0:
            raise RuntimeError("this worker fails now and then")
        self._never.wait(len(batch) * max(len(tokens.ids) for tokens in batch) * self._seconds_per_token)


if __name__ == "__main__":
    port, private_port = int(sys.argv[1]), int(sys.argv[2])
    labour = Labour(seconds_per_token=float(sys.argv[3]), fails_every=int(sys.argv[4]), breaks_after=int(sys.argv[5]))
    chosen = settings(
        host="127.0.0.1",
        port=port,
        private_port=private_port,
        max_queue_tokens=int(sys.argv[6]),
        drain_seconds=float(sys.argv[7]),
        shutdown_seconds=float(sys.argv[8]),
    )
    load = loader(FakeBackend(before=labour), max_batch_tokens=MAX_BATCH_TOKENS)
    sys.exit(uvloop.run(serve(chosen, load=load)))
