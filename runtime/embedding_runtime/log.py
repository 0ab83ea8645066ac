"""Log lines on stderr: JSON for collectors, text for people. Neither ever holds text of a user, a key or a token.

Our own messages hold none. What libraries raise may: pydantic, orjson and tokenizers quote their input. So the stack of
an error shows where it was raised and of which class each error of the chain is, and its text only where no text of a
request can get to: see `_may_be_shown`.

An error that ends the process is left to Python's own traceback, in plain text: the kubelet copies the end of the log
into the pod's status, and there the last line has to say what happened.
"""

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import orjson

from embedding_model.refusal import Refusal, Unavailable
from embedding_runtime.errors import RequestError
from embedding_runtime.settings import LogFormat

logger = logging.getLogger(__name__)

QUIET_LOGGERS = {
    "uvicorn.error": logging.WARNING,
    "httpx": logging.WARNING,  # a line for each request, with the whole URL
    # Warns of torchao's own enums wherever transformers imports it; nothing that a user of a server could act on.
    "torch.utils._pytree": logging.ERROR,
}
CHAIN_LENGTH = 16  # errors of one chain that are shown

# These say what they say to clients and users: their texts are written to hold no text of a request.
OWN_ERRORS = (RequestError, Refusal, Unavailable)
# Behind these, requests are token ids and numbers.
NUMERIC_CODE = ("torch", "embedding_runtime.backends", "embedding_runtime.architectures")

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatException(self, ei: ExceptionInfo) -> str:
        return format_stack(ei[1]) if ei[1] is not None else ""


class JsonFormatter(TextFormatter):
    """One object a line, with the keys of the operator's log."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["stack"] = self.formatException(record.exc_info)
        # Names of files may hold what is no Unicode.
        return orjson.dumps({key: _replace_surrogates(value) for key, value in entry.items()}).decode()


def configure_logging(log_format: LogFormat) -> None:
    """Set up the root logger, and let warnings and threads that end with an error speak through it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format is LogFormat.JSON else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name, level in QUIET_LOGGERS.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_error


def log_loop_errors() -> None:
    """Let the running event loop report in our form: its own quotes arguments and results of what failed."""
    asyncio.get_running_loop().set_exception_handler(_log_loop_error)


def write_failure(line: str) -> None:
    """Why the process gives up: as an object among the others, or for people as every command says it."""
    if _writes_json():
        logger.error("%s", line)
    else:
        print(f"error: {line}", file=sys.stderr, flush=True)


def write_result(line: str) -> None:
    """What the process has done, in the same two forms; for people on stdout."""
    if _writes_json():
        logger.info("%s", line)
    else:
        print(line, flush=True)


def _writes_json() -> bool:
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def format_stack(error: BaseException) -> str:
    """Frames and classes of an error and of those that led to it, as Python orders them; texts only of some."""
    return "\n\n".join(_format_one(item) for item in reversed(list(_walk_chain(error))))


def _format_one(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__))
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    text = _describe(error)
    return f"Traceback (most recent call last):\n{frames}{name}{f': {text}' if text else ''}"


def _walk_chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on; of a group also its members."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting and len(seen) < CHAIN_LENGTH:
        item = waiting.pop(0)
        if id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        if isinstance(item, BaseExceptionGroup):
            waiting += item.exceptions
        before = item.__cause__ or (None if item.__suppress_context__ else item.__context__)
        if before is not None:
            waiting.append(before)


def _describe(error: BaseException) -> str:
    if isinstance(error, OSError):
        return error.strerror or ""  # without the file's name, which a request may have chosen
    return str(error) if _may_be_shown(error) else "(its text is left out: it may quote a request)"


def _may_be_shown(error: BaseException) -> bool:
    if isinstance(error, OWN_ERRORS):
        return True
    raised = error.__traceback__
    while raised is not None and raised.tb_next is not None:
        raised = raised.tb_next
    module = raised.tb_frame.f_globals.get("__name__", "") if raised is not None else type(error).__module__
    return any(module == name or module.startswith(f"{name}.") for name in NUMERIC_CODE)


def _replace_surrogates(text: str) -> str:
    return text.encode(errors="replace").decode()


def _log_thread_error(failed: threading.ExceptHookArgs) -> None:
    name = failed.thread.name if failed.thread else "unknown"
    logger.error("the thread %s ended with an error", name, exc_info=failed.exc_value)


def _log_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if error is None:
        logger.error("the event loop: %s", context.get("message"))
    else:
        logger.error("an error outside of any request", exc_info=error)
