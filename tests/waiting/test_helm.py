"""`helm install --wait` of Helm 4 ends as kstatus says, for every recorded state, on a real API server."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from private_apiserver import PrivateApiServer, private_apiserver
from recorded_states import FOLDER, SCENES

CRD = Path(__file__).resolve().parents[2] / "crds" / "embeddingmodels.embedding-operator.dev.yaml"
MODELS = "/apis/embedding-operator.dev/v1alpha1/namespaces/default/embeddingmodels"
PATIENCE = 300.0
IN_VAIN = 40.0  # for how long helm waits for what does not come

SUCCEEDS = {"serving", "scaled-to-zero", "suspended"}
FAILS = {"golden-mismatch", "new-generation-fails", "space-change-not-approved"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateApiServer]:
    with private_apiserver(tmp_path_factory.mktemp("apiserver")) as server:
        server.install_crd(CRD)
        yield server


@pytest.mark.apiserver
def test_helm_4_waits_for_what_may_come_and_fails_at_once_where_waiting_is_in_vain(
    server: PrivateApiServer, helm: Path, tmp_path: Path
) -> None:
    waiting = {name: install(name, helm=helm, server=server, folder=tmp_path) for name in SCENES}
    try:
        for name in SCENES:
            write_status(name, server=server)
    finally:
        ended = {name: process.communicate() for name, process in waiting.items()}
    codes = {name: process.returncode for name, process in waiting.items()}
    assert {name for name, code in codes.items() if code == 0} == SUCCEEDS, ended
    gave_up = {name for name, (_, error) in ended.items() if "deadline" in error}
    assert gave_up == set(SCENES) - SUCCEEDS - FAILS, ended


def install(name: str, *, helm: Path, server: PrivateApiServer, folder: Path) -> "subprocess.Popen[str]":
    """A chart that holds the object of this state, being installed."""
    recorded = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    model = {key: recorded[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": name}}
    chart = folder / name
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": name, "version": "0.1.0"}))
    (chart / "templates" / "model.yaml").write_text(json.dumps(model))
    command = [helm, "install", name, chart, "--kubeconfig", server.kubeconfig]
    timeout = PATIENCE if name in SUCCEEDS | FAILS else IN_VAIN
    options = ["--wait", "--timeout", f"{timeout:.0f}s"]
    return subprocess.Popen(
        [*map(str, command), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
    )


def write_status(name: str, *, server: PrivateApiServer) -> None:
    """The recorded status, as the operator would write it: of the object's present generation, or of the one before."""
    recorded = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    model = wait_for_model(name, server=server)
    if "status" not in recorded:
        return
    lag = recorded["metadata"]["generation"] - recorded["status"]["observedGeneration"]
    status = {**recorded["status"], "observedGeneration": model["metadata"]["generation"] - lag}
    server.request("PUT", f"{MODELS}/{name}/status", body={**model, "status": status})


def wait_for_model(name: str, *, server: PrivateApiServer) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while True:
        listed: list[dict[str, Any]] = server.request("GET", MODELS)["items"]
        found = next((item for item in listed if item["metadata"]["name"] == name), None)
        if found is not None:
            return found
        assert time.monotonic() < deadline, f"helm has not made {name}"
        time.sleep(0.1)
