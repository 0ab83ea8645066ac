"""How a process says why it gave up: a line on stderr, and a message that the kubelet copies into the pod's status.

A refusal's message is a RefusalDocument as JSON; anything else, which a restart may heal, is plain text.
"""

import contextlib
import sys
from pathlib import Path

from embedding_model import ports
from embedding_model.refusal import Refusal, Unavailable

FAILED = 1  # exit status; 2 is bad usage

LOG = Path(ports.TERMINATION_LOG)


def report_failure(error: Refusal | Unavailable, *, log: Path = LOG) -> int:
    """The exit status. Written only where the kubelet has made the file: elsewhere there is none, and none is made."""
    if isinstance(error, Refusal):
        line = f"{error.reason}: {error.message}"
        document = error.document().model_dump_json(exclude_none=True)
    else:
        line = document = error.message
    print(f"error: {line}", file=sys.stderr, flush=True)
    if log.exists():
        with contextlib.suppress(OSError):
            log.write_text(document)
    return FAILED
