"""Time from process start to the first answer, and memory: ours, Infinity and sentence-transformers, each alone.

    .venv/bin/python bench/start.py [--rounds 3] [--dtype float32]

Files are in the page cache: one start of each is not counted. Servers are started by their commands and asked over
HTTP; sentence-transformers is imported, loads the model, and encodes one text, in a new Python. `memory` is MiB after
the first answer, and after 32 clients have asked for mixed texts for some seconds, or 64 were encoded in one call:
what is resident, and in brackets the proportional share (PSS), which counts what others have mapped too in part.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from encoder import PEER, Encoder
from load import make_request, run_load
from peers.environments import make_environment, read_version
from processes import Memory, read_memory
from results import write_results
from servers import INFINITY, MODEL, OURS, Server
from turns import take_turns
from workloads import copy_model, make_texts

KIND = "mixed"
COUNT = 64
CLIENTS = 32
SECONDS = 6.0
MIB = 2**20


@dataclass(frozen=True)
class Start:
    """`seconds` to the first answer; memory after it and after some load."""

    seconds: float
    loaded: Memory
    used: Memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    make_environment("infinity")
    with tempfile.TemporaryDirectory() as scratch:
        folder = copy_model(Path(scratch) / "model")
        contestants: Mapping[str, Callable[[], Start]] = {
            OURS: partial(start_server, OURS, folder=folder, dtype=options.dtype),
            PEER: partial(start_library, folder=folder, dtype=options.dtype),
            INFINITY: partial(start_server, INFINITY, folder=folder, dtype=options.dtype),
        }
        take_turns(contestants, rounds=1)
        figures = describe(take_turns(contestants, rounds=options.rounds))
    print(f"{'':23}{'start s':>9}{'ratio':>8}{'loaded MiB':>16}{'used MiB':>16}")
    for name, row in figures.items():
        sizes = "".join(f"{row[when]['rss']:>9.0f} ({row[when]['pss']:.0f})" for when in ("loaded", "used"))
        print(f"{name:23}{row['seconds']:>9.2f}{row['ratio']:>8.2f}{sizes}")
    peers = read_version("infinity", "infinity-emb", "transformers")
    write_results("start", figures={"dtype": options.dtype, "engines": figures}, peers=peers)


def describe(turns: Mapping[str, list[Start]]) -> dict[str, Any]:
    """`ratio`: of the start to sentence-transformers'."""
    seconds = {name: median(start.seconds for start in found) for name, found in turns.items()}
    return {
        name: {
            "seconds": seconds[name],
            "ratio": seconds[name] / seconds[PEER],
            "turns": [start.seconds for start in found],
            "loaded": _mebibytes([start.loaded for start in found]),
            "used": _mebibytes([start.used for start in found]),
        }
        for name, found in turns.items()
    }


def _mebibytes(found: list[Memory]) -> dict[str, float]:
    return {
        "rss": median(memory.rss for memory in found) / MIB,
        "pss": median(memory.pss for memory in found) / MIB,
    }


def start_server(name: str, *, folder: Path, dtype: str) -> Start:
    with Server(name, folder=folder, dtype=dtype, log=folder.parent / f"{name}.log") as server:
        loaded = read_memory(server.pid)
        texts = make_texts(KIND, count=COUNT, folder=folder)
        requests = [make_request(text, path=server.kind.path, model=MODEL) for text in texts]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_load(requests, port=server.port, clients=CLIENTS, seconds=SECONDS, warm_up_seconds=0))
        return Start(seconds=server.start_seconds, loaded=loaded, used=read_memory(server.pid))


def start_library(*, folder: Path, dtype: str) -> Start:
    started = time.perf_counter()
    with Encoder(PEER, folder=folder, dtype=dtype) as library:
        library.encode("short", count=1)
        seconds = time.perf_counter() - started
        loaded = read_memory(library.pid)
        library.encode(KIND, count=COUNT)
        return Start(seconds=seconds, loaded=loaded, used=read_memory(library.pid))


if __name__ == "__main__":
    main()
