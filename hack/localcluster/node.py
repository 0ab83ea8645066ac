"""The node: containerd with its CNI network, kubelet, kube-proxy, and the two GPUs of this machine without any."""

from __future__ import annotations

import json
from datetime import datetime

from localcluster import cgroups, kubectl, layout
from localcluster.binaries import binary
from localcluster.errors import ClusterError
from localcluster.processes import Daemon, await_ready, run, running_since, start, succeeds
from localcluster.progress import wait_until

CONTAINERD_SECONDS = 30.0
NODE_SECONDS = 90.0
DAEMON_NAMES = ("containerd", "kubelet", "kube-proxy")

_CONTAINERD_CONFIGURATION = """\
version = 2
root = "{root}"
state = "{state}"
# The snapshotters that this machine's file system may not carry, and a plug-in that makes a folder in /opt.
disabled_plugins = [{disabled}
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt",
]

[grpc]
  address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Without CAP_SYS_RESOURCE runc may not lower oom_score_adj, and no pod would start.
  restrict_oom_score_adj = true
  # Network namespaces lie in our own folder, so that those left over after a crash can be told from others'.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    # A layer is kept unpacked or packed, not both: gigabytes for an image with torch.
    discard_unpacked_layers = true
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{runc}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{conf}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{conf}/registries"
"""


def containerd(*, with_pods: bool = True) -> Daemon:
    """containerd on a socket of its own. Without pods, its Kubernetes half is off and leaves containers alone."""
    configuration = layout.CONF / ("containerd.toml" if with_pods else "containerd-maintenance.toml")
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.write_text(
        _CONTAINERD_CONFIGURATION.format(
            root=layout.CONTAINERD_ROOT,
            state=layout.CONTAINERD_SOCKET.parent,
            socket=layout.CONTAINERD_SOCKET,
            runc=layout.RUN / "runc",
            conf=layout.CONF,
            pause=layout.PAUSE_IMAGE,
            disabled="" if with_pods else ' "io.containerd.grpc.v1.cri",',
        )
    )
    return Daemon("containerd", ["containerd", "--config", str(configuration), "--log-level", "warn"])


def ctr(*arguments: str) -> str:
    """Run containerd's own client in the namespace of the kubelet's containers."""
    return run(["ctr", "--address", str(layout.CONTAINERD_SOCKET), "--namespace", "k8s.io", *arguments])


def containerd_ready() -> bool:
    """Whether containerd answers on its socket."""
    return succeeds(["ctr", "--address", str(layout.CONTAINERD_SOCKET), "version"])


def start_containerd(*, with_pods: bool = True) -> None:
    """Start containerd unless it runs, and wait until it answers."""
    _write_cni_configuration()
    _write_registry_configuration()
    daemon = containerd(with_pods=with_pods)
    start(daemon)
    await_ready(daemon, ready=containerd_ready, deadline_seconds=CONTAINERD_SECONDS)


def _write_cni_configuration() -> None:
    """A bridge with addresses from a range; pods need no way out of the machine, so nothing is masqueraded."""
    configuration = {
        "cniVersion": "1.0.0",
        "name": layout.CNI_NETWORK,
        "plugins": [
            {
                "type": "bridge",
                "bridge": layout.BRIDGE,
                "isGateway": True,
                "hairpinMode": True,
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(layout.STATE / "cni"),
                    "ranges": [[{"subnet": layout.POD_SUBNET}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }
    folder = layout.CONF / "cni"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "10-bridge.conflist").write_text(json.dumps(configuration, indent=1))


def _write_registry_configuration() -> None:
    """Let containerd reach the cluster's registry in plain HTTP."""
    folder = layout.CONF / "registries" / layout.REGISTRY
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://{layout.REGISTRY}"
    (folder / "hosts.toml").write_text(f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n')


def kubelet() -> Daemon:
    """The kubelet, all of its files below our own folders."""
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.PKI / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{layout.CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        # `down` ends every process below it, so it must hold nobody else's pods.
        "cgroupRoot": f"/{layout.CGROUP}",
        "failSwapOn": False,
        "failCgroupV1": False,
        "enforceNodeAllocatable": [],
        "clusterDNS": [layout.ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "podLogsDir": str(layout.STATE / "pod-logs"),
        "volumePluginDir": str(layout.STATE / "volume-plugins"),
        "serializeImagePulls": False,
        # The disk is shared with the person's own files: image collection and eviction by percentages of a machine
        # that is nearly full would take the demo's images away. Only what would break the machine counts.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
        # Rules for other network plug-ins; they would be left behind in the machine's tables.
        "makeIPTablesUtilChains": False,
        "shutdownGracePeriod": "0s",
    }
    path = layout.CONF / "kubelet.json"
    path.write_text(json.dumps(configuration, indent=1))
    return Daemon(
        "kubelet",
        [
            str(binary("kubelet")),
            f"--config={path}",
            f"--kubeconfig={layout.CONF / 'kubelet.conf'}",
            f"--root-dir={layout.KUBELET_ROOT}",
            f"--cert-dir={layout.KUBELET_ROOT / 'pki'}",
            f"--hostname-override={layout.NODE_NAME}",
            f"--node-ip={layout.ADDRESS}",
        ],
    )


def kube_proxy() -> Daemon:
    """kube-proxy with nftables: Service addresses work from pods and from the host."""
    return Daemon(
        "kube-proxy",
        [
            str(binary("kube-proxy")),
            f"--kubeconfig={layout.CONF / 'kube-proxy.conf'}",
            "--proxy-mode=nftables",
            f"--cluster-cidr={layout.CLUSTER_CIDR}",
            f"--hostname-override={layout.NODE_NAME}",
            # The machine's own limits stay as they are.
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0s",
            "--conntrack-tcp-timeout-close-wait=0s",
        ],
    )


def start_node() -> None:
    """Start kubelet and kube-proxy and wait until the node is Ready and offers its GPUs."""
    cgroups.create_roots()
    daemon = kubelet()
    start(daemon)
    start(kube_proxy())
    await_ready(daemon, ready=node_is_ready, deadline_seconds=NODE_SECONDS)
    if _gpus() != str(layout.GPUS):
        _offer_gpus()


def node_is_ready() -> bool:
    """Whether the running kubelet has told the API server that the node is Ready.

    What an earlier kubelet said does not count: it stands there for 40 s after a crash.
    """
    since = running_since("kubelet")
    if since is None:
        return False
    ready = '.status.conditions[?(@.type=="Ready")]'
    query = f"jsonpath={{{ready}.status}} {{{ready}.lastHeartbeatTime}}"
    try:
        status, _, heartbeat = kubectl.kubectl(
            ["get", "node", layout.NODE_NAME, "-o", query, "--request-timeout=2s"]
        ).partition(" ")
        return status == "True" and datetime.fromisoformat(heartbeat).timestamp() >= since
    except (ClusterError, ValueError):
        # Not reachable, or not registered yet.
        return False


def _gpus() -> str:
    return kubectl.kubectl(
        ["get", "node", layout.NODE_NAME, "-o", r"jsonpath={.status.allocatable.nvidia\.com/gpu}"]
    ).strip()


def gpu_patch() -> list[dict[str, str]]:
    """JSON patch of a node's status that adds the GPUs as an extended resource, counted like a device plug-in's."""
    return [
        {"op": "add", "path": f"/status/{part}/nvidia.com~1gpu", "value": str(layout.GPUS)}
        for part in ("capacity", "allocatable")
    ]


def _offer_gpus() -> None:
    patch = json.dumps(gpu_patch())
    kubectl.kubectl(["patch", "node", layout.NODE_NAME, "--subresource=status", "--type=json", "-p", patch])
    wait_until(lambda: _gpus() == str(layout.GPUS), what="GPUs in the node's allocatable", deadline_seconds=60)
