"""Flux and Helm 4 (kstatus) and Argo CD tell the same truth of an EmbeddingModel, in each state that it can be in."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lupa
import pytest
import yaml
from recorded_states import FOLDER, SCENES, play, write

from localcluster.binaries import ensure_client_tool

HEALTH_SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "argocd" / "health.lua"

# What each makes of it: kstatus, and Argo CD's health.
EXPECTED = {
    "just-applied": ("InProgress", "Progressing"),
    "resolving": ("InProgress", "Progressing"),
    "downloading": ("InProgress", "Progressing"),
    "computing-reference": ("InProgress", "Progressing"),
    "loading": ("InProgress", "Progressing"),
    "serving": ("Current", "Healthy"),
    "changed-a-moment-ago": ("InProgress", "Progressing"),
    "golden-mismatch": ("Failed", "Degraded"),
    "new-generation-fails": ("Failed", "Degraded"),
    "insufficient-capacity": ("InProgress", "Progressing"),
    "scaled-to-zero": ("Current", "Healthy"),
    "suspended": ("Current", "Suspended"),
    "space-change-not-approved": ("Failed", "Degraded"),
    "replacing": ("InProgress", "Progressing"),
    "being-deleted": ("Terminating", "Healthy"),
}
SAME = {"InProgress": "Progressing", "Current": "Healthy", "Failed": "Degraded"}


def read(name: str) -> dict[str, Any]:
    if name == "being-deleted":
        model = read("serving")
        return {**model, "metadata": {**model["metadata"], "deletionTimestamp": "2026-03-01T12:30:00Z"}}
    state: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return state


@pytest.mark.parametrize("name", SCENES)
def test_the_operator_writes_what_is_recorded(name: str) -> None:
    expected = (FOLDER / f"{name}.yaml").read_text()
    assert write(play(name)) == expected, "write it anew: python tests/support/recorded_states.py"


def test_kstatus_says_what_is_expected() -> None:
    documents = "\n".join(json.dumps(read(name)) for name in EXPECTED)
    done = subprocess.run(
        [str(ensure_client_tool("kstatus"))], input=documents, capture_output=True, text=True, check=True
    )
    said = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert dict(zip(EXPECTED, said, strict=True)) == {name: kstatus for name, (kstatus, _) in EXPECTED.items()}


def test_argo_cd_says_what_is_expected() -> None:
    assert {name: argo_health(read(name))["status"] for name in EXPECTED} == {
        name: health for name, (_, health) in EXPECTED.items()
    }


def test_argo_cd_says_why() -> None:
    health = argo_health(read("golden-mismatch"))
    assert "paris" in str(health["message"])


def test_both_tell_the_same_truth() -> None:
    told = {name: pair for name, pair in EXPECTED.items() if name not in ("suspended", "being-deleted")}
    assert {name: SAME[kstatus] for name, (kstatus, _) in told.items()} == {
        name: argo for name, (_, argo) in told.items()
    }


def argo_health(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the script answers when Argo CD runs it: the object is the global `obj`."""
    runtime = lupa.LuaRuntime(unpack_returned_tuples=True)
    runtime.globals()["obj"] = runtime.table_from(model, recursive=True)
    return dict(runtime.execute(HEALTH_SCRIPT.read_text()))
