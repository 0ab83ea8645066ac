"""Builds from Go modules: the way that needs no download server but the Go module proxy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from localcluster import layout
from localcluster.errors import ClusterError

# Folder "kubernetes" builds Kubernetes, etcd and the pause program; folder "addons" CoreDNS, registry, provisioner;
# folder "kstatus" what tells a status as tools that wait do; folder "kwok" what plays the kubelet.
SOURCES = Path(__file__).resolve().parent / "gomodules"
_CACHES = layout.CACHE / "go"


def _version_flags() -> str:
    """Linker flags: without a version the parts call themselves v0.0.0 and refuse to work with each other."""
    major, minor, _ = layout.KUBERNETES_VERSION[1:].split(".")
    values = {"gitVersion": layout.KUBERNETES_VERSION, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        ["-s -w", *(f"-X {package}.{key}={value}" for package in packages for key, value in values.items())]
    )


def build(module: str, *, targets: Mapping[str, Path]) -> None:
    """Build commands of one of our Go modules, command name -> file.

    Raises ClusterError when Go is missing or the build fails.
    """
    go = _require_go(SOURCES / module, what=", ".join(targets))
    with tempfile.TemporaryDirectory(dir=layout.BIN, prefix=".build-") as folder:
        result = subprocess.run(
            [
                *("nice", "-n", "5", go, "build", "-trimpath", "-ldflags", _version_flags()),
                *("-o", f"{folder}/", *(f"./cmd/{name}" for name in targets)),
            ],
            cwd=SOURCES / module,
            env=_environment(go),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            ending = "\n".join(result.stderr.splitlines()[-12:])
            raise ClusterError(f"building {', '.join(targets)} from Go modules failed:\n{ending}")
        for name, target in targets.items():
            (Path(folder) / name).replace(target)


def _require_go(module: Path, *, what: str) -> str:
    """Path of a Go that can build the module.

    Asked in the module's folder: a Go that is too old, but can fetch the one that go.mod names, does so there.
    """
    wanted = needed_version(module)
    advice = f"Install Go {wanted} or newer, or use CLUSTER=kind or CLUSTER=current."
    go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
    if not go:
        raise ClusterError(f"Go is needed to build {what}, and it is not on PATH. {advice}")
    asked = subprocess.run(
        [go, "version"], cwd=module, env=_environment(go), capture_output=True, text=True, check=False
    )
    found = re.search(r"\bgo(\d[\d.]*)", asked.stdout)
    if asked.returncode or not found or _numbers(found[1]) < _numbers(wanted):
        said = (asked.stdout or asked.stderr).strip()
        raise ClusterError(f"{go} is too old to build {what}: `go version` says {said!r}. {advice}")
    return go


def needed_version(module: Path) -> str:
    """The Go version that the module's go.mod asks for."""
    lines = (module / "go.mod").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("go "))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)


def _environment(go: str) -> dict[str, str]:
    """Caches of our own, so that they can be thrown away; modules the user already has are taken from there."""

    def ask(variable: str) -> str:
        return subprocess.run([go, "env", variable], capture_output=True, text=True, check=True).stdout.strip()

    present = Path(ask("GOMODCACHE")) / "cache" / "download"
    proxy = ask("GOPROXY")
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
        "GOPROXY": f"{present.as_uri()},{proxy}" if present.is_dir() else proxy,
        "GOMODCACHE": str(_CACHES / "modules"),
        "GOCACHE": str(_CACHES / "build"),
    }


def remove_caches() -> None:
    """Throw away modules and build cache."""
    shutil.rmtree(_CACHES, ignore_errors=True)
