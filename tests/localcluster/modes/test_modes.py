"""CLUSTER=kind and CLUSTER=current, with programs that write down how they were called."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
IMAGE_ID = "sha256:0123456789abcdef" + "0" * 48

# Each call is one line of JSON; what kind, docker and kubectl answer is what the commands look at.
RECORDER = f"""#!/usr/bin/env python3
import json, os, pathlib, sys
name = pathlib.Path(sys.argv[0]).name
log = pathlib.Path(os.environ["CALLS"])
with log.open("a") as file:
    file.write(json.dumps([name, *sys.argv[1:]]) + "\\n")
words = sys.argv[1:]
if name == "kind" and words[:2] == ["get", "clusters"]:
    created = any('"create", "cluster"' in line for line in log.read_text().splitlines())
    print("embedding-operator" if created else "")
if name == "kind" and words[:2] == ["create", "cluster"]:
    pathlib.Path(words[words.index("--kubeconfig") + 1]).write_text("kubeconfig")
if "--iidfile" in words:
    pathlib.Path(words[words.index("--iidfile") + 1]).write_text("{IMAGE_ID}")
if name == "kubectl" and "get" in words and any("nvidia" in word for word in words):
    print("2" if any('"patch"' in line for line in log.read_text().splitlines()) else "")
if "current-context" in words:
    print("my-context")
"""


@dataclass(frozen=True)
class Machine:
    """A machine with recording programs on its PATH and an empty cache."""

    folder: Path

    def cluster(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder / 'programs'}:{os.environ['PATH']}"
        variables = {"PATH": path, "CALLS": str(self.folder / "calls"), "XDG_CACHE_HOME": str(self.folder / "cache")}
        inherited = {
            key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "REGISTRY", "CLUSTER")
        }
        return subprocess.run(
            [str(ROOT / "hack" / "cluster"), *arguments],
            env={**inherited, **variables, "HOME": str(self.folder / "home"), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]

    def install(self, name: str) -> None:
        program = self.folder / "programs" / name
        program.write_text(RECORDER)
        program.chmod(0o755)

    def cache_tool(self, name: str, *, version: str) -> None:
        folder = self.folder / "cache" / "embedding-operator" / "bin"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}-{version}").write_text(RECORDER)
        (folder / f"{name}-{version}").chmod(0o755)
        (folder / name).symlink_to(f"{name}-{version}")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    from localcluster.binaries import TABLE

    (tmp_path / "programs").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "calls").touch()
    machine = Machine(tmp_path)
    for name in ("kubectl", "helm"):
        machine.cache_tool(name, version=TABLE[name].version)
    return machine


@pytest.fixture
def kind_machine(machine: Machine) -> Machine:
    machine.install("kind")
    machine.install("docker")
    return machine


def kubeconfig(folder: Path) -> Mapping[str, str]:
    path = folder / "my.conf"
    path.write_text("kubeconfig")
    return {"KUBECONFIG": str(path)}


def test_an_unknown_mode_names_the_known_ones(machine: Machine) -> None:
    result = machine.cluster("up", CLUSTER="minikube")
    assert result.returncode == 1
    assert "CLUSTER=minikube: expected one of local, kind, current" in result.stderr


def test_kind_says_what_is_missing(machine: Machine) -> None:
    result = machine.cluster("up", CLUSTER="kind")
    assert result.returncode == 1
    assert "CLUSTER=kind needs kind" in result.stderr


def test_kind_creates_its_own_cluster_with_gpus_and_an_audit_log(kind_machine: Machine) -> None:
    result = kind_machine.cluster("up", CLUSTER="kind")
    assert result.returncode == 0, result.stderr
    create = next(call for call in kind_machine.calls() if call[:3] == ["kind", "create", "cluster"])
    assert create[create.index("--name") + 1] == "embedding-operator"
    configuration = json.loads(Path(create[create.index("--config") + 1]).read_text())
    [node] = configuration["nodes"]
    assert "audit-policy-file" in node["kubeadmConfigPatches"][0]
    assert all(Path(mount["hostPath"]).exists() for mount in node["extraMounts"])
    patch = next(call for call in kind_machine.calls() if "patch" in call)
    assert {change["path"] for change in json.loads(patch[-1])} == {
        "/status/capacity/nvidia.com~1gpu",
        "/status/allocatable/nvidia.com~1gpu",
    }


def test_kind_up_on_a_running_cluster_changes_nothing(kind_machine: Machine) -> None:
    kind_machine.cluster("up", CLUSTER="kind")
    before = len(kind_machine.calls())
    assert kind_machine.cluster("up", CLUSTER="kind").returncode == 0
    added = kind_machine.calls()[before:]
    reads = ("info", "get")
    assert [call for call in added if not set(reads) & set(call)] == []


def test_kind_up_completes_one_that_was_interrupted_before_the_gpus(kind_machine: Machine) -> None:
    kind_machine.cluster("up", CLUSTER="kind")
    calls = kind_machine.folder / "calls"
    calls.write_text("".join(line for line in calls.read_text().splitlines(keepends=True) if '"patch"' not in line))
    result = kind_machine.cluster("up", CLUSTER="kind")
    assert result.returncode == 0, result.stderr
    assert len([call for call in kind_machine.calls() if "patch" in call]) == 1


def test_kind_up_names_the_way_out_of_a_cluster_that_is_half_made(kind_machine: Machine) -> None:
    kind_machine.cluster("up", CLUSTER="kind")
    (kind_machine.folder / "cache" / "embedding-operator" / "kind" / "kubeconfig").unlink()
    result = kind_machine.cluster("up", CLUSTER="kind")
    assert result.returncode == 1
    assert "`CLUSTER=kind hack/cluster down`, then up" in result.stderr


def test_kind_builds_with_docker_and_loads_a_tag_made_from_the_content(kind_machine: Machine) -> None:
    result = kind_machine.cluster("build", "operator", CLUSTER="kind")
    assert result.returncode == 0, result.stderr
    reference = "localhost/embedding-operator/operator:dev-0123456789ab"
    assert result.stdout.split() == [reference]
    assert ["kind", "load", "docker-image", reference, "--name", "embedding-operator"] in kind_machine.calls()
    status = json.loads(kind_machine.cluster("status", "-o", "json", CLUSTER="kind").stdout)
    assert status["images"] == {"operator": reference}


def test_kind_down_deletes_only_its_own_cluster(kind_machine: Machine) -> None:
    kind_machine.cluster("up", CLUSTER="kind")
    assert kind_machine.cluster("down", CLUSTER="kind").returncode == 0
    delete = kind_machine.calls()[-1]
    assert delete[:5] == ["kind", "delete", "cluster", "--name", "embedding-operator"]


def test_the_current_cluster_is_only_read(machine: Machine, tmp_path: Path) -> None:
    environment = kubeconfig(tmp_path)
    for command in ("up", "down"):
        result = machine.cluster(command, CLUSTER="current", **environment)
        assert result.returncode == 0, result.stderr
    assert {tuple(call[3:5]) for call in machine.calls() if "--request-timeout=10s" not in call} == {
        ("config", "current-context")
    }
    assert [call[-3:] for call in machine.calls() if "--request-timeout=10s" in call] == [["get", "--raw", "/readyz"]]


def test_the_current_cluster_needs_a_kubeconfig(machine: Machine) -> None:
    result = machine.cluster("kubeconfig", CLUSTER="current")
    assert result.returncode == 1
    assert "no kubeconfig at" in result.stderr


def test_images_for_the_current_cluster_go_to_the_named_registry(machine: Machine, tmp_path: Path) -> None:
    machine.install("docker")
    environment = kubeconfig(tmp_path)
    result = machine.cluster("build", "runtime", CLUSTER="current", REGISTRY="registry.test/team", **environment)
    assert result.returncode == 0, result.stderr
    reference = "registry.test/team/runtime:dev-0123456789ab"
    assert result.stdout.split() == [reference]
    assert ["docker", "push", reference] in machine.calls()


def test_images_for_the_current_cluster_need_a_registry(machine: Machine, tmp_path: Path) -> None:
    machine.install("docker")
    result = machine.cluster("build", CLUSTER="current", **kubeconfig(tmp_path))
    assert result.returncode == 1
    assert "set REGISTRY to a registry path" in result.stderr


@pytest.mark.parametrize("program", ["demo.py", "run_layers.py"])
def test_demo_and_tests_refuse_another_mode_in_one_line(machine: Machine, program: str) -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / "hack" / program)],
        env={**os.environ, "CLUSTER": "kind", "XDG_CACHE_HOME": str(machine.folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert "needs the local cluster, and CLUSTER=kind names another" in line
    assert result.stdout == ""


def test_system_programs_are_found_without_the_administrators_folders_in_path(
    kind_machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (kind_machine.folder / "programs" / "docker").write_text(
        """#!/bin/sh
case ":$PATH:" in *:/usr/sbin:*) exit 0;; esac
exit 1
"""
    )
    assert kind_machine.cluster("up", CLUSTER="kind").returncode == 0


def test_the_path_of_a_cached_tool_is_printed_without_a_cluster(machine: Machine) -> None:
    result = machine.cluster("tool", "helm")
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()).resolve().is_file()


def test_the_status_of_a_cluster_that_was_never_started_is_no_error(machine: Machine, tmp_path: Path) -> None:
    result = machine.cluster("status", "-o", "json", CLUSTER="current", **kubeconfig(tmp_path))
    assert result.returncode == 0, result.stderr
    status = json.loads(result.stdout)
    assert {"running", "kubeconfig", "registry", "images", "hubURL", "auditLog", "tools", "disk"} <= set(status)
