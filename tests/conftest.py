"""Fixtures that every layer shares: the local cluster's kubeconfig and tools, folders of real models."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from live_cluster import LiveCluster

from localcluster.binaries import ensure_client_tool

pytest_plugins = ["figures"]

ROOT = Path(__file__).resolve().parents[1]

# A busy machine may stop a process for longer than an example's 200 ms: tests do not measure time.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def cluster_status() -> Mapping[str, Any]:
    """`hack/cluster status -o json` of the running cluster."""
    result = subprocess.run(
        [str(ROOT / "hack" / "cluster"), "status", "-o", "json"], capture_output=True, text=True, check=False
    )
    if result.returncode:
        pytest.fail(f"the local cluster does not run; start it with hack/cluster up\n{result.stderr}")
    status: dict[str, Any] = json.loads(result.stdout)
    if not status.get("running"):
        pytest.fail("the local cluster does not run; start it with hack/cluster up")
    return status


@pytest.fixture(scope="session")
def kubeconfig(cluster_status: Mapping[str, Any]) -> Path:
    return Path(cluster_status["kubeconfig"])


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """The kubectl binary that the local cluster uses; installed without starting a cluster."""
    return ensure_client_tool("kubectl")


@pytest.fixture(scope="session")
def helm() -> Path:
    """The helm binary that the local cluster uses; installed without starting a cluster."""
    return ensure_client_tool("helm")


@pytest.fixture(scope="session")
def live_cluster(cluster_status: Mapping[str, Any], kubeconfig: Path) -> LiveCluster:
    return LiveCluster(
        kubectl_binary=cluster_status["tools"]["kubectl"],
        kubeconfig=kubeconfig,
        audit_log=Path(cluster_status["auditLog"]),
    )


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """all-MiniLM-L6-v2 as its package carries it."""
    from localcluster.hub.demo_models import fetch_minilm

    return fetch_minilm()


@pytest.fixture(scope="session")
def sre_folder() -> Path:
    """A second real embedder of the same shape with other numbers."""
    from localcluster.hub.demo_models import fetch_sre

    return fetch_sre()
