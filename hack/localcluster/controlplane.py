"""The control plane: certificates, etcd, API server, controller manager, scheduler."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from localcluster import kubectl, layout
from localcluster.binaries import binary
from localcluster.processes import Daemon, await_ready, run, start

READY_SECONDS = 60.0

# Every write is recorded with who made it; bodies only for our own group, so that a test can see what was written on a
# user's object. Reads of the rest would be most of the file and nobody asks for them.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Request", "resources": [{"group": "embedding-operator.dev"}]},
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi/*"]},
        {"level": "Metadata"},
    ],
}

# Users of the cluster's own parts, each with a kubeconfig of its own so that the audit log tells them apart.
PART_USERS = {"kube-proxy": "system:kube-proxy", "coredns": "local-coredns", "local-provisioner": "local-provisioner"}
PART_GROUPS = {"coredns": "system:masters", "local-provisioner": "system:masters"}


def write_configuration() -> None:
    """Make certificates and kubeconfigs unless they are there, with kubeadm's own phases."""
    if (layout.CONF / "complete").exists():
        return
    for folder in (layout.PKI, layout.CONF, layout.LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    configuration = _write_kubeadm_configuration()
    kubeadm = str(binary("kubeadm"))
    run([kubeadm, "init", "phase", "certs", "all", "--config", str(configuration)])
    run(
        [
            kubeadm,
            "init",
            "phase",
            "kubeconfig",
            "all",
            "--config",
            str(configuration),
            "--kubeconfig-dir",
            str(layout.CONF),
        ]
    )
    for part, user in PART_USERS.items():
        command = [kubeadm, "kubeconfig", "user", "--client-name", user, "--config", str(configuration)]
        if part in PART_GROUPS:
            command += ["--org", PART_GROUPS[part]]
        kubeconfig = layout.CONF / f"{part}.conf"
        kubeconfig.write_text(run(command))
        kubeconfig.chmod(0o600)
    (layout.CONF / "audit-policy.json").write_text(json.dumps(AUDIT_POLICY, indent=1))
    (layout.CONF / "complete").touch()


def _write_kubeadm_configuration() -> Path:
    """The kubeadm configuration that the certificate and kubeconfig phases read."""
    endpoint = {"advertiseAddress": layout.ADDRESS, "bindPort": layout.API_PORT}
    documents: list[dict[str, object]] = [
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "localAPIEndpoint": endpoint,
            "nodeRegistration": {"name": layout.NODE_NAME, "criSocket": f"unix://{layout.CONTAINERD_SOCKET}"},
        },
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "clusterName": "embedding-operator",
            "kubernetesVersion": layout.KUBERNETES_VERSION,
            "certificatesDir": str(layout.PKI),
            "controlPlaneEndpoint": f"{layout.ADDRESS}:{layout.API_PORT}",
            "networking": {"serviceSubnet": layout.SERVICE_CIDR, "podSubnet": layout.CLUSTER_CIDR},
            "apiServer": {"certSANs": [layout.ADDRESS, "localhost", "127.0.0.1", layout.API_SERVICE_IP]},
        },
    ]
    path = layout.CONF / "kubeadm.yaml"
    # JSON is YAML: no YAML library is needed to write what kubeadm reads.
    path.write_text("\n---\n".join(json.dumps(document, indent=1) for document in documents))
    return path


def etcd() -> Daemon:
    """etcd, without waiting for the disk: a test cluster is thrown away when the machine itself goes down."""
    return Daemon(
        "etcd",
        [
            str(binary("etcd")),
            "--name=local",
            f"--data-dir={layout.ETCD_DATA}",
            "--unsafe-no-fsync",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=local=http://127.0.0.1:2380",
            "--auto-compaction-mode=periodic",
            "--auto-compaction-retention=30m",
            "--log-level=warn",
        ],
    )


def api_server() -> Daemon:
    """The API server, with the flags kubeadm gives it, an audit log, and etcd in plain text on loopback."""
    pki = layout.PKI
    return Daemon(
        "kube-apiserver",
        [
            str(binary("kube-apiserver")),
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={layout.ADDRESS}",
            "--bind-address=0.0.0.0",
            f"--secure-port={layout.API_PORT}",
            "--allow-privileged=true",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--enable-bootstrap-token-auth=true",
            f"--service-cluster-ip-range={layout.SERVICE_CIDR}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key",
            f"--client-ca-file={pki}/ca.crt",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
            f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
            f"--proxy-client-key-file={pki}/front-proxy-client.key",
            f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--audit-policy-file={layout.CONF}/audit-policy.json",
            f"--audit-log-path={layout.AUDIT_LOG}",
            # Blocking: a test that reads the log after its own request must find what led to it.
            "--audit-log-mode=blocking-strict",
            # Large: a test remembers where in the file it began, which a rotation would make wrong.
            "--audit-log-maxsize=1000",
            "--audit-log-maxbackup=1",
            # Without it the last watches hold a terminating server open for a minute.
            "--shutdown-delay-duration=0s",
        ],
    )


def controller_manager() -> Daemon:
    """All controllers but the one that hands out pod subnets: the CNI configuration names the only one."""
    pki, conf = layout.PKI, layout.CONF / "controller-manager.conf"
    return Daemon(
        "kube-controller-manager",
        [
            str(binary("kube-controller-manager")),
            f"--kubeconfig={conf}",
            f"--authentication-kubeconfig={conf}",
            f"--authorization-kubeconfig={conf}",
            "--bind-address=127.0.0.1",
            "--use-service-account-credentials=true",
            "--controllers=*,-nodeipam",
            "--leader-elect=false",
            f"--root-ca-file={pki}/ca.crt",
            f"--client-ca-file={pki}/ca.crt",
            f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
            f"--cluster-signing-cert-file={pki}/ca.crt",
            f"--cluster-signing-key-file={pki}/ca.key",
            f"--service-account-private-key-file={pki}/sa.key",
            f"--service-cluster-ip-range={layout.SERVICE_CIDR}",
        ],
    )


def scheduler() -> Daemon:
    """The scheduler as it is."""
    conf = layout.CONF / "scheduler.conf"
    return Daemon(
        "kube-scheduler",
        [
            str(binary("kube-scheduler")),
            f"--kubeconfig={conf}",
            f"--authentication-kubeconfig={conf}",
            f"--authorization-kubeconfig={conf}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ],
    )


DAEMON_NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def answers(url: str) -> bool:
    """Whether an endpoint of the cluster's own answers with success; certificates of the API server are checked."""
    context = ssl.create_default_context(cafile=str(layout.PKI / "ca.crt")) if url.startswith("https") else None
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, ssl.SSLError):
        return False


def api_ready() -> bool:
    """Whether the API server is ready, as it says itself."""
    return answers(f"https://{layout.ADDRESS}:{layout.API_PORT}/readyz")


def start_all() -> None:
    """Start what does not run yet and wait until the API server is ready and lets kubectl in."""
    write_configuration()
    start(etcd())
    server = api_server()
    start(server)
    await_ready(server, ready=api_ready, deadline_seconds=READY_SECONDS)
    start(controller_manager())
    start(scheduler())
    _authorise_admin()


def _authorise_admin() -> None:
    """Bind the group in admin.conf. Without it logs and exec are Forbidden, which the kubelet remembers for 30 s."""
    kubectl.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "kubeadm:cluster-admins"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "kubeadm:cluster-admins"}],
        },
        kubeconfig=layout.CONF / "super-admin.conf",
    )
