"""Time that moves when the test says so, and the models that an auditor wakes."""

import pytest
from manual_clock import ManualClock

from embedding_operator.observe.facts import Key


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def told() -> list[Key]:
    return []
