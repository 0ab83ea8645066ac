"""A conversion's child without weights_only: what a pickle could do if torch's guard had a hole.

Started like the real one, with the same arguments and the same sandbox. Whatever the pickle leaves in `sys.attempts`
(a dict: what it tried, what came of it) is reported as dropped and tied names, as many as fit each.
"""

import encodings.idna  # noqa: F401
import mmap  # noqa: F401 - nothing can be imported later: whatever the attempts use has to be here
import os
import socket  # noqa: F401
import subprocess  # noqa: F401
import sys
import threading  # noqa: F401

import torch

from embedding_runtime.conversion.checkpoint import rehearse
from embedding_runtime.conversion.child import REPORT, finish
from embedding_runtime.conversion.report import MOST_NAMES, ChildReport
from embedding_runtime.conversion.sandbox import shut_in


def main() -> None:
    source, target, _, seconds = map(int, sys.argv[1:5])
    rehearse()

    def work() -> ChildReport:
        with os.fdopen(source, "rb") as file:
            torch.load(file, weights_only=False)
        attempts = [f"{what}: {outcome}" for what, outcome in sys.attempts.items()]  # type: ignore[attr-defined]
        os.write(target, (2).to_bytes(8, "little") + b"{}")
        return ChildReport(
            tensors=1,
            dropped=tuple(attempts[:MOST_NAMES]),
            tied=tuple(attempts[MOST_NAMES:]),
            dropped_count=len(attempts),
        )

    finish(
        work,
        shut=lambda: shut_in(
            keep=(source, target, REPORT), memory_bytes=1 << 30, file_bytes=1 << 20, cpu_seconds=seconds
        ),
    )


if __name__ == "__main__":
    main()
