"""Requests a second over HTTP: ours against Infinity, one text a request, each client waiting for its answer.

    .venv/bin/python bench/serving.py [--rounds 3] [--clients 1,32,64] [--kinds short,mixed] [--dtypes float32,bfloat16]

Both are asked for base64, as OpenAI's SDKs ask, and every vector is held against sentence-transformers in float32. The
two are started with the same dtype and take turns; while one is asked the other rests. The generator runs on the same
CPUs: its share is printed, and is the same for both at the same rate.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import uvloop
from encoder import PEER, Encoder
from load import Load, Verdict, check, make_request, run_load
from peers.environments import make_environment, read_version
from processes import CpuTime, read_cpu
from results import write_results
from servers import INFINITY, MODEL, OURS, Server
from turns import ratio, take_turns
from vectors import Vectors
from workloads import copy_model, make_texts

COUNTS: Mapping[str, int] = {"short": 256, "passage": 128, "mixed": 96}
SECONDS: Mapping[str, float] = {"short": 2.5, "passage": 4.0, "mixed": 5.0}
WARM_UP_SECONDS = 0.5
LEAST_COSINE = 0.999


@dataclass(frozen=True)
class Turn:
    load: Load
    verdict: Verdict
    cpu: CpuTime  # of the server, from the first request to the last


@dataclass(frozen=True)
class Workload:
    """Texts, and the vectors that they should get: float32 [texts, dimensions]."""

    kind: str
    texts: Sequence[str]
    expected: Vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=lambda text: [int(part) for part in text.split(",")], default=[1, 32, 64])
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=["short", "mixed"])
    parser.add_argument("--dtypes", type=lambda text: text.split(","), default=["float32", "bfloat16"])
    options = parser.parse_args()
    make_environment("infinity")
    figures: list[dict[str, Any]] = []
    print(f"{'dtype':10}{'texts':9}{'clients':>8}{'':3}{HEADER}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = copy_model(Path(scratch) / "model")
        workloads = make_workloads(options.kinds, folder=folder, scratch=Path(scratch))
        for dtype in options.dtypes:
            for row in compare(workloads, folder=folder, dtype=dtype, clients=options.clients, rounds=options.rounds):
                figures.append(row)
                show(row)
    write_results("serving", figures={"rows": figures}, peers=read_version("infinity", "infinity-emb", "transformers"))


HEADER = (
    f"{'server':10}{'requests/s':>11}{'p50 ms':>9}{'p95 ms':>9}{'CPU ms':>8}{'loop ms':>9}{'generator':>11}"
    f"{'not 200':>9}{'wrong':>7}{'ratio':>7}"
)


def show(row: Mapping[str, Any]) -> None:
    for name, found in row["servers"].items():
        times = "".join(f"{found[key]:>{width}.1f}" for key, width in (("p50_ms", 9), ("p95_ms", 9)))
        cpu = f"{found['cpu_ms']:>8.2f}{found['loop_ms']:>9.2f}{found['generator_cpu']:>10.0%} "
        counts = f"{found['failed']:>9}{found['wrong']:>7}{row['ratio'] if name == OURS else 1.0:>7.2f}"
        place = f"{row['dtype']:10}{row['kind']:9}{row['clients']:>8}   "
        print(f"{place}{name:10}{found['rate']:>11.1f}{times}{cpu}{counts}", flush=True)


def make_workloads(kinds: Sequence[str], *, folder: Path, scratch: Path) -> Sequence[Workload]:
    workloads = []
    with Encoder(PEER, folder=folder, dtype="float32") as reference:
        for kind in kinds:
            vectors = scratch / f"{kind}.npy"
            reference.encode(kind, count=COUNTS[kind], vectors=vectors)
            texts = make_texts(kind, count=COUNTS[kind], folder=folder)
            workloads.append(Workload(kind, texts=texts, expected=np.load(vectors)))
    return workloads


def compare(
    workloads: Sequence[Workload], *, folder: Path, dtype: str, clients: Sequence[int], rounds: int
) -> Sequence[dict[str, Any]]:
    rows = []
    logs = folder.parent
    with (
        Server(OURS, folder=folder, dtype=dtype, log=logs / "ours.log") as ours,
        Server(INFINITY, folder=folder, dtype=dtype, log=logs / "infinity.log") as infinity,
    ):
        for workload in workloads:
            for count in clients:
                contestants = {
                    s.name: partial(take_turn, s, workload=workload, clients=count) for s in (ours, infinity)
                }
                turns = take_turns(contestants, rounds=rounds)
                rows.append(describe(turns, dtype=dtype, kind=workload.kind, clients=count))
    return rows


def take_turn(server: Server, *, workload: Workload, clients: int) -> Turn:
    requests = [make_request(text, path=server.kind.path, model=MODEL) for text in workload.texts]
    before = read_cpu(server.pid)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        load = runner.run(
            run_load(
                requests,
                port=server.port,
                clients=clients,
                seconds=SECONDS[workload.kind],
                warm_up_seconds=WARM_UP_SECONDS,
            )
        )
    cpu = read_cpu(server.pid) - before
    return Turn(load, check(load.answers, expected=workload.expected, least_cosine=LEAST_COSINE), cpu)


def describe(turns: Mapping[str, Sequence[Turn]], *, dtype: str, kind: str, clients: int) -> dict[str, Any]:
    rates = {name: [turn.load.rate for turn in found] for name, found in turns.items()}
    return {
        "dtype": dtype,
        "kind": kind,
        "clients": clients,
        "ratio": ratio(rates[OURS], to=rates[INFINITY]),
        "servers": {name: _summarise(found, rates=rates[name]) for name, found in turns.items()},
    }


def _summarise(turns: Sequence[Turn], *, rates: Sequence[float]) -> dict[str, Any]:
    """`cpu_ms` and `loop_ms`: CPU time of a request, of the whole server and of its event loop's thread."""
    answers = sum(len(turn.load.answers) for turn in turns)
    return {
        "rate": median(rates),
        "turns": list(rates),
        "p50_ms": 1000 * median(turn.load.latency()[0] for turn in turns),
        "p95_ms": 1000 * median(turn.load.latency()[1] for turn in turns),
        "cpu_ms": 1000 * sum(turn.cpu.total for turn in turns) / max(1, answers),
        "loop_ms": 1000 * sum(turn.cpu.main for turn in turns) / max(1, answers),
        "generator_cpu": median(turn.load.generator_cpu for turn in turns),
        "failed": sum(turn.verdict.failed + turn.load.lost for turn in turns),
        "wrong": sum(turn.verdict.wrong for turn in turns),
        "worst_cosine": min(turn.verdict.worst_cosine for turn in turns),
    }


if __name__ == "__main__":
    main()
