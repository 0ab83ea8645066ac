"""How a process says why it gave up: a line on stderr, and a document that the kubelet copies into the pod's status."""

import contextlib
import sys
from pathlib import Path

from embedding_model import ports
from embedding_model.refusal import Refusal

REFUSED = 1  # exit status


def report_refusal(refusal: Refusal, *, log: Path = Path(ports.TERMINATION_LOG)) -> None:
    """Written only where the kubelet has made the file: on other machines there is none, and none is made."""
    print(f"error: {refusal.reason}: {refusal.message}", file=sys.stderr, flush=True)
    if log.exists():
        with contextlib.suppress(OSError):
            log.write_text(refusal.document().model_dump_json(exclude_none=True))
