"""A device that breaks and a worker that hangs while requests come."""

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from load_client import LoadClient, read_metric
from runtime_under_test import app_under_test, settings, until
from served_process import ServedProcess

from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.core.jobs import Tokens


async def test_a_device_that_breaks_under_load_turns_every_light_red_and_every_request_is_told(tmp_path: Path) -> None:
    texts = [f"text {number} of some words" for number in range(50)]
    with ServedProcess.laborious(
        tmp_path / "log", seconds_per_token=1e-4, breaks_after=30, max_queue_tokens=5000
    ) as server:
        server.wait("/ready")
        client = LoadClient(server.port, model="words", texts=texts, closes=True)
        tally = await client.run_open(rate=300, seconds=3)
        client.close()
        lights = [server.probe(path) for path in ("/live", "/ready", "/startup")]
        ready = read_metric(server.private_url, "embedding_ready")
        detail = server.detail("/live", containing="device")
        waiting = read_metric(server.private_url, "embedding_admitted_tokens")
        server.terminate()
        status = server.exit_status()

    told = Counter(problem.split(":")[0] for problem in tally.problems)
    assert tally.answered > 0
    assert set(told) == {"status 503"}, tally.problems[:3]
    assert all("another replica" in problem for problem in tally.problems)
    assert lights == [503, 503, 200]
    assert detail == "the device is broken: CUDA error: an illegal memory access was encountered"
    assert (ready, waiting, status) == (0, 0, 0)


class HangsFor:
    """Blocks on texts of three words until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.hanging = threading.Event()

    def __call__(self, batch: Sequence[Tokens]) -> None:
        if any(len(tokens.ids) == 3 for tokens in batch):
            self.hanging.set()
            assert self.go.wait(60), "the test never let the worker go"


async def test_a_worker_that_hangs_under_load_turns_health_red_while_the_other_goes_on_answering() -> None:
    hangs = HangsFor()
    async with app_under_test(FakeBackend(before=hangs), serve=settings(hang_seconds=0.2), workers=2) as runtime:
        stuck = asyncio.create_task(runtime.embed(input="three words here"))
        await until(hangs.hanging.is_set)
        answers = await asyncio.gather(*(runtime.embed(input=f"request {number}") for number in range(100)))
        loaded = runtime.app.loaded
        assert loaded is not None
        await until(lambda: bool(loaded.trouble()))
        health = await runtime.client.get("/health")
        ping = await runtime.client.get("/ping")
        hangs.go.set()
        released = await stuck
        await until(lambda: not loaded.trouble())
        well = await runtime.client.get("/health")

    assert {answer.status_code for answer in answers} == {200}
    assert (health.status_code, ping.status_code) == (503, 503)
    assert "1 of 2 workers hang" in health.text
    assert (released.status_code, well.status_code) == (200, 200)
