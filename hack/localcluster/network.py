"""The cluster's own address, the kernel settings it needs, and their removal."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcluster import layout
from localcluster.errors import ClusterError
from localcluster.processes import run, succeeds

# Forwarding between pods and Services, and Service addresses between two pods on the same bridge.
KERNEL_SETTINGS: Mapping[str, str] = {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"}
_SAVED_SETTINGS = layout.STATE / "kernel-settings.json"
_NFT_TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"))


@dataclass(frozen=True)
class Listener:
    """A part of the cluster, the address and the TCP port that it listens on."""

    part: str
    address: str
    port: int


# Each would fail with a line in a log that nobody reads. With 0.0.0.0 a program on any one address is in the way.
LISTENERS = (
    Listener("etcd", "127.0.0.1", 2379),
    Listener("kube-apiserver", "0.0.0.0", layout.API_PORT),
    Listener("kubelet", "0.0.0.0", 10250),
    Listener("registry", layout.ADDRESS, layout.REGISTRY_PORT),
    Listener("coredns", layout.ADDRESS, 53),
)


def up() -> None:
    """Add the address and set the kernel up; what was there before is remembered for `down`."""
    if not has_address():
        run(["ip", "address", "add", f"{layout.ADDRESS}/32", "dev", "lo"])
    succeeds(["modprobe", "-a", "overlay", "br_netfilter"])
    before = {}
    for name, value in KERNEL_SETTINGS.items():
        path = Path("/proc/sys") / name
        if not path.exists():
            raise ClusterError(f"the kernel has no {path}: load the module br_netfilter (modprobe br_netfilter)")
        before[name] = path.read_text().strip()
        path.write_text(value)
    if not _SAVED_SETTINGS.exists():
        _SAVED_SETTINGS.parent.mkdir(parents=True, exist_ok=True)
        _SAVED_SETTINGS.write_text(json.dumps(before))
    # Packets to a Service address are translated on their way out, but the kernel wants a route for them before that.
    if not succeeds(["ip", "route", "get", layout.API_SERVICE_IP]):
        run(["ip", "route", "replace", layout.SERVICE_CIDR, "dev", "lo", "src", layout.ADDRESS])


def down() -> None:
    """Remove address, bridge, routes and kube-proxy's tables, and give the kernel settings back."""
    for port in _bridge_ports():
        succeeds(["ip", "link", "delete", port])
    succeeds(["ip", "link", "delete", layout.BRIDGE])
    succeeds(["ip", "route", "delete", layout.SERVICE_CIDR, "dev", "lo"])
    if _kube_proxy_has_run():
        for family, table in _NFT_TABLES:
            succeeds(["nft", "delete", "table", family, table])
        succeeds(["conntrack", "--delete", "--orig-dst", layout.SERVICE_CIDR])
        succeeds(["conntrack", "--delete", "--orig-src", layout.CLUSTER_CIDR])
    if has_address():
        run(["ip", "address", "delete", f"{layout.ADDRESS}/32", "dev", "lo"])
    if _SAVED_SETTINGS.exists():
        for name, value in json.loads(_SAVED_SETTINGS.read_text()).items():
            (Path("/proc/sys") / name).write_text(value)
        _SAVED_SETTINGS.unlink()


def _bridge_ports() -> list[str]:
    """The pods' interfaces on this machine.

    The kernel takes one away with its pod's network namespace, which a connection that was cut off can keep for
    minutes.
    """
    folder = Path("/sys/class/net") / layout.BRIDGE / "brif"
    return sorted(port.name for port in folder.iterdir()) if folder.is_dir() else []


def _kube_proxy_has_run() -> bool:
    """Whether the tables are ours: every kube-proxy gives them this name, and two cannot run on one machine."""
    return (layout.LOGS / "kube-proxy.log").exists()


def has_address() -> bool:
    """Whether this machine has the cluster's address. Without iproute2, which adds it, it has not."""
    if not shutil.which("ip"):
        return False
    return f" {layout.ADDRESS}/32 " in run(["ip", "-oneline", "address", "show", "dev", "lo"])


def require_free_port(listener: Listener) -> None:
    """Raise ClusterError when a program that is not ours listens on a port that the cluster needs."""
    if listener.address == layout.ADDRESS and not has_address():
        return
    port = listener.port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers themselves do: connections that are only waiting out their time do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listener.address, port))
        except OSError as error:
            raise ClusterError(
                f"port {port}, which {listener.part} needs, is taken by another program ({error.strerror}): "
                f"`ss -ltnp 'sport = :{port}'` shows it. If it is another Kubernetes, use that with CLUSTER=current."
            ) from error
