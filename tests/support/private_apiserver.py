"""An etcd and a kube-apiserver of a test's own, on loopback: it may be killed, and its CRDs deleted.

No controllers run: nothing is garbage-collected, and Deployments stay without pods. kwok_cluster.py adds them.
"""

import functools
import json
import secrets
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from free_ports import free_port
from programs import Programs

from localcluster.binaries import ensure

READY_SECONDS = 60.0
AUDIT_POLICY = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}


@dataclass
class PrivateApiServer:
    """`kubeconfig` is the administrator's; `audit_log` has one JSON event a line.

    `arguments` are further ones of the API server. Without controllers nobody makes service accounts: pods do without.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    etcd_port: int = field(default_factory=free_port)
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    feature_gates: str = ""  # such as ImageVolume=true
    service_range: str = "10.99.0.0/24"
    has_controllers: bool = False
    arguments: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.programs = Programs(self.folder)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "admin.conf"

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    def prepare(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / "sa.key").write_bytes(pem)
        (self.folder / "tokens.csv").write_text(f'{self.token},admin,admin,"system:masters"\n')
        (self.folder / "audit-policy.json").write_text(json.dumps(AUDIT_POLICY))
        self.write_kubeconfig(self.kubeconfig, token=self.token)

    def write_kubeconfig(self, path: Path, *, token: str) -> Path:
        """A kubeconfig for whoever has this token."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        return path

    def start_etcd(self) -> None:
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{free_port()}"
        self.programs.start(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=error",
        )

    def start(self) -> None:
        """Start the API server and wait until it is ready."""
        self.programs.start(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--cert-dir={self.folder / 'certificates'}",
            f"--service-cluster-ip-range={self.service_range}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.folder / 'sa.key'}",
            f"--service-account-signing-key-file={self.folder / 'sa.key'}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            *(() if self.has_controllers else ("--disable-admission-plugins=ServiceAccount",)),
            f"--audit-policy-file={self.folder / 'audit-policy.json'}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-mode=blocking-strict",
            "--shutdown-delay-duration=0s",
            *([f"--feature-gates={self.feature_gates}"] if self.feature_gates else ()),
            *self.arguments,
        )
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            self.programs.must_run("kube-apiserver")
            assert time.monotonic() < deadline, f"kube-apiserver is not ready: {self.programs.tail('kube-apiserver')}"
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9 of the API server; etcd keeps what was written."""
        self.programs.kill("kube-apiserver")

    def stop(self) -> None:
        self.programs.kill_all()

    def request(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, accept: str = "application/json"
    ) -> Any:
        """One call as the administrator. 429 is tried again, as clients do: a CRD is there before its storage."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                return self._request(method, path, body=body, accept=accept)
            except urllib.error.HTTPError as error:
                if error.code != 429 or time.monotonic() > deadline:
                    raise
                time.sleep(float(error.headers.get("Retry-After") or 1))

    def list_columns(self, path: str) -> Sequence[Mapping[str, Any]]:
        """What `kubectl get` prints of a collection, a cell by its column's name; a hundredth of the objects' JSON."""
        table = self.request("GET", f"{path}?includeObject=None", accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        columns = [column["name"] for column in table["columnDefinitions"]]
        return [dict(zip(columns, row["cells"], strict=True)) for row in table["rows"] or ()]

    def _request(self, method: str, path: str, *, body: Mapping[str, Any] | None, accept: str) -> Any:
        call = urllib.request.Request(
            self.url + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "Accept": accept},
        )
        with urllib.request.urlopen(call, timeout=10, context=_unverified()) as response:
            return json.loads(response.read())

    def install_crd(self, file: Path) -> None:
        """Create the CRD of a file and wait until it is served."""
        crd = yaml.safe_load(file.read_text())
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        self.request("POST", path, body=crd)
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_established(f"{path}/{crd['metadata']['name']}"):
            assert time.monotonic() < deadline, f"{file.name} is not established"
            time.sleep(0.1)

    def service_account_token(self, name: str, *, namespace: str, audience: str | None = None) -> str:
        spec: dict[str, Any] = {"expirationSeconds": 3600}
        if audience is not None:
            spec["audiences"] = [audience]
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        return str(self.request("POST", path, body={**kind, "spec": spec})["status"]["token"])

    def _is_established(self, path: str) -> bool:
        conditions = self.request("GET", path).get("status", {}).get("conditions") or ()
        return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)

    def _is_ready(self) -> bool:
        try:
            call = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {self.token}"})
            with urllib.request.urlopen(call, timeout=2, context=_unverified()) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def private_apiserver(folder: Path, *, feature_gates: str = "") -> Iterator[PrivateApiServer]:
    with running(PrivateApiServer(folder, feature_gates=feature_gates)) as server:
        yield server


@contextmanager
def running(server: PrivateApiServer) -> Iterator[PrivateApiServer]:
    """Everything that was started in `server.programs` ends with it."""
    ensure()
    server.prepare()
    try:
        server.start_etcd()
        server.start()
        yield server
    finally:
        server.stop()


@functools.cache
def _unverified() -> ssl.SSLContext:
    """One for all: to read the system's certificates takes longer than most requests."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
