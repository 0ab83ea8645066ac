"""The table of conditions and their reasons, and the reference that is written from it."""

import re

import pytest
from declared_conditions import assert_declared

from embedding_model.refusal import Reason as RefusalReason
from embedding_operator.api.conditions import CONDITION_REASONS, EVENT_REASONS, is_declared, list_appearances
from embedding_operator.api.reasons import ConditionType, Reason
from embedding_operator.api.status import ConditionStatus
from generators.conditions_reference import write_conditions_reference

READY, RECONCILING, STALLED = ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED


@pytest.mark.parametrize("reason", [*Reason, *RefusalReason], ids=str)
def test_every_reason_is_of_a_condition_or_of_an_event(reason: Reason | RefusalReason) -> None:
    assert bool(list_appearances(reason)) != (reason in EVENT_REASONS)


def test_every_condition_has_reasons_and_none_twice() -> None:
    assert set(CONDITION_REASONS) == set(ConditionType)
    listed = [(kind, reasons) for kind, by_status in CONDITION_REASONS.items() for reasons in by_status.values()]
    assert [kind for kind, reasons in listed if not reasons or len(reasons) != len(set(reasons))] == []


def test_what_is_present_only_while_true_is_declared_true_alone() -> None:
    assert [set(CONDITION_REASONS[kind]) for kind in (RECONCILING, STALLED)] == [{ConditionStatus.TRUE}] * 2


def test_ready_is_false_for_every_reason_to_wait_or_to_stall() -> None:
    causes = {*CONDITION_REASONS[RECONCILING][ConditionStatus.TRUE], *CONDITION_REASONS[STALLED][ConditionStatus.TRUE]}
    assert set(CONDITION_REASONS[READY][ConditionStatus.FALSE]) - causes == {Reason.SUSPENDED}


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [("Ready", "True", "Resolving"), ("Ready", "Unknown", "Serving"), ("Ready", "true", "Serving"), ("Sound", "", "")],
)
def test_a_condition_with_a_reason_of_another_one_is_found(kind: str, status: str, reason: str) -> None:
    assert not is_declared(kind, status=status, reason=reason)
    with pytest.raises(AssertionError, match="declares no such conditions"):
        assert_declared({"status": {"conditions": [{"type": kind, "status": status, "reason": reason}]}})


def test_the_reference_has_one_line_for_each_reason_and_every_link_leads_to_one() -> None:
    text = write_conditions_reference()
    anchors = re.findall(r'<a id="([^"]+)"></a>`([A-Za-z]+)`', text)
    assert [name for _, name in anchors] == [*(item.value for item in Reason), *(item.value for item in RefusalReason)]
    headings = {title.lower().replace(" ", "-").replace(",", "") for title in re.findall(r"^## (.+)$", text, re.M)}
    linked = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert linked - {anchor for anchor, _ in anchors} <= headings
    assert {anchor for anchor, _ in anchors if f"(#{anchor})" not in text} <= {
        f"reason-{reason.lower()}" for reason in RefusalReason
    }
