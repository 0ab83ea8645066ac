"""An engine in a process of its own that embeds lists of texts when told to: ours without HTTP, or a peer.

    python bench/encoder.py ENGINE FOLDER DTYPE        ENGINE: ours or sentence-transformers

Reads one JSON object a line, {"kind", "count", "vectors": path or null}, and answers each with one: seconds of wall
clock and of CPU. Its first line says that it is loaded. `Encoder` is the other end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

OURS = "ours"
PEER = "sentence-transformers"
PEER_BATCH = 32  # its default

Encode = Callable[[Sequence[str]], Any]


@dataclass(frozen=True)
class Encoded:
    seconds: float
    cpu_seconds: float


class Encoder:
    """A context manager: the process runs until its end. What it writes to stderr is shown when it fails."""

    def __init__(self, engine: str, *, folder: Path, dtype: str) -> None:
        command = [sys.executable, __file__, engine, str(folder), dtype]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._read()

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def encode(self, kind: str, *, count: int, vectors: Path | None = None) -> Encoded:
        """`vectors`: the file to write them to, float32 [count, dimensions]."""
        assert self._process.stdin is not None
        order = {"kind": kind, "count": count, "vectors": str(vectors) if vectors else None}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Encoded(**self._read())

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"an engine stopped:\n{self._process.communicate()[1][-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def main() -> None:
    engine, folder, dtype = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    # Libraries print to stdout too; the answers keep it for themselves.
    answers, sys.stdout = sys.stdout, sys.stderr
    with_engine = {OURS: _with_ours, PEER: _with_peer}[engine]
    with_engine(folder, dtype, lambda encode: _answer_orders(encode, folder=folder, answers=answers))
    os._exit(0)  # as `serve` ends: worker threads that free tensors while Python shuts down would abort the process


def _answer_orders(encode: Encode, *, folder: Path, answers: Any) -> None:
    import numpy as np
    from workloads import make_texts

    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        texts = make_texts(order["kind"], count=order["count"], folder=folder)
        started, cpu = time.perf_counter(), time.process_time()
        vectors = encode(texts)
        done = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
        if order["vectors"]:
            np.save(order["vectors"], np.asarray(vectors, dtype=np.float32))
        print(json.dumps(done), file=answers, flush=True)


def _with_ours(folder: Path, dtype: str, use: Callable[[Encode], None]) -> None:
    """Tokenizer threads, queue, workers and backend, as `serve` sets them up; no HTTP."""
    from embedding_runtime.cpu import limit_library_threads

    limit_library_threads()
    import asyncio

    from embedding_runtime.core.embedding import embed
    from embedding_runtime.core.telemetry import Silent
    from embedding_runtime.loading import load_model
    from embedding_runtime.opening import open_model
    from embedding_runtime.settings import Dtype, ServeSettings

    async def open_() -> Any:
        settings = ServeSettings(model=folder, dtype=Dtype(dtype), max_queue_tokens=sys.maxsize)
        return await open_model(settings, load=load_model, telemetry=Silent())

    with asyncio.Runner() as runner:
        opened = runner.run(open_())
        loaded = opened.loaded

        def encode(texts: Sequence[str]) -> Any:
            return runner.run(embed(loaded.engine, texts, serving=loaded.model.serving)).vectors

        use(encode)
        opened.close()


def _with_peer(folder: Path, dtype: str, use: Callable[[Encode], None]) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    arguments = {"dtype": getattr(torch, dtype)}
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs=arguments)
    use(lambda texts: model.encode(list(texts), batch_size=PEER_BATCH, show_progress_bar=False))


if __name__ == "__main__":
    main()
