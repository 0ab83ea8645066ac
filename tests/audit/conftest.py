"""Time that moves when the test says so, pods that answer what it lays down, and the models that an auditor wakes."""

import pytest
from canned_pods import CannedPods
from manual_clock import ManualClock

from embedding_operator.observe.facts import Key


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def pods() -> CannedPods:
    return CannedPods()


@pytest.fixture
def told() -> list[Key]:
    return []
