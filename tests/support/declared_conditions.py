"""Conditions as a status has them, held to the table that the API declares."""

from collections.abc import Mapping, Sequence
from typing import Any

from embedding_operator.api.conditions import is_declared


def list_said(model: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
    """Type, status and reason of every condition."""
    conditions = (model.get("status") or {}).get("conditions") or ()
    return [(item["type"], item["status"], item["reason"]) for item in conditions]


def find_undeclared(model: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
    """Those whose reason their type and status cannot have."""
    return [item for item in list_said(model) if not is_declared(item[0], status=item[1], reason=item[2])]


def assert_declared(model: Mapping[str, Any]) -> None:
    """Every condition has a reason that its type and status can have."""
    undeclared = find_undeclared(model)
    assert undeclared == [], f"api/conditions.py declares no such conditions: {undeclared}"
