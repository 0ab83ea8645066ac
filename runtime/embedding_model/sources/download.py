"""Verified download: every file of a manifest, at its commit, byte for byte.

A file grows under `<target>/.partial` and is hashed while it arrives; it gets its own name by a rename, and
only when size and hash are those of the manifest. So a file that has its name is right, a broken connection costs what
was not yet received, and a restarted container goes on where the last one stopped.
"""

import errno
import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import httpx

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import FileEntry, Manifest, ResolvedModel, SourceKind
from embedding_model.sources.folder import hash_file
from embedding_model.sources.hub import resolve_url
from embedding_model.sources.hub_client import HubClient
from embedding_model.sources.hub_errors import Asked
from embedding_model.sources.listing import check_path
from embedding_model.sources.manifest import locate, mismatch, not_there
from embedding_model.sources.retries import Failures, RetryPolicy, retrying

if TYPE_CHECKING:
    from hashlib import _Hash

PARTIAL = ".partial"
_BLOCK = 1024 * 1024  # bytes
_SPARE = 16 * 1024 * 1024  # bytes kept free: file system overhead beside the files

_log = logging.getLogger(__name__)


class _Stopped(Exception):
    """Another file failed; this one is given up without a message of its own."""


def fetch(
    *,
    resolved: ResolvedModel,
    endpoint: str,
    target: Path,
    token: str | None = None,
    connections: int = 4,
    retry: RetryPolicy | None = None,
    client: httpx.Client | None = None,
) -> None:
    """Make `target` hold every file of the manifest, downloading what is missing or wrong.

    Files run side by side over at most `connections` connections. Refuses HashMismatch (naming the file, the expected
    and the found hash), UnsafePath, and what the hub denies; raises Unavailable when the hub does not answer within
    the retry policy or the volume cannot hold the files, ValueError for an unusable endpoint or a model that does not
    come from a hub.
    """
    download = _Download(
        resolved,
        target=target,
        client=HubClient(endpoint=endpoint, token=token, client=client),
        retry=retry or RetryPolicy(),
    )
    try:
        download.run(connections=connections)
    finally:
        download.client.close()


def verify(*, manifest: Manifest, folder: Path) -> None:
    """Hash every file of the manifest in `folder`, by the rules by which it is served.

    Refuses MissingFile, UnsafePath and HashMismatch for the first that differs.
    """
    for entry in manifest.files:
        check_path(entry.path)
        with _storage(folder):
            path = locate(entry, folder=folder)
            found = hash_file(path) if path.is_file() else None
        if found is None:
            raise not_there(entry, folder=folder)
        if found != (entry.size, entry.sha256):
            raise mismatch(entry, found=_describe(*found))


class _Download:
    def __init__(self, resolved: ResolvedModel, *, target: Path, client: HubClient, retry: RetryPolicy) -> None:
        origin = resolved.origin
        if origin.kind is not SourceKind.HUGGING_FACE or origin.repo is None or origin.revision is None:
            raise ValueError(f"only a model from a hub is downloaded; this one comes from {origin.kind}")
        self.client = client
        self._repo = origin.repo
        self._commit = origin.revision
        self._files = resolved.manifest.files
        self._target = target
        self._partial = target / PARTIAL
        self._retry = retry
        self._stop = threading.Event()

    def run(self, *, connections: int) -> None:
        for entry in self._files:
            check_path(entry.path)
        with _storage(self._target):
            self._partial.mkdir(parents=True, exist_ok=True)
            missing = [entry for entry in self._files if not self._is_there(entry)]
            self._check_space(missing)
        # largest first: the long file should not start last
        missing.sort(key=lambda entry: entry.size, reverse=True)
        with ThreadPoolExecutor(max_workers=max(1, connections), thread_name_prefix="fetch") as pool:
            futures = [pool.submit(self._fetch, entry) for entry in missing]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                self._stop.set()
                for future in futures:
                    future.cancel()
        errors = [error for future in futures if not future.cancelled() and (error := future.exception()) is not None]
        if errors:
            raise min(errors, key=_rank)
        with _storage(self._target):
            shutil.rmtree(self._partial)
        _log.info("all %d files of %s@%s are there and verified", len(self._files), self._repo, self._commit)

    def _is_there(self, entry: FileEntry) -> bool:
        return _hash_existing(self._target / entry.path) == (entry.size, entry.sha256)

    def _check_space(self, missing: list[FileEntry]) -> None:
        wanted = {self._part(entry).name: entry.size for entry in missing}
        for part in self._partial.iterdir():
            if part.name not in wanted:
                part.unlink()
        needed = sum(wanted.values()) - sum(part.stat().st_size for part in self._partial.iterdir())
        free = shutil.disk_usage(self._target).free
        if missing and needed + _SPARE > free:
            raise Unavailable(
                f"the volume at {self._target} has {free} bytes free; the model needs {needed} more and {_SPARE} to"
                " spare. Give the pod more ephemeral storage, or the volume more room"
            )

    def _part(self, entry: FileEntry) -> Path:
        """Named by path and content: two paths with one content grow apart, a new content begins anew."""
        return self._partial / hashlib.sha256(f"{entry.path}\0{entry.sha256}".encode()).hexdigest()

    def _fetch(self, entry: FileEntry) -> None:
        part = self._part(entry)
        failures = Failures()
        retry = retrying(self._retry, failures=failures, stopped=self._stop)
        with _storage(self._target):
            resumed = part.exists()
            try:
                retry(self._continue, entry, part=part, failures=failures)
            except Refusal as refusal:
                if not resumed or refusal.reason is not Reason.HASH_MISMATCH:
                    raise
                # what an earlier, killed process left behind may be torn: judge a download of our own alone
                _log.warning("%s continued from an earlier process and came out wrong; starting it anew", entry.path)
                part.unlink(missing_ok=True)
                retry(self._continue, entry, part=part, failures=failures)
            final = self._target / entry.path
            final.parent.mkdir(parents=True, exist_ok=True)
            part.replace(final)
        _log.info("fetched %s (%d bytes)", entry.path, entry.size)

    def _continue(self, entry: FileEntry, *, part: Path, failures: Failures) -> None:
        """One attempt: go on after the bytes that are there. Removes the part when its hash is wrong."""
        if self._stop.is_set():
            raise _Stopped
        with part.open("a+b") as file:
            digest = _hash_part(file)
            if file.tell() < entry.size:
                digest = self._receive(entry, file=file, digest=digest, failures=failures)
            size = file.tell()
        if (size, digest.hexdigest()) != (entry.size, entry.sha256):
            part.unlink()
            raise mismatch(entry, found=_describe(size, digest.hexdigest()))

    def _receive(self, entry: FileEntry, *, file: BinaryIO, digest: "_Hash", failures: Failures) -> "_Hash":
        offset = file.tell()
        asked = Asked(hub=self.client.name, repo=self._repo, revision=self._commit, path=entry.path)
        headers = {"range": f"bytes={offset}-"} if offset else {}
        url = resolve_url(self._repo, commit=self._commit, path=entry.path)
        with self.client.get(url, asked=asked, headers=headers, commit=self._commit) as response:
            if offset and not _continues(response, offset=offset):
                file.truncate(0)
                file.seek(0)
                digest = hashlib.sha256()
            for block in response.iter_bytes():
                if self._stop.is_set():
                    raise _Stopped
                file.write(block)
                digest.update(block)
                failures.progressed()
                if file.tell() > entry.size:
                    break  # a longer body cannot become right
        if file.tell() < entry.size:
            raise Unavailable(f"hub {self.client.name} ended {entry.path} after {file.tell()} of {entry.size} bytes")
        return digest


def _continues(response: httpx.Response, *, offset: int) -> bool:
    return response.status_code == 206 and response.headers.get("content-range", "").startswith(f"bytes {offset}-")


def _hash_part(file: BinaryIO) -> "_Hash":
    """Hash what is there and stand behind it."""
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest


def _hash_existing(path: Path) -> tuple[int, str] | None:
    if path.is_symlink() or not path.is_file():
        return None
    return hash_file(path)


def _rank(error: BaseException) -> int:
    """A refusal says more than a hub that was down; a file that was given up says nothing."""
    return 0 if isinstance(error, Refusal) else 2 if isinstance(error, _Stopped) else 1


def _describe(size: int, sha256: str) -> str:
    return f"sha256 {sha256} ({size} bytes)"


@contextmanager
def _storage(folder: Path) -> Iterator[None]:
    """Failures of the volume as Unavailable, in words."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            detail = "it is full; give the pod more ephemeral storage, or the volume more room"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            detail = f"user {os.getuid()} (group {os.getgid()}) may not write there; check the volume's owner and mode"
        else:
            detail = error.strerror or type(error).__name__
        raise Unavailable(f"the volume at {folder} cannot be used: {detail}") from error
