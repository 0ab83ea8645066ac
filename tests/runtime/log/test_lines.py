"""One line of the log: its keys, and stacks without what errors quote."""

import json
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import torch

from embedding_model.refusal import Reason, Refusal
from embedding_runtime.log import configure_logging, format_stack, write_failure, write_result
from embedding_runtime.settings import LogFormat

QUOTED = "my-private-question"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, hook, show = logging.getLogger(), threading.excepthook, warnings.showwarning
    before = root.level, list(root.handlers)
    root.handlers.clear()  # what is configured closes those that it finds, and pytest's are still needed
    yield
    logging.captureWarnings(False)
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    threading.excepthook, warnings.showwarning = hook, show


Capsys = pytest.CaptureFixture[str]


def entries(capsys: Capsys) -> list[dict[str, str]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def raised(make: Callable[[], object]) -> BaseException:
    try:
        make()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def quote() -> None:
    raise ValueError(f"not a number: {QUOTED}")


def quote_twice() -> None:
    try:
        quote()
    except ValueError as error:
        raise KeyError(QUOTED) from error


def test_a_line_is_an_object_with_the_keys_of_the_operators_log(capsys: Capsys) -> None:
    configure_logging(LogFormat.JSON)
    logging.getLogger("embedding_runtime.test").warning("%d texts\nfailed", 3)
    [entry] = entries(capsys)
    assert set(entry) == {"time", "level", "logger", "message"}
    assert (entry["level"], entry["logger"], entry["message"]) == (
        "warning",
        "embedding_runtime.test",
        "3 texts\nfailed",
    )
    assert datetime.fromisoformat(entry["time"]).utcoffset() == timedelta(0)


def test_a_stack_is_part_of_its_line(capsys: Capsys) -> None:
    configure_logging(LogFormat.JSON)
    logging.getLogger("embedding_runtime.test").error("failed", exc_info=raised(quote))
    [entry] = entries(capsys)
    assert "in quote" in entry["stack"]
    assert "ValueError" in entry["stack"]
    assert QUOTED not in entry["stack"]


def test_text_lines_leave_out_what_errors_quote_too(capsys: Capsys) -> None:
    configure_logging(LogFormat.TEXT)
    logging.getLogger("embedding_runtime.test").error("failed", exc_info=raised(quote))
    written = capsys.readouterr().err
    assert "ERROR failed" in written
    assert "in quote" in written
    assert QUOTED not in written


def test_every_error_of_a_chain_is_named_cause_first_and_none_speaks() -> None:
    stack = format_stack(raised(quote_twice))
    assert stack.index("ValueError") < stack.index("KeyError")
    assert QUOTED not in stack


def test_the_members_of_a_group_are_named_and_none_speaks() -> None:
    group = ExceptionGroup(QUOTED, [raised(quote), raised(quote_twice)])
    stack = format_stack(group)
    assert "ExceptionGroup" in stack
    assert "KeyError" in stack
    assert QUOTED not in stack


def test_a_chain_that_leads_back_to_itself_ends() -> None:
    first, second = raised(quote), raised(quote)
    first.__cause__, second.__cause__ = second, first
    assert format_stack(first).count("Traceback") == 2


def test_an_error_without_a_stack_is_named() -> None:
    assert "ValueError" in format_stack(ValueError(QUOTED))
    assert QUOTED not in format_stack(ValueError(QUOTED))


def test_our_own_errors_say_what_they_say_to_users() -> None:
    assert "model.safetensors is missing" in format_stack(Refusal(Reason.MISSING_FILE, "model.safetensors is missing"))


def test_a_file_that_cannot_be_opened_is_not_named_but_the_cause_is() -> None:
    stack = format_stack(raised(Path(f"/{QUOTED}").read_bytes))
    assert "No such file or directory" in stack
    assert QUOTED not in stack


def test_what_fails_behind_the_tokens_speaks_for_it_saw_numbers_alone() -> None:
    stack = format_stack(raised(lambda: torch.ones(2, 3) @ torch.ones(2, 3)))
    assert "left out" in stack, "our test multiplied, no module that sees numbers alone"
    stack = format_stack(raised(lambda: torch.nn.Linear(2, 3)(torch.ones(1, 3))))
    assert "shapes cannot be multiplied" in stack


def test_a_thread_that_ends_with_an_error_is_a_line_without_its_text(capsys: Capsys) -> None:
    configure_logging(LogFormat.JSON)
    thread = threading.Thread(target=quote, name="reader")
    thread.start()
    thread.join()
    [entry] = entries(capsys)
    assert "the thread reader ended" in entry["message"]
    assert "in quote" in entry["stack"]
    assert QUOTED not in json.dumps(entry)


def test_a_warning_is_a_line(capsys: Capsys) -> None:
    configure_logging(LogFormat.JSON)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", UserWarning, stacklevel=1)
    [entry] = entries(capsys)
    assert (entry["logger"], entry["level"]) == ("py.warnings", "warning")


def test_a_name_that_is_no_unicode_does_not_break_its_line(capsys: Capsys) -> None:
    configure_logging(LogFormat.JSON)
    logging.getLogger("embedding_runtime.test").info("folder %s", b"\xff".decode(errors="surrogateescape"))
    [entry] = entries(capsys)
    assert entry["message"] == "folder ?"


def test_the_last_words_are_an_object_for_collectors_and_plain_for_people(capsys: Capsys) -> None:
    configure_logging(LogFormat.JSON)
    write_failure("InvalidAuth: no keys")
    write_result("2 files")
    assert [(entry["level"], entry["message"]) for entry in entries(capsys)] == [
        ("error", "InvalidAuth: no keys"),
        ("info", "2 files"),
    ]
    configure_logging(LogFormat.TEXT)
    write_failure("InvalidAuth: no keys")
    write_result("2 files")
    written = capsys.readouterr()
    assert (written.err, written.out) == ("error: InvalidAuth: no keys\n", "2 files\n")
