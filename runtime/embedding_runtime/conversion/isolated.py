"""One pickle becomes one safetensors file: starts the child, waits no longer than the deadline, believes nothing.

The child gets the two files as open descriptors, an environment without anything of ours, and no folder to look into.
What it leaves is judged here: its report is parsed with bounds, the file's header as that of any model, and both hashes
are taken from the descriptors after the process has ended.
"""

import hashlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

import embedding_model
from embedding_model.inspection.quoting import quote
from embedding_model.inspection.tensors import LENGTH_BYTES, parse_header, read_header_length
from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.sources.reading import open_regular
from embedding_runtime.conversion.pickles import FIELD
from embedding_runtime.conversion.report import REPORT_BYTES, ChildReport, Problem

logger = logging.getLogger(__name__)

CHILD = (sys.executable, "-P", "-s", "-B", "-m", "embedding_runtime.conversion.child")
_START_SECONDS = 120  # importing torch from a cold disk on a busy node
_SLOWEST = 5_000_000  # bytes per second, reading, copying and writing together
_BLOCK = 4 * 1024 * 1024  # bytes
_BY_HAND = "convert it yourself where you trust it (save_pretrained) and serve the result"


@dataclass(frozen=True)
class Digest:
    size: int
    sha256: str


@dataclass(frozen=True)
class Converted:
    """Both files as they are on disk, and what the child said about the way from one to the other."""

    source: Digest
    target: Digest
    report: ChildReport


def convert(
    source: Path, *, target: Path, name: str, child: Sequence[str] = CHILD, deadline_seconds: float | None = None
) -> Converted:
    """Write the tensors of the pickle `source` to `target`, over what was there; `name` is the pickle in messages.

    The deadline is in seconds; by default what the size allows. Refuses ConversionFailed, and leaves no target then;
    raises Unavailable for a pickle that cannot be read, OSError for a target that cannot be written.
    """
    try:
        opened = open_regular(source)  # not even a pipe in its place holds us
    except OSError as error:
        raise Unavailable(f"{name} could not be read: {error.strerror or 'it is no plain file'}") from error
    with opened:
        reading = opened.fileno()
        writing = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o640)
        try:
            seconds = deadline_seconds or _START_SECONDS + os.fstat(reading).st_size / _SLOWEST
            report = _run(child, reading=reading, writing=writing, name=name, seconds=seconds)
            _check_result(writing, name=name)
            return Converted(source=_digest(reading), target=_digest(writing), report=report)
        except BaseException:
            with suppress(OSError):
                target.unlink()
            raise
        finally:
            os.close(writing)


def describe(report: ChildReport) -> str:
    """One line for logs and people: what became of everything in the pickle."""
    parts = [f"{report.tensors} tensor{'' if report.tensors == 1 else 's'} converted from a pickle"]
    if report.unwrapped is not None:
        parts.append(f"found under the key {quote(report.unwrapped)}")
    if report.tied_count:
        parts.append(f"{report.tied_count} left out as the same memory as another ({_list(report.tied)})")
    if report.dropped_count:
        parts.append(f"{report.dropped_count} dropped as no tensors ({_list(report.dropped)})")
    return "; ".join(parts)


def _run(child: Sequence[str], *, reading: int, writing: int, name: str, seconds: float) -> ChildReport:
    size = os.fstat(reading).st_size
    process = subprocess.Popen(  # noqa: S603 - our own module, numbers as arguments
        [*child, str(reading), str(writing), str(size), str(round(seconds) + 1)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(reading, writing),
        env=_environment(),
        cwd="/",
    )
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        process.kill()

    timer = threading.Timer(seconds, expire)
    timer.start()
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        answer = process.stdout.read(REPORT_BYTES + 1)
        if len(answer) > REPORT_BYTES:
            process.kill()
        complaint = process.stderr.read(REPORT_BYTES)
        status = process.wait()
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]
        process.stderr.close()  # type: ignore[union-attr]
    if expired.is_set():
        raise _failed(name, f"it took more than {seconds:.0f} s; {_BY_HAND}")
    return _parse(answer, status=status, complaint=complaint, name=name, size=size)


def _environment() -> dict[str, str]:
    """What Python needs to find our code; no token, no proxy, no path of a secret."""
    return {
        "PYTHONPATH": str(Path(embedding_model.__file__).parents[1]),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


def _parse(answer: bytes, *, status: int, complaint: bytes, name: str, size: int) -> ChildReport:
    if status < 0:
        raise _failed(
            name,
            f"the process was ended by signal {-status}, which memory does that is too small: it needs somewhat more "
            f"than the {size} bytes of the file. Give the Job more memory, or {_BY_HAND}",
        )
    try:
        report = ChildReport.from_json(answer[:REPORT_BYTES])
    except ValidationError:
        logger.error("the conversion's process ended with status %d: %s", status, quote(_tail(complaint), limit=1000))
        raise _failed(name, f"the process ended with status {status} and no report; {_BY_HAND}") from None
    if report.problem is not None:
        raise _failed(name, _explain(report, size=size))
    return report


def _tail(complaint: bytes) -> str:
    return complaint.decode(errors="replace").strip()[-1000:]


def _explain(report: ChildReport, *, size: int) -> str:
    detail = quote(report.detail, limit=200) if report.detail else "nothing more is known"
    match report.problem:
        case Problem.UNPROTECTED:
            return f"a pickle is only read by a process that is shut in, and that cannot be done here: {report.detail}"
        case Problem.NOT_ONLY_TENSORS:
            return (
                f"it holds more than tensors, and loading that would run code ({detail}). If you trust its author, "
                f"{_BY_HAND}"
            )
        case Problem.NO_STATE_DICT:
            return f"expected a state dict (names and tensors), found something else ({detail}); {_BY_HAND}"
        case Problem.UNSUPPORTED_TENSOR:
            return f"it holds a tensor that safetensors cannot ({detail}); {_BY_HAND}"
        case Problem.TOO_MUCH_MEMORY:
            return f"reading it takes far more memory than its {size} bytes; {_BY_HAND}"
        case Problem.TOO_LARGE:
            return f"its tensors are too large for a file of {size} bytes ({detail}); {_BY_HAND}"
        case Problem.DAMAGED:
            return f"torch cannot read it ({detail}); it may be damaged or of a very old form: {_BY_HAND}"
        case _:
            return f"the conversion broke ({detail}); {_BY_HAND}, and please report it"


def _failed(name: str, what: str) -> Refusal:
    return Refusal(Reason.CONVERSION_FAILED, f"{name} was not converted: {what}", field=FIELD)


def _check_result(descriptor: int, *, name: str) -> None:
    size = os.fstat(descriptor).st_size
    try:
        length = read_header_length(os.pread(descriptor, LENGTH_BYTES, 0), path="the result", size=size)
        parse_header(os.pread(descriptor, length, LENGTH_BYTES), path="the result", length=length, size=size)
    except Refusal as refusal:
        raise _failed(name, f"{refusal.message}; {_BY_HAND}") from None


def _digest(descriptor: int) -> Digest:
    digest, position = hashlib.sha256(), 0
    while block := os.pread(descriptor, _BLOCK, position):
        digest.update(block)
        position += len(block)
    return Digest(size=position, sha256=digest.hexdigest())


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(quote(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown}, ..."
