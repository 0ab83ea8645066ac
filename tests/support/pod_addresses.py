"""Addresses for pods that do not exist: a range that this machine takes for its own, so that one process can answer.

An EndpointSlice lists no loopback address, and a pod of the local cluster has one of 10.88.0.0/16. The benchmarking
range of RFC 2544 is routed nowhere; the local cluster itself has 198.18.0.1 of its other half.
"""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network

_ALL = IPv4Network("198.19.0.0/16")
RANGE_BITS = 19  # 8190 pods for each of 8 clusters at one time


@contextmanager
def claimed_range() -> Iterator[IPv4Network]:
    """A range that nobody else on this machine has, every address of it local."""
    claim, found = _claim()
    with claim:
        # Replaced: one that was killed leaves its route behind.
        _ip("route", "replace", "local", str(found), "dev", "lo")
        try:
            yield found
        finally:
            _ip("route", "del", "local", str(found), "dev", "lo")


def _claim() -> tuple[socket.socket, IPv4Network]:
    """An abstract socket is the claim: it ends with its process, and belongs to the network namespace as routes do."""
    for found in _ALL.subnets(new_prefix=RANGE_BITS):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0embedding-operator/pods/{found}")
        except OSError:
            claim.close()
        else:
            return claim, found
    raise AssertionError(f"all ranges of pods in {_ALL} are taken: end other tests with simulated pods first")


def _ip(*arguments: str) -> None:
    program = shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin")
    assert program, "the program ip is missing: install the package iproute2"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"`ip {' '.join(arguments)}` failed, which needs root: {done.stderr.strip()}"
