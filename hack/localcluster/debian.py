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
NODE_PROGRAMS: Mapping[str, str] = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "git": "git",
}
IMAGE_PROGRAMS: Mapping[str, str] = {"buildah": "buildah"}
BASE_IMAGE_PROGRAMS: Mapping[str, str] = {"mmdebstrap": "mmdebstrap"}


def missing_packages(programs: Mapping[str, str]) -> list[str]:
    """Packages whose programs are not on this machine."""
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return sorted(
        {
            package
            for program, package in programs.items()
            if not (Path(program).exists() if program.startswith("/") else shutil.which(program, path=search))
        }
    )


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
        run(["apt-get", "update", "-qq"], environment=quiet)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], environment=quiet)
