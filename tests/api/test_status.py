"""The status as it is written, and the reasons that conditions may carry."""

import re
from datetime import UTC, datetime, timedelta, timezone

import jsonschema
import pytest
from pydantic import ValidationError

from embedding_model.refusal import Reason as RefusalReason
from embedding_operator.api.crd import build_crd
from embedding_operator.api.reasons import ConditionType, Reason
from embedding_operator.api.refusals import REFUSALS
from embedding_operator.api.status import (
    MAX_MESSAGE,
    Condition,
    ConditionStatus,
    EmbeddingModelStatus,
    EvidenceStatus,
    ModelStatus,
    SpaceStatus,
    shorten,
)

READY = Condition(
    type=ConditionType.READY,
    status=ConditionStatus.TRUE,
    observed_generation=3,
    last_transition_time=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    reason=Reason.SERVING,
    message="2 of 2 pods serve",
)


def test_a_condition_is_written_as_every_other_condition_of_kubernetes() -> None:
    assert EmbeddingModelStatus(observed_generation=3, conditions=(READY,)).to_dict() == {
        "observedGeneration": 3,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "observedGeneration": 3,
                "lastTransitionTime": "2026-01-02T03:04:05Z",
                "reason": "Serving",
                "message": "2 of 2 pods serve",
            }
        ],
    }


def test_times_are_written_in_utc_wherever_they_come_from() -> None:
    local = datetime(2026, 1, 2, 4, 4, 5, tzinfo=timezone(timedelta(hours=1)))
    written = READY.model_copy(update={"last_transition_time": local}).model_dump(mode="json")
    assert written["last_transition_time"] == "2026-01-02T03:04:05Z"


def test_a_written_status_is_read_back_equal() -> None:
    status = EmbeddingModelStatus(
        observed_generation=3,
        conditions=(READY.model_copy(update={"last_transition_time": datetime(2026, 1, 2, tzinfo=UTC)}),),
        space=SpaceStatus(fingerprint="sp1-" + "0" * 32),
    )
    assert EmbeddingModelStatus.from_dict(status.to_dict()) == status


@pytest.mark.parametrize("raw", [None, {}, {"conditions": "none"}, {"observedGeneration": "x"}, []])
def test_a_status_that_cannot_be_read_counts_as_absent(raw: object) -> None:
    assert EmbeddingModelStatus.from_dict(raw) == EmbeddingModelStatus()


def test_a_condition_without_a_reason_cannot_be_made() -> None:
    with pytest.raises(ValidationError):
        Condition(type="Ready", status=ConditionStatus.TRUE, last_transition_time=READY.last_transition_time, reason="")


def test_a_long_message_is_cut_to_what_the_api_server_takes() -> None:
    cut = shorten("x" * (MAX_MESSAGE + 1))
    assert len(cut) == MAX_MESSAGE
    assert cut.endswith(" ...")
    assert shorten("short") == "short"


def test_whatever_the_files_of_a_model_say_the_status_fits_the_schema() -> None:
    long = "x" * 100_000
    evidence = EvidenceStatus(field="prompts", value=long, file=long, note=long, overruled=(long,) * 100)
    status = EmbeddingModelStatus(
        conditions=(READY.model_copy(update={"message": "short"}),),
        model=ModelStatus(architecture=long, requested=long, evidence=(evidence,) * 1000),
        url=long,
    )
    root = build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    jsonschema.validate(status.to_dict(), root["properties"]["status"])
    assert status.model is not None
    assert status.model.architecture is not None
    assert status.model.architecture.endswith(" ...")


def test_every_reason_is_one_camel_case_word_with_one_meaning() -> None:
    values = [*(reason.value for reason in Reason), *(reason.value for reason in RefusalReason)]
    assert len(values) == len(set(values))
    assert not [value for value in values if not re.fullmatch(r"[A-Z][A-Za-z]+", value)]


def test_every_reason_of_a_refusal_is_explained() -> None:
    assert set(REFUSALS) == set(RefusalReason)


def test_reasons_and_types_are_explained_in_a_sentence() -> None:
    said = [*Reason, *REFUSALS.values()]
    texts = [*(kind.doc for kind in ConditionType), *(item.doc for item in said), *(item.remedy for item in said)]
    assert not [text for text in texts if not re.fullmatch(r"\w.*\w\.", text)]
