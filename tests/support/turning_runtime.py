"""A serving process whose answers turn while it serves:
`python turning_runtime.py PORT PRIVATE MODE_FILE SETTINGS`, where SETTINGS is a JSON object of ServeSettings.

Everything is the product's but the backend and the tokenizer. MODE_FILE holds what the backend does with each text:
`right`, `wrong` (vectors that point the other way) or `held` (nothing is answered until it says something else);
`held-later` holds what comes behind the warm-up.
"""

import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from runtime_under_test import loader, settings

import embedding_runtime.gate.self_check
from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.core.jobs import Output, Tokens
from embedding_runtime.log import configure_logging
from embedding_runtime.serve import serve
from embedding_runtime.settings import FailurePolicy, LogFormat

PATHS = ("goldens", "keys")


class Turning(FakeBackend):
    def __init__(self, mode: Path) -> None:
        super().__init__()
        self._mode = mode
        self._pause = threading.Event()

    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        while (mode := self._mode.read_text()) == "held" or (mode == "held-later" and self.batches):
            self._pause.wait(0.01)
        factor = np.float32(-1.0 if mode == "wrong" else 1.0)
        return [Output(dense=output.dense * factor) for output in super().compute(batch) if output.dense is not None]


def read_settings(text: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(text)
    if "failure_policy" in values:
        values["failure_policy"] = FailurePolicy(values["failure_policy"])
    return {name: Path(value) if name in PATHS else value for name, value in values.items()}


if __name__ == "__main__":
    embedding_runtime.gate.self_check.REST = 1  # a test waits for several checks, and a busy machine makes each long
    configure_logging(LogFormat.TEXT)
    chosen = settings(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        private_port=int(sys.argv[2]),
        drain_seconds=0,
        **read_settings(sys.argv[4]),
    )
    sys.exit(uvloop.run(serve(chosen, load=loader(Turning(Path(sys.argv[3]))))))
