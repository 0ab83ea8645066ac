"""The share of CPU that HTTP and JSON take: the same texts, as many clients, over HTTP and without it.

    .venv/bin/python bench/http_share.py [--clients 32] [--rounds 3]

`served` is a server that is asked over HTTP; `core` the same engine in a process without HTTP, where as many tasks ask
it for a text at a time: tokenizing, queue, workers, vectors. Both are CPU milliseconds a request, in turns. `loop` is
the thread of the event loop alone, where HTTP and JSON are done and everybody waits for everybody; its share of a
second says how near it is to being the bottleneck.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from load import make_request, run_load
from processes import read_cpu
from results import write_results
from servers import MODEL, OURS, Server
from turns import take_turns
from workloads import copy_model, make_texts

COUNT = 256
SECONDS = 3.0
DTYPES = ("float32", "bfloat16")
KIND = "short"  # the longer the texts, the smaller the share


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds a request: of the process, and of its event loop's thread; requests a second meanwhile."""

    cpu_ms: float
    loop_ms: float
    rate: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", nargs=2, metavar=("FOLDER", "DTYPE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.core:
        print(
            json.dumps(asdict(ask_core(Path(options.core[0]), dtype=options.core[1], clients=options.clients))),
            flush=True,
        )
        os._exit(0)  # as `serve` ends: worker threads that free tensors while Python shuts down would abort the process
    figures: dict[str, Any] = {}
    print(f"{'dtype':10}{'':8}{'CPU ms':>8}{'loop ms':>9}{'requests/s':>12}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = copy_model(Path(scratch) / "model")
        for dtype in DTYPES:
            found = figures[dtype] = measure(folder, dtype=dtype, clients=options.clients, rounds=options.rounds)
            for name in ("served", "core"):
                row = found[name]
                print(f"{dtype:10}{name:8}{row['cpu_ms']:>8.2f}{row['loop_ms']:>9.3f}{row['rate']:>12.0f}")
            print(
                f"{dtype:10}HTTP and JSON: {found['http_ms']:.3f} ms a request, {found['http_share']:.1%} of its CPU; "
                f"the loop's thread is busy {found['loop_busy']:.0%} of the time",
                flush=True,
            )
    write_results("http_share", figures={"clients": options.clients, "kind": KIND, "dtypes": figures})


def measure(folder: Path, *, dtype: str, clients: int, rounds: int) -> dict[str, Any]:
    with Server(OURS, folder=folder, dtype=dtype, log=folder.parent / "ours.log") as server:
        turns = take_turns(
            {
                "served": partial(ask_server, server, folder=folder, clients=clients),
                "core": partial(run_core, folder, dtype=dtype, clients=clients),
            },
            rounds=rounds,
        )
    found = {name: _medians(costs) for name, costs in turns.items()}
    # Of the loop's thread, and not of the processes: workers' CPU time varies by more than HTTP takes.
    http = found["served"]["loop_ms"] - found["core"]["loop_ms"]
    return {
        **found,
        "http_ms": http,
        "http_share": http / found["served"]["cpu_ms"],
        "loop_busy": found["served"]["loop_ms"] * found["served"]["rate"] / 1000,
    }


def _medians(costs: Sequence[Cost]) -> Mapping[str, float]:
    return {name: median(getattr(cost, name) for cost in costs) for name in ("cpu_ms", "loop_ms", "rate")}


def ask_server(server: Server, *, folder: Path, clients: int) -> Cost:
    texts = make_texts(KIND, count=COUNT, folder=folder)
    requests = [make_request(text, path=server.kind.path, model=MODEL) for text in texts]
    before = read_cpu(server.pid)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        load = runner.run(run_load(requests, port=server.port, clients=clients, seconds=SECONDS, warm_up_seconds=0))
    used, answers = read_cpu(server.pid) - before, len(load.answers)
    return Cost(cpu_ms=1000 * used.total / answers, loop_ms=1000 * used.main / answers, rate=load.rate)


def run_core(folder: Path, *, dtype: str, clients: int) -> Cost:
    command = [sys.executable, __file__, "--clients", str(clients), "--core", str(folder), dtype]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def ask_core(folder: Path, *, dtype: str, clients: int) -> Cost:
    """In a process of its own."""
    from embedding_runtime.cpu import limit_library_threads

    limit_library_threads()
    from embedding_runtime.core.embedding import embed
    from embedding_runtime.core.telemetry import Silent
    from embedding_runtime.loading import load_model
    from embedding_runtime.opening import open_model
    from embedding_runtime.settings import Dtype, ServeSettings

    texts = make_texts(KIND, count=COUNT, folder=folder)

    async def run() -> Cost:
        settings = ServeSettings(model=folder, dtype=Dtype(dtype))
        opened = await open_model(settings, load=load_model, telemetry=Silent())
        loaded, done = opened.loaded, 0
        over = time.perf_counter() + SECONDS

        async def ask() -> None:
            nonlocal done
            while time.perf_counter() < over:
                await embed(loaded.engine, [texts[done % COUNT]], serving=loaded.model.serving)
                done += 1

        cpu, loop = time.process_time(), time.thread_time()
        await asyncio.gather(*(ask() for _ in range(clients)))
        cpu, loop = time.process_time() - cpu, time.thread_time() - loop
        opened.close()
        return Cost(cpu_ms=1000 * cpu / done, loop_ms=1000 * loop / done, rate=done / SECONDS)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


if __name__ == "__main__":
    main()
