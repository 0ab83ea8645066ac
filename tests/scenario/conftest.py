"""A cluster in memory whose hub has one small model."""

import pytest
from model_samples import COMMIT, request_token, resolved
from simulated_cluster import SimulatedCluster


@pytest.fixture
def cluster() -> SimulatedCluster:
    made = SimulatedCluster()
    made.facts.resolutions[request_token()] = resolved()
    made.facts.resolutions[request_token(commit=COMMIT)] = resolved()
    return made
