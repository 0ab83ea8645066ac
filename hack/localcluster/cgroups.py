"""The control groups of the pods: all below one of our own, so that nobody else's pods are taken for the cluster's.

With cgroup v1 there is one in each hierarchy (a folder per controller), with v2 a single one.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from localcluster import layout
from localcluster.errors import ClusterError
from localcluster.progress import wait_until

FILE_SYSTEM = Path("/sys/fs/cgroup")
# What the kubelet wants enabled in its root, of that which the kernel has (kubelet/cm/cgroup_v2_manager_linux.go).
_CONTROLLERS = ("cpu", "cpuset", "memory", "hugetlb", "pids")
_REMOVAL_SECONDS = 15.0


def roots() -> list[Path]:
    """Our own cgroup in each hierarchy, where there is one."""
    return [root for root in _wanted_roots() if root.is_dir()]


def create_roots() -> None:
    """Make our cgroup in each hierarchy: a kubelet refuses to start with a root that does not exist.

    Raises ClusterError when the kernel does not let us.
    """
    for root in _wanted_roots():
        try:
            if _is_unified(root.parent):
                _pass_controllers_on(root.parent)
            root.mkdir(exist_ok=True)
            if not _is_unified(root.parent):
                _inherit_cpuset(root)
        except OSError as error:
            raise ClusterError(
                f"cannot make the control group {root} ({error.strerror}): the cluster needs a writable {FILE_SYSTEM}"
            ) from error


def of_containers() -> list[Path]:
    """Cgroups of our containers as runc noted them: a cluster may have been started with its pods elsewhere."""
    found: set[Path] = set()
    for state in (layout.RUN / "runc").glob("*/*/state.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, AttributeError):
            paths = [Path(path) for path in json.loads(state.read_text())["cgroup_paths"].values()]
            # A cgroup that bears the container's own id is nobody else's.
            found.update(path for path in paths if path.name == state.parent.name and path.is_relative_to(FILE_SYSTEM))
    return sorted(found)


def pids() -> list[int]:
    """Processes of the pods."""
    found: set[int] = set()
    for cgroup in [*roots(), *of_containers()]:
        for file in cgroup.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found.update(int(line) for line in file.read_text().split())
    # 0 stands for a process that this one cannot name; to kill it would end our own process group.
    return sorted(found - {0})


def remove(containers: Sequence[Path]) -> None:
    """Remove our cgroups and those of these containers, which must have ended. Raises ClusterError when some stay."""

    def removed() -> bool:
        _remove_trees([*roots(), *containers])
        return not any(path.exists() for path in [*roots(), *containers])

    wait_until(removed, what="removal of the pods' cgroups", deadline_seconds=_REMOVAL_SECONDS)
    for container in containers:
        _remove_empty_parents(container)


def _wanted_roots() -> list[Path]:
    return [hierarchy / layout.CGROUP for hierarchy in _hierarchies()]


def _hierarchies() -> list[Path]:
    if _is_unified(FILE_SYSTEM):
        return [FILE_SYSTEM]
    # Some controllers are links to a hierarchy that they share.
    return sorted({path.resolve() for path in FILE_SYSTEM.glob("*") if (path / "cgroup.procs").exists()})


def _is_unified(cgroup: Path) -> bool:
    return (cgroup / "cgroup.controllers").exists()


def _pass_controllers_on(hierarchy: Path) -> None:
    """Enable controllers below the hierarchy's root, each by itself: one that is refused must not hinder the others."""
    available = (hierarchy / "cgroup.controllers").read_text().split()
    for name in _CONTROLLERS:
        if name in available:
            with contextlib.suppress(OSError):
                (hierarchy / "cgroup.subtree_control").write_text(f"+{name}")


def _inherit_cpuset(root: Path) -> None:
    """Give a new cpuset of cgroup v1 all processors and memory nodes: it starts with none and then takes no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = root / name
        if file.exists() and not file.read_text().strip():
            file.write_text((root.parent / name).read_text())


def _remove_trees(trees: Iterable[Path]) -> None:
    """Remove cgroups with those below them, the deepest first. What still holds a process stays for the next call."""
    for tree in trees:
        folders = [path for path in tree.rglob("*") if path.is_dir()]
        for folder in [*sorted(folders, reverse=True), tree]:
            # The kernel takes a moment to let go of a process that has ended.
            with contextlib.suppress(OSError):
                folder.rmdir()


def _remove_empty_parents(container: Path) -> None:
    """Remove what the kubelet made above a container's cgroup; one that holds anything else stays."""
    for folder in container.parents:
        if "kubepods" not in folder.parts:
            return
        # The kubelet's own folders beside the one that held the container.
        for name in ("besteffort", "burstable", ""):
            with contextlib.suppress(OSError):
                (folder / name).rmdir()
