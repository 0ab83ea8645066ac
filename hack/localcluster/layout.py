"""Where everything lies: addresses, ports and folders of the local cluster.

Three kinds of folder, by how long their content lives:

- ``CACHE``: survives ``down``: binaries, base image, build storage, registry, pulled images.
- ``STATE`` (below the cache): one cluster's life, removed by ``down``: PKI, etcd, kubelet, logs, volumes.
- ``RUN``: one boot's life: sockets, process ids, containerd's runtime state.
"""

from __future__ import annotations

import os
from pathlib import Path

KUBERNETES_VERSION = "v1.34.4"

# Reachable from the host and from every pod, routed to nowhere else (RFC 2544 benchmarking range).
ADDRESS = "198.18.0.1"
API_PORT = 6443
REGISTRY_PORT = 5000
HUB_PORT = 8470
DNS_READY_PORT = 8181

POD_SUBNET = "10.88.0.0/24"
CLUSTER_CIDR = "10.88.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
BRIDGE = "embedop0"
CNI_NETWORK = "embedding-operator"
NODE_NAME = "local-node"
GPUS = 2
# Parent of all pods' cgroups.
CGROUP = "embedding-operator"

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "embedding-operator"
STATE = CACHE / "cluster"
RUN = Path("/run/embedding-operator")

BIN = CACHE / "bin"
CONTAINERD_ROOT = CACHE / "containerd"
REGISTRY_DATA = CACHE / "registry"
BUILDAH_ROOT = CACHE / "buildah"
# Images keep their digests over `down`, so what was built is remembered beside the registry, not in STATE.
IMAGES_FILE = CACHE / "images.json"

PKI = STATE / "pki"
CONF = STATE / "conf"
LOGS = STATE / "logs"
ETCD_DATA = STATE / "etcd"
KUBELET_ROOT = STATE / "kubelet"
VOLUMES = STATE / "volumes"
HUB_STATE = CACHE / "hub"
KUBECONFIG = CONF / "admin.conf"
AUDIT_LOG = LOGS / "audit.log"

CONTAINERD_SOCKET = RUN / "containerd" / "containerd.sock"
PID_FILES = RUN / "pids"

REGISTRY = f"{ADDRESS}:{REGISTRY_PORT}"
IMAGE_PREFIX = "embedding-operator"
PAUSE_IMAGE = "localhost/pause:1"
