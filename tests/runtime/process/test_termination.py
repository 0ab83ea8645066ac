"""What a process leaves for the pod's status when it gives up."""

from pathlib import Path

import pytest

from embedding_model.refusal import Reason, Refusal, RefusalDocument, Unavailable
from embedding_runtime.termination import report_failure


@pytest.fixture
def log(tmp_path: Path) -> Path:
    log = tmp_path / "termination-log"
    log.touch()
    return log


@pytest.mark.parametrize("character", ["x", "\N{GRINNING FACE}", "\x01", '"'])
def test_a_refusal_of_any_length_fits_and_can_be_read(log: Path, character: str) -> None:
    """A path of a thousand characters may be part of it, and the kubelet keeps no more than 4096 bytes."""
    report_failure(Refusal(Reason.HASH_MISMATCH, character * 5000, field="model"), log=log)

    assert log.stat().st_size <= 4096
    document = RefusalDocument.model_validate_json(log.read_bytes())
    assert (document.reason, document.field) == (Reason.HASH_MISMATCH, "model")
    assert document.message.startswith(character * 600)


def test_a_usual_refusal_is_left_whole(log: Path) -> None:
    refusal = Refusal(Reason.MISSING_FILE, "no config.json")
    report_failure(refusal, log=log)
    assert RefusalDocument.model_validate_json(log.read_bytes()) == refusal.document()


def test_what_may_heal_is_plain_text(log: Path) -> None:
    report_failure(Unavailable("hub hub.example did not answer"), log=log)
    assert log.read_text() == "hub hub.example did not answer"
