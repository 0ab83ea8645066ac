"""Texts a second without HTTP: ours against sentence-transformers' encode(batch_size=32).

    .venv/bin/python bench/offline.py [--rounds 5]

Ours is tokenizer threads, queue, workers and backend as `serve` sets them up, with default settings. Each engine is a
process of its own, all take turns. `cosine` is the smallest one of any text to sentence-transformers in float32.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from encoder import OURS, PEER, Encoder
from results import write_results
from turns import ratio, take_turns
from vectors import worst_cosine
from workloads import TOKENS, copy_model

COUNTS: Mapping[str, int] = {"short": 1024, "passage": 128, "mixed": 64}
ENGINES = ((PEER, "float32"), (PEER, "bfloat16"), (OURS, "float32"), (OURS, "bfloat16"))
REFERENCE = f"{PEER} float32"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"{'texts':9}{'engine':33}{'texts/s':>9}{'CPU ms/text':>13}{'ratio':>8}   cosine")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        folder = copy_model(Path(scratch) / "model")
        encoders = {
            f"{engine} {dtype}": stack.enter_context(Encoder(engine, folder=folder, dtype=dtype))
            for engine, dtype in ENGINES
        }
        for kind in TOKENS:
            figures[kind] = measure(encoders, kind=kind, rounds=rounds, scratch=Path(scratch))
            for name, row in figures[kind].items():
                print(
                    f"{kind:9}{name:33}{row['texts_per_second']:>9.1f}{row['cpu_ms_per_text']:>13.2f}"
                    f"{row['ratio']:>8.2f}   {row['cosine']:.5f}",
                    flush=True,
                )
    write_results("offline", figures=figures)


def measure(encoders: Mapping[str, Encoder], *, kind: str, rounds: int, scratch: Path) -> dict[str, Any]:
    count = COUNTS[kind]
    files = {name: scratch / f"{number}.npy" for number, name in enumerate(encoders)}
    for name, encoder in encoders.items():  # not counted: the first run of a shape is slower, and gives the vectors
        encoder.encode(kind, count=count, vectors=files[name])
    found = take_turns(
        {name: lambda encoder=encoder: encoder.encode(kind, count=count) for name, encoder in encoders.items()},  # type: ignore[misc]
        rounds=rounds,
    )
    rates = {name: [count / turn.seconds for turn in turns] for name, turns in found.items()}
    return {
        name: {
            "texts_per_second": median(rates[name]),
            "cpu_ms_per_text": 1000 * median(turn.cpu_seconds for turn in found[name]) / count,
            "ratio": ratio(rates[name], to=rates[REFERENCE]),
            "cosine": worst_cosine(files[name], expected=files[REFERENCE]),
            "turns": rates[name],
        }
        for name in encoders
    }


if __name__ == "__main__":
    main()
