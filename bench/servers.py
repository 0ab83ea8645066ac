"""The servers that are measured, each a process of its own on a free port of the loopback interface."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

HOST = "127.0.0.1"
MODEL = "minilm"
OURS = "ours"
INFINITY = "Infinity"

ROOT = Path(__file__).resolve().parents[1]
INFINITY_ENVIRONMENT = ROOT / "build" / "peers" / "infinity"

# No usage statistics, no look-ups: everything is on the disk.
OFFLINE = {"DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0", "HF_HUB_OFFLINE": "1"}

START_SECONDS = 300  # a peer that warms up on a busy machine takes minutes
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Kind:
    """How a server is started, and where it answers OpenAI's requests for embeddings."""

    path: str
    command: Callable[[Path, str, int], Sequence[str]]  # folder, dtype, port


def _serve_ours(folder: Path, dtype: str, port: int) -> Sequence[str]:
    ports = ["--port", str(port), "--private-port", str(free_port())]
    names = ["--served-name", MODEL, "--dtype", dtype, "--host", HOST]
    return [sys.executable, "-m", "embedding_runtime", "serve", "--model", str(folder), *names, *ports]


def _serve_infinity(folder: Path, dtype: str, port: int) -> Sequence[str]:
    """Its defaults, but for BetterTransformer, which needs a transformers older than it runs with, and log lines."""
    model = ["--model-id", str(folder), "--served-model-name", MODEL, "--dtype", dtype, "--engine", "torch"]
    rest = ["--device", "cpu", "--no-bettertransformer", "--no-trust-remote-code", "--log-level", "warning"]
    command = str(INFINITY_ENVIRONMENT / "bin" / "infinity_emb")
    return [command, "v2", *model, *rest, "--host", HOST, "--port", str(port)]


KINDS: Mapping[str, Kind] = {
    OURS: Kind(path="/v1/embeddings", command=_serve_ours),
    INFINITY: Kind(path="/embeddings", command=_serve_infinity),
}


class Server:
    """A context manager: the process runs until its end. `start_seconds`: from its start to its first answer."""

    def __init__(self, name: str, *, folder: Path, dtype: str, log: Path) -> None:
        self.name = name
        self.kind = KINDS[name]
        self.port = free_port()
        self._log = log
        started = time.perf_counter()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                self.kind.command(folder, dtype, self.port),
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **OFFLINE},
            )
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        self.start_seconds = time.perf_counter() - started

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def _wait(self) -> None:
        pause = threading.Event()
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.name} does not answer:\n{self._log.read_text()[-3000:]}")
            pause.wait(POLL_SECONDS)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1):
                pass
            connection = http.client.HTTPConnection(HOST, self.port, timeout=START_SECONDS)
            connection.request("POST", self.kind.path, json.dumps({"model": MODEL, "input": "hello"}), JSON)
            answered = connection.getresponse().status == 200
            connection.close()
        except OSError:
            return False
        return answered

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


JSON = {"content-type": "application/json"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
