"""A cluster in memory whose hub has one small model."""

import pytest
from model_samples import request_token, resolved
from simulated_cluster import SimulatedCluster


@pytest.fixture
def cluster() -> SimulatedCluster:
    made = SimulatedCluster()
    made.facts.resolutions[request_token()] = resolved()
    return made
