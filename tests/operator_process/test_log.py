"""Log lines for collectors and for people."""

import json
import logging
from collections.abc import Iterator

import pytest

from embedding_operator.log import configure_logging


@pytest.fixture(autouse=True)
def root_logger_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("kopf").level)
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    logging.getLogger("kopf").setLevel(before[2])


def test_json_lines_hold_time_level_logger_message_and_stack(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level="info", json_lines=True)
    try:
        raise ValueError("a bug")
    except ValueError:
        logging.getLogger("embedding_operator.test").exception("failed\nbadly")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    entry = json.loads(lines[0])
    assert (entry["level"], entry["logger"], entry["message"]) == ("error", "embedding_operator.test", "failed\nbadly")
    assert "ValueError: a bug" in entry["stack"]
    assert entry["time"].endswith("+00:00")


def test_kopf_is_silent_unless_debugging(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level="info", json_lines=False)
    logging.getLogger("kopf.objects").error("Request attempt #1 failed")
    logging.getLogger("embedding_operator").info("leading")
    assert capsys.readouterr().err.rstrip().endswith("leading")
