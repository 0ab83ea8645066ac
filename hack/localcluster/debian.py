"""Debian packages that the node and the image builds need."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.locking import exclusive
from localcluster.processes import run
from localcluster.progress import step

# Program that must be there, and the package that brings it.
CONTROL_PLANE_PROGRAMS: Mapping[str, str] = {"ip": "iproute2"}
NODE_PROGRAMS: Mapping[str, str] = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "nft": "nftables",
    "conntrack": "conntrack",
    **CONTROL_PLANE_PROGRAMS,
    "git": "git",
}
IMAGE_PROGRAMS: Mapping[str, str] = {"buildah": "buildah"}
BASE_IMAGE_PROGRAMS: Mapping[str, str] = {"mmdebstrap": "mmdebstrap"}
# Go, Python and containerd check servers against this file.
CERTIFICATES: Mapping[str, str] = {"/etc/ssl/certs/ca-certificates.crt": "ca-certificates"}
# Another package manager may be at work, as right after a machine's first boot: apt waits that long for its lock.
_LOCK_TIMEOUT = ("-o", "DPkg::Lock::Timeout=120")


def missing_packages(programs: Mapping[str, str]) -> list[str]:
    """Packages whose programs are not on this machine."""
    return sorted(
        {
            package
            for program, package in programs.items()
            if not (Path(program).exists() if program.startswith("/") else shutil.which(program))
        }
    )


def install_certificates() -> None:
    """Install certificate authorities where they are missing. Other systems than Debian keep them in other places."""
    if shutil.which("apt-get"):
        install_missing(CERTIFICATES)


def install_missing(programs: Mapping[str, str]) -> None:
    """Install what is missing. Raises ClusterError that names it all when this user or this system cannot."""
    if not missing_packages(programs):
        return
    # One at a time, as apt itself has it: what another command was installing may be there afterwards.
    with exclusive("packages"):
        _install(missing_packages(programs))


def _install(packages: Sequence[str]) -> None:
    if not packages:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ClusterError(
            f"these Debian packages (or your system's equal) are missing: {' '.join(packages)}. "
            f"Install them, for example: sudo apt-get install --no-install-recommends {' '.join(packages)}"
        )
    with step(f"Debian packages: {' '.join(packages)}", usually="30 s"):
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", *_LOCK_TIMEOUT, "update", "-qq"], environment=quiet)
        install = ["install", "-y", "-qq", "--no-install-recommends", *packages]
        run(["apt-get", *_LOCK_TIMEOUT, *install], environment=quiet)
