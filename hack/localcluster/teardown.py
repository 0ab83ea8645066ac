"""Taking away what a cluster leaves behind: containers, mounts, network namespaces, cgroups.

Everything is found by where it lies (our folders, our socket, our cgroup), never by what this process
remembers, so it works after a crash of any part, this program included.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
from pathlib import Path

from localcluster import cgroups, layout, node
from localcluster.processes import running_pid, stop
from localcluster.progress import wait_until

_MNT_DETACH = 2


def shim_pids() -> list[int]:
    """Processes of containerd's shims that belong to our containerd."""
    return [pid for pid, words in _command_lines() if _is_our_shim(words)]


def _is_our_shim(words: list[str]) -> bool:
    return Path(words[0]).name.startswith("containerd-shim") and str(layout.CONTAINERD_SOCKET) in words


def _command_lines() -> list[tuple[int, list[str]]]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                found.append((int(folder.name), words))
    return found


def kill_pods() -> None:
    """End every pod's processes and their shims. The kubelet must be stopped, or it starts them anew."""

    def gone() -> bool:
        # Shims first: one that lives would report the death of its container to nobody, and stay.
        pids = [*shim_pids(), *cgroups.pids()]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    wait_until(gone, what="end of all pods", deadline_seconds=30, interval_seconds=0.05)


def unmount_all() -> None:
    """Unmount everything below our folders, the deepest first; what is busy is detached."""
    libc = ctypes.CDLL(None, use_errno=True)
    for target in sorted(mounts(), key=len, reverse=True):
        libc.umount2(target.encode(), _MNT_DETACH)


def mounts() -> list[str]:
    """Mount points below our folders: pods' volumes, root file systems, and network namespaces.

    Not those of image builds, which may run beside an `up` that clears up after a crash.
    """
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        target = line.split()[4].encode().decode("unicode_escape")
        is_ours = any(Path(target).is_relative_to(folder) for folder in (layout.RUN, layout.CACHE))
        if is_ours and not Path(target).is_relative_to(layout.BUILDAH_ROOT):
            found.append(target)
    return found


def clear_pods() -> None:
    """Bring the machine to the state before the first pod, whatever happened to it; pulled images stay.

    containerd and the kubelet must not run. The API's objects stay too: a kubelet that starts afterwards makes every
    pod's containers anew.
    """
    containers = cgroups.of_containers()
    kill_pods()
    unmount_all()
    shutil.rmtree(layout.CONTAINERD_SOCKET.parent, ignore_errors=True)
    _forget_containers()
    unmount_all()
    shutil.rmtree(layout.CONTAINERD_SOCKET.parent, ignore_errors=True)
    shutil.rmtree(layout.STATE / "cni", ignore_errors=True)
    _forget_networks()
    _remove_dead_shim_sockets()
    cgroups.remove(containers)
    shutil.rmtree(layout.RUN / "runc", ignore_errors=True)


def _forget_containers() -> None:
    """Remove all containers from containerd's records. Its Kubernetes half is off, so that nothing holds on to them."""
    if not (layout.CONTAINERD_ROOT / "io.containerd.metadata.v1.bolt").exists():
        return
    node.start_containerd(with_pods=False)
    try:
        containers = node.ctr("containers", "list", "--quiet").split()
        if containers:
            node.ctr("containers", "delete", *containers)
    finally:
        stop("containerd")
    for folder in ("containers", "sandboxes"):
        shutil.rmtree(layout.CONTAINERD_ROOT / "io.containerd.grpc.v1.cri" / folder, ignore_errors=True)


def _forget_networks() -> None:
    """Remove the network plug-ins' own records of those network namespaces that lay in our folder."""
    ours = str(layout.RUN).encode()
    for record in Path("/var/lib/cni/results").glob("*"):
        if ours in record.read_bytes():
            record.unlink()


def _remove_dead_shim_sockets() -> None:
    """Remove shims' sockets that nobody listens on: containerd puts those of every instance in one folder."""
    listening = {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()}
    for path in Path("/run/containerd/s").glob("*"):
        if str(path) not in listening:
            path.unlink()


def pods_are_stale() -> bool:
    """Whether there are remains of pods that no running containerd looks after."""
    return running_pid("containerd") is None and bool(
        shim_pids() or cgroups.pids() or mounts() or layout.CONTAINERD_SOCKET.parent.exists()
    )


def remove_strays() -> None:
    """Remove what kubelet and containerd write outside the folders they are told to use."""
    logs = Path("/var/log/containers")
    if logs.is_dir():
        for link in logs.iterdir():
            if link.is_symlink() and Path(os.readlink(link)).is_relative_to(layout.STATE):
                link.unlink()
    plugins = Path("/var/lib/kubelet/device-plugins")
    if [path.name for path in plugins.parent.glob("*")] == [plugins.name]:
        # No other kubelet: one with its own files there would have pods beside this folder.
        shutil.rmtree(plugins)
    # The rest only where it is empty: other programs keep their files.
    for folder in (
        *(logs, plugins.parent, Path("/var/lib/cni/results"), Path("/var/lib/cni")),
        *(Path("/run/containerd/s"), Path("/run/containerd/runc/k8s.io"), Path("/run/containerd/runc")),
        Path("/run/containerd"),
    ):
        with contextlib.suppress(OSError):
            folder.rmdir()
