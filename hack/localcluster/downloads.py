"""Official release downloads, each checked against the sum that its project publishes."""

from __future__ import annotations

import hashlib
import http.client
import io
import tarfile
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from localcluster.errors import ClusterError

PROBE_SECONDS = 5.0
TRANSFER_SECONDS = 300.0


@dataclass(frozen=True)
class Download:
    """A file, the file with its SHA-256 sum, and, for a tar archive, the name of the program in it."""

    url: str
    sums_url: str
    member: str | None = None


def reachable(download: Download) -> bool:
    """Whether the download's server answers within 5 s. A machine without a way out must not wait for each file."""
    try:
        with urllib.request.urlopen(download.sums_url, timeout=PROBE_SECONDS):
            return True
    except (OSError, http.client.HTTPException):
        return False


def fetch(download: Download, target: Path) -> None:
    """Write the program to ``target``, executable.

    Raises ClusterError when the transfer fails, the sum is not the published one, or the archive lacks the program.
    """
    try:
        content = _read(download.url)
        sums = _read(download.sums_url).decode()
    except (OSError, http.client.HTTPException) as error:
        raise ClusterError(f"download of {download.url} failed: {error}.") from error
    name = PurePosixPath(urllib.parse.urlsplit(download.url).path).name
    expected = published_sum(sums, name=name)
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ClusterError(f"{download.url}: expected SHA-256 {expected}, found {found}. Nothing was installed.")
    if download.member:
        content = _unpack(content, member=download.member, source=download.url)
    unfinished = target.with_name(f".{target.name}.part")
    unfinished.write_bytes(content)
    unfinished.chmod(0o755)
    unfinished.replace(target)


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TRANSFER_SECONDS) as response:
        content: bytes = response.read()
    return content


def published_sum(sums: str, *, name: str) -> str:
    """The sum for a file: the only word of the text, or the first of the line that ends with the file's name."""
    for line in sums.splitlines():
        words = line.split()
        if len(words) == 1 or (len(words) == 2 and PurePosixPath(words[1].lstrip("*")).name == name):
            return words[0].lower()
    raise ClusterError(f"the published sums do not name {name}")


def _unpack(archive: bytes, *, member: str, source: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:*") as tar:
        for entry in tar:
            if entry.isfile() and PurePosixPath(entry.name).name == member:
                file = tar.extractfile(entry)
                assert file
                return file.read()
    raise ClusterError(f"{source} holds no file named {member}")
