"""The default mode: the cluster's parts as processes of this machine."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from localcluster import (
    addons,
    binaries,
    controlplane,
    debian,
    disk,
    images,
    layout,
    modelimage,
    network,
    node,
    pause,
    teardown,
)
from localcluster.errors import ClusterError
from localcluster.hubprocess import hub_url, stop_hub
from localcluster.locking import exclusive
from localcluster.processes import running_pid, stop
from localcluster.progress import run_side_by_side, say, step
from localcluster.report import Report

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_CONTROL_PLANE = controlplane.DAEMON_NAMES
PARTS = (*_CONTROL_PLANE, *node.DAEMON_NAMES, *addons.DAEMON_NAMES)
# The kubelet first, or it would start the pods anew; etcd last, when nobody writes any more.
_STOP_ORDER = (
    ("kubelet", "kube-proxy", "local-provisioner", "coredns", "registry"),
    ("kube-scheduler", "kube-controller-manager", "kube-apiserver"),
    ("etcd",),
)


class LocalMode:
    """Processes below the folders of `layout`; needs root."""

    def up(self, *, control_plane_only: bool) -> None:
        """Start whatever of the cluster does not run."""
        _require_machine()
        disk.warn_when_low()
        with exclusive("cluster"):
            wanted = _CONTROL_PLANE if control_plane_only else PARTS
            if (
                all(running_pid(name) for name in wanted)
                and controlplane.api_ready()
                and (control_plane_only or node.node_is_ready())
            ):
                say("the cluster is up")
                return
            debian.install_certificates()
            programs = debian.CONTROL_PLANE_PROGRAMS if control_plane_only else debian.NODE_PROGRAMS
            run_side_by_side(binaries.ensure, lambda: debian.install_missing(programs))
            # Before anything is written: a machine that is refused stays as it was.
            _require_free_ports(wanted)
            _forget_earlier_boot()
            network.up()
            with step("control plane", usually="8 s"):
                controlplane.start_all()
            if not control_plane_only:
                self._start_node()
            say(f"the cluster is up: export KUBECONFIG={layout.KUBECONFIG}")

    def _start_node(self) -> None:
        if running_pid("containerd") is None:
            if teardown.pods_are_stale():
                stop("kubelet")
                with step("clearing what a crash left behind", usually="3 s"):
                    teardown.clear_pods()
            with step("containerd", usually="1 s"):
                node.start_containerd()
        pause.ensure_image()
        with step("node, DNS, registry, storage", usually="10 s"):
            run_side_by_side(node.start_node, addons.start_dns, addons.start_registry, addons.start_storage)

    def down(self) -> None:
        """Stop everything and remove every trace but caches. Works on whatever is left of a cluster."""
        if os.geteuid() != 0 and not layout.RUN.exists():
            stop_hub()
            say("there is no cluster")
            return
        _require_machine()
        # In the order in which a build takes them.
        with exclusive("images"), exclusive("cluster"), step("taking the cluster down", usually="3 s"):
            stop_hub()
            for names in _STOP_ORDER:
                run_side_by_side(*(lambda name=name: stop(name) for name in names))
            stop("containerd")
            if shutil.which("containerd"):
                teardown.clear_pods()
            if shutil.which("ip"):
                network.down()
            for folder in (layout.STATE, layout.RUN):
                shutil.rmtree(folder, ignore_errors=True)
            teardown.remove_strays()
        say("the cluster is down; images and binaries stay cached")

    def status(self, *, with_disk: bool) -> Report:
        """State of every part."""
        components = {name: running_pid(name) is not None for name in PARTS}
        up = all(components.values())
        return Report(
            mode="local",
            running=up and controlplane.api_ready() and node.node_is_ready(),
            kubeconfig=str(layout.KUBECONFIG),
            registry=layout.REGISTRY,
            hubURL=hub_url(),
            auditLog=str(layout.AUDIT_LOG),
            volumes=str(layout.VOLUMES),
            tools={name: str(binaries.binary(name)) for name in binaries.CLIENT_TOOLS},
            images=images.built(),
            components=components,
            disk=disk.usage() if with_disk else {},
        )

    def kubeconfig(self) -> Path:
        """Path of the administrator's kubeconfig."""
        return layout.KUBECONFIG

    def build(self, targets: Sequence[str]) -> Mapping[str, str]:
        """Build with buildah and push to the cluster's registry."""
        _require_machine()
        debian.install_missing(debian.IMAGE_PROGRAMS)
        with exclusive("images"):
            return images.build(targets, await_registry=_require_registry)

    def load(self, image: str) -> str:
        """Push an image to the cluster's registry."""
        _require_machine()
        _require_registry()
        with exclusive("images"):
            return images.load(image)

    def push_folder(self, folder: Path, *, name: str, path: str) -> str:
        """Push an image of data to the cluster's registry."""
        _require_machine()
        _require_registry()
        debian.install_missing(debian.IMAGE_PROGRAMS)
        return modelimage.push(folder, name=name, path=path)


def _require_registry() -> None:
    """Wait for an `up` that is on its way. Raises ClusterError when there is no registry after it."""
    if running_pid("registry") is None:
        with exclusive("cluster"):
            pass
    if running_pid("registry") is None:
        raise ClusterError("the cluster's registry does not run: hack/cluster up")


def _require_machine() -> None:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise ClusterError(
            f"the local cluster runs on x86-64 Linux, this is {platform.machine()} {platform.system()}: "
            "use CLUSTER=kind or CLUSTER=current"
        )
    if os.geteuid() != 0:
        raise ClusterError(
            "the local cluster needs root (namespaces, mounts, network): run it with sudo, "
            "or use CLUSTER=kind or CLUSTER=current"
        )


def _require_free_ports(wanted: Sequence[str]) -> None:
    """Look at the ports of those parts that are about to start."""
    for listener in network.LISTENERS:
        if listener.part in wanted and running_pid(listener.part) is None:
            network.require_free_port(listener)


def _forget_earlier_boot() -> None:
    """Drop the state of a cluster that a reboot has ended: etcd runs without fsync, so its files cannot be trusted."""
    marker = layout.STATE / "boot-id"
    current = _BOOT_ID.read_text()
    if marker.exists() and marker.read_text() != current:
        say("  this machine was rebooted: starting with an empty cluster")
        shutil.rmtree(layout.STATE)
        shutil.rmtree(layout.RUN, ignore_errors=True)
    marker.parent.mkdir(parents=True, exist_ok=True)
    layout.STATE.chmod(0o755)
    marker.write_text(current)
