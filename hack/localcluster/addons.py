"""What runs beside Kubernetes itself: DNS, the image registry, the provisioner of local folders."""

from __future__ import annotations

import json

from localcluster import kubectl, layout
from localcluster.binaries import binary
from localcluster.controlplane import answers
from localcluster.processes import Daemon, await_ready, start

READY_SECONDS = 30.0
DAEMON_NAMES = ("coredns", "registry", "local-provisioner")
PROVISIONER = "embedding-operator.dev/local-folder"
REGISTRY_CONFIGURATION = layout.CACHE / "registry.json"

_COREFILE = """\
.:53 {{
    bind {address}
    errors
    ready {address}:{ready_port}
    # Names of pods that come and go must not be remembered for long.
    cache 2
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 2
    }}
}}
"""


def coredns() -> Daemon:
    """DNS of the cluster, as a process: it needs no image, and nothing to resolve before it runs."""
    corefile = layout.CONF / "Corefile"
    corefile.write_text(
        _COREFILE.format(
            address=layout.ADDRESS, ready_port=layout.DNS_READY_PORT, kubeconfig=layout.CONF / "coredns.conf"
        )
    )
    return Daemon("coredns", [str(binary("coredns")), "-conf", str(corefile)])


def registry() -> Daemon:
    """The image registry on the cluster's address, so that a rebuilt image moves only its changed layers."""
    configuration = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        # No cache of blob descriptors: garbage collection deletes blobs behind the running server's back.
        "storage": {"filesystem": {"rootdirectory": str(layout.REGISTRY_DATA)}, "delete": {"enabled": True}},
        "http": {"addr": layout.REGISTRY, "secret": "one-process-needs-no-shared-secret"},
    }
    REGISTRY_CONFIGURATION.write_text(json.dumps(configuration, indent=1))
    # Its default would be to export traces to a collector on this machine.
    return Daemon(
        "registry",
        [str(binary("registry")), "serve", str(REGISTRY_CONFIGURATION)],
        environment={"OTEL_TRACES_EXPORTER": "none"},
    )


def provisioner() -> Daemon:
    """The provisioner that makes a folder for each claim."""
    return Daemon(
        "local-provisioner",
        [
            str(binary("local-provisioner")),
            f"--kubeconfig={layout.CONF / 'local-provisioner.conf'}",
            f"--root={layout.VOLUMES}",
            f"--node={layout.NODE_NAME}",
        ],
    )


def start_registry() -> None:
    """Start the registry and wait until it answers."""
    daemon = registry()
    start(daemon)
    await_ready(daemon, ready=lambda: answers(f"http://{layout.REGISTRY}/v2/"), deadline_seconds=READY_SECONDS)


def start_dns() -> None:
    """Start CoreDNS and wait until it has read the cluster's Services."""
    daemon = coredns()
    start(daemon)
    ready_url = f"http://{layout.ADDRESS}:{layout.DNS_READY_PORT}/ready"
    await_ready(daemon, ready=lambda: answers(ready_url), deadline_seconds=READY_SECONDS)


def start_storage() -> None:
    """Start the provisioner and declare its classes.

    ``local``, the default, binds a claim when its first pod is scheduled, as most clusters do; ``local-immediate``
    binds at once, so that a claim's folder can be filled before there is a pod.
    """
    layout.VOLUMES.mkdir(parents=True, exist_ok=True)
    layout.VOLUMES.chmod(0o755)
    start(provisioner())
    for name, mode in (("local", "WaitForFirstConsumer"), ("local-immediate", "Immediate")):
        kubectl.apply(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {
                    "name": name,
                    "annotations": {"storageclass.kubernetes.io/is-default-class": str(name == "local").lower()},
                },
                "provisioner": PROVISIONER,
                "reclaimPolicy": "Delete",
                "volumeBindingMode": mode,
            }
        )
