"""`down` ends and removes what is the cluster's own, and nothing of another Kubernetes on the machine."""

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcluster import cgroups, layout, network, node, teardown
from localcluster.errors import ClusterError
from localcluster.hub import daemon
from localcluster.local import LocalMode

POD = "kubepods/burstable/pod1"


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with two hierarchies of cgroup v1 and no cluster."""
    monkeypatch.setattr(cgroups, "FILE_SYSTEM", tmp_path / "cgroup")
    for name in ("STATE", "RUN", "LOGS", "HUB_STATE", "CACHE"):
        monkeypatch.setattr(layout, name, tmp_path / name.lower())
    for hierarchy in ("cpuset", "memory"):
        make_cgroup(tmp_path / "cgroup" / hierarchy, processes=[1])
    (tmp_path / "cgroup" / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cgroup" / "cpuset" / "cpuset.mems").write_text("0\n")
    return tmp_path / "cgroup"


def make_cgroup(path: Path, *, processes: list[int]) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in processes))
    return path


def note_container(name: str, *cgroup_paths: Path) -> None:
    """As runc does for each container."""
    folder = layout.RUN / "runc" / "k8s.io" / name
    folder.mkdir(parents=True)
    state = {"id": name, "cgroup_paths": {str(number): str(path) for number, path in enumerate(cgroup_paths)}}
    (folder / "state.json").write_text(json.dumps(state))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_mounts_of_an_image_build_are_not_the_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make demo` builds images while `up` clears away what a crash left behind."""
    monkeypatch.setattr(layout, "BUILDAH_ROOT", layout.CACHE / "buildah")
    pod, build = layout.CACHE / "cluster" / "pod", layout.BUILDAH_ROOT / "overlay" / "merged"
    try:
        for folder in (pod, build):
            folder.mkdir(parents=True)
            subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
        assert teardown.mounts() == [str(pod)]
    finally:
        for folder in (pod, build):
            subprocess.run(["umount", str(folder)], check=False)


def test_processes_of_another_kubernetes_are_not_ours(machine: Path) -> None:
    make_cgroup(machine / "memory" / POD / "theirs", processes=[11])
    make_cgroup(machine / "memory" / "k3s" / POD / "theirs", processes=[12])
    make_cgroup(machine / "memory" / layout.CGROUP / POD / "ours", processes=[0, 21, 22])
    assert cgroups.pids() == [21, 22]


def test_a_container_outside_our_cgroup_is_found_by_what_runc_noted(machine: Path) -> None:
    make_cgroup(machine / "memory" / POD / "theirs", processes=[11])
    ours = make_cgroup(machine / "memory" / POD / "ours", processes=[21])
    note_container("ours", ours)
    assert cgroups.of_containers() == [ours]
    assert cgroups.pids() == [21]


def test_a_note_that_names_a_cgroup_of_others_is_not_believed(machine: Path) -> None:
    note_container("ours", machine / "memory", machine / "memory" / POD, Path("/elsewhere/ours"))
    assert cgroups.of_containers() == []


def test_our_cgroups_are_removed_and_those_of_another_kubernetes_stay(machine: Path) -> None:
    theirs = machine / "memory" / "kubepods" / "burstable" / "pod2" / "theirs"
    earlier = machine / "memory" / POD / "earlier"
    ours = machine / "memory" / layout.CGROUP / POD / "ours"
    for folder in (theirs, earlier, ours):
        folder.mkdir(parents=True)
    cgroups.remove([earlier])
    assert cgroups.roots() == []
    assert not earlier.parent.exists()
    assert theirs.is_dir()


def test_nothing_of_a_cluster_that_started_without_its_own_cgroup_stays(machine: Path) -> None:
    earlier = machine / "memory" / POD / "earlier"
    earlier.mkdir(parents=True)
    (machine / "memory" / "kubepods" / "besteffort").mkdir()
    cgroups.remove([earlier])
    assert [path for path in (machine / "memory").iterdir() if path.is_dir()] == []


def test_a_cgroup_that_cannot_be_removed_is_an_error_with_a_name(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "_REMOVAL_SECONDS", 0.0)
    make_cgroup(machine / "memory" / layout.CGROUP, processes=[21])
    with pytest.raises(ClusterError, match="removal of the pods' cgroups"):
        cgroups.remove([])


def test_our_cgroup_is_made_in_every_hierarchy_and_takes_processes(machine: Path) -> None:
    cpuset = machine / "cpuset" / layout.CGROUP
    cpuset.mkdir()
    # As the kernel makes them.
    (cpuset / "cpuset.cpus").write_text("\n")
    (cpuset / "cpuset.mems").write_text("\n")
    cgroups.create_roots()
    assert cgroups.roots() == [cpuset, machine / "memory" / layout.CGROUP]
    assert (cpuset / "cpuset.cpus").read_text() == "0-1\n"
    assert (cpuset / "cpuset.mems").read_text() == "0\n"


def test_with_one_hierarchy_controllers_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unified = make_cgroup(tmp_path / "unified", processes=[1])
    (unified / "cgroup.controllers").write_text("cpu io\n")
    monkeypatch.setattr(cgroups, "FILE_SYSTEM", unified)
    cgroups.create_roots()
    assert (unified / "cgroup.subtree_control").read_text() == "+cpu"
    assert cgroups.roots() == [unified / layout.CGROUP]


def test_a_cgroup_that_cannot_be_made_is_named(machine: Path) -> None:
    (machine / "memory" / layout.CGROUP).write_text("in the way")
    with pytest.raises(ClusterError, match=rf"cannot make the control group {machine}/memory/{layout.CGROUP}"):
        cgroups.create_roots()


def test_the_kubelet_keeps_its_pods_in_our_cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "CONF", tmp_path)
    node.kubelet()
    assert json.loads((tmp_path / "kubelet.json").read_text())["cgroupRoot"] == f"/{layout.CGROUP}"


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Programs of the network that only write down how they were called."""
    programs = tmp_path / "programs"
    programs.mkdir()
    calls = tmp_path / "calls"
    calls.touch()
    for name in ("ip", "nft", "conntrack"):
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{calls}\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(network, "_SAVED_SETTINGS", tmp_path / "kernel-settings.json")
    return lambda: calls.read_text().splitlines()


def test_tables_of_another_kube_proxy_stay(recorded: Callable[[], list[str]]) -> None:
    network.down()
    assert [call for call in recorded() if not call.startswith("ip ")] == []


def test_tables_of_our_kube_proxy_are_removed(recorded: Callable[[], list[str]]) -> None:
    layout.LOGS.mkdir()
    (layout.LOGS / "kube-proxy.log").touch()
    network.down()
    assert {"nft delete table ip kube-proxy", "nft delete table ip6 kube-proxy"} <= set(recorded())


def test_a_machine_without_iproute2_has_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not network.has_address()
    assert daemon.default_host() == "127.0.0.1"


def test_a_user_without_a_cluster_may_say_down(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    LocalMode().down()
    assert "there is no cluster" in capsys.readouterr().err


def test_a_user_is_told_that_a_running_cluster_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    layout.RUN.mkdir()
    with pytest.raises(ClusterError, match="run it with sudo"):
        LocalMode().down()


@pytest.fixture
def held_port() -> Iterator[int]:
    """A TCP port on one address that another program listens on."""
    code = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); s.accept()"
    )
    with subprocess.Popen(["python3", "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        yield int(holder.stdout.readline())
        with contextlib.suppress(ProcessLookupError):
            holder.kill()


def test_a_port_that_another_program_holds_on_any_address_is_in_the_way(held_port: int) -> None:
    with pytest.raises(ClusterError, match=f"port {held_port}, which kubelet needs, is taken by another program"):
        network.require_free_port(network.Listener("kubelet", "0.0.0.0", held_port))
