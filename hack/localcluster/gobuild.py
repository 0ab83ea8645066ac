"""Builds from Go modules: the way that needs no download server but the Go module proxy."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from localcluster import layout
from localcluster.errors import ClusterError

# Folder "kubernetes" builds Kubernetes, etcd and the pause program; folder "addons" CoreDNS, registry, provisioner.
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
    go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
    if not go:
        raise ClusterError(
            f"Go is needed to build {', '.join(targets)}, and it is not on PATH. Install Go 1.24 or newer, "
            "or use CLUSTER=kind or CLUSTER=current."
        )
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
