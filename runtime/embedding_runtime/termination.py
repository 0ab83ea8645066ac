"""How a process says why it gave up: a line on stderr, and a message that the kubelet copies into the pod's status.

A refusal's message is a RefusalDocument as JSON; anything else, which a restart may heal, is plain text.
"""

import contextlib
from pathlib import Path

from embedding_model import ports
from embedding_model.refusal import Refusal, Unavailable
from embedding_runtime.log import write_failure

FAILED = 1  # exit status; 2 is bad usage

LOG = Path(ports.TERMINATION_LOG)

# Of a longer message the kubelet keeps the last 4096 bytes, which are no JSON any more. A character of a message takes
# up to six bytes in it, and reason and field need some.
_MOST_BYTES = 4096
_MOST_CHARACTERS = 600


def report_failure(error: Refusal | Unavailable, *, log: Path = LOG) -> int:
    """The exit status. Written only where the kubelet has made the file: elsewhere there is none, and none is made."""
    line = f"{error.reason}: {error.message}" if isinstance(error, Refusal) else error.message
    document = _render(error, message=error.message)
    if len(document.encode()) > _MOST_BYTES:
        document = _render(error, message=f"{error.message[:_MOST_CHARACTERS]}...")
    write_failure(line)
    if log.exists():
        with contextlib.suppress(OSError):
            log.write_text(document)
    return FAILED


def _render(error: Refusal | Unavailable, *, message: str) -> str:
    if isinstance(error, Unavailable):
        return message
    return error.document().model_copy(update={"message": message}).model_dump_json(exclude_none=True)
