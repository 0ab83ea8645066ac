"""The process that reads a pickle: `python -m embedding_runtime.conversion.child INPUT OUTPUT SIZE SECONDS`.

INPUT and OUTPUT are numbers of open descriptors, SIZE the bytes of the pickle, SECONDS the processor time it may take.
The report goes to stdout. Once shut in, the process ends with the report and nothing after it.
"""

import os
import sys
from collections.abc import Callable

import torch

from embedding_model.inspection.quoting import escape
from embedding_runtime.conversion.checkpoint import (
    Checkpoint,
    Unusable,
    read_checkpoint,
    rehearse,
    write_safetensors,
)
from embedding_runtime.conversion.report import MOST_NAMES, NAME_CHARACTERS, ChildReport, Problem
from embedding_runtime.conversion.sandbox import Unprotected, end_with_parent, shut_in

REPORT = 1  # stdout
_STDERR = 2
# torch.save stores tensors as they are; only what was one memory and is stored apart makes the result larger.
_GROWTH = 2
_SPARE_FILE = 16 * 1024 * 1024  # bytes: the header
_SPARE_MEMORY = 1024 * 1024 * 1024  # bytes of address space: the pickle's objects, and glibc's arenas


def main() -> None:
    source, target, size, seconds = map(int, sys.argv[1:5])
    end_with_parent()
    torch.set_num_threads(1)  # a thread could not be started later
    rehearse()
    limit = _GROWTH * size
    finish(
        lambda: _convert(source, target=target, limit=limit),
        shut=lambda: shut_in(
            keep=(source, target, REPORT, _STDERR),
            memory_bytes=limit + _SPARE_MEMORY,
            file_bytes=limit + _SPARE_FILE,
            cpu_seconds=seconds,
        ),
    )


def finish(work: Callable[[], ChildReport], *, shut: Callable[[], None]) -> None:
    """Shut the process in, do the work, report, and end without running anything else."""
    try:
        shut()
        report = work()
    except Unprotected as error:
        report = ChildReport(problem=Problem.UNPROTECTED, detail=error.message)
    except Unusable as error:
        report = ChildReport(problem=error.problem, detail=_shorten(error.detail))
    except MemoryError:
        report = ChildReport(problem=Problem.TOO_MUCH_MEMORY)
    except Exception as error:
        report = ChildReport(problem=Problem.BROKEN, detail=_shorten(f"{type(error).__name__}: {error}"))
    os.write(REPORT, report.to_json())
    os._exit(0)


def _convert(source: int, *, target: int, limit: int) -> ChildReport:
    with os.fdopen(source, "rb") as file:
        checkpoint = read_checkpoint(file)
    write_safetensors(checkpoint, descriptor=target, limit=limit)
    os.fsync(target)
    return _describe(checkpoint)


def _describe(checkpoint: Checkpoint) -> ChildReport:
    return ChildReport(
        tensors=len(checkpoint.tensors),
        tied=tuple(map(_shorten, checkpoint.tied[:MOST_NAMES])),
        tied_count=len(checkpoint.tied),
        dropped=tuple(map(_shorten, checkpoint.dropped[:MOST_NAMES])),
        dropped_count=len(checkpoint.dropped),
        unwrapped=checkpoint.unwrapped,
    )


def _shorten(text: str) -> str:
    return escape(text[:NAME_CHARACTERS])[:NAME_CHARACTERS]


if __name__ == "__main__":
    main()
