"""Verified download from a hub: files of one commit, byte for byte.

A broken connection costs what was not yet received, a restarted container goes on where the last one stopped, and no
file has its name before its hash is right. Here is what is fetched and whether it fits; `transfers` runs the transfers,
`receiving` is one of them, `growing` the file that they fill.
"""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager

import httpx

from embedding_model.resolved import FileEntry, Origin, SourceKind
from embedding_model.sources.access import Access
from embedding_model.sources.destination import Destination
from embedding_model.sources.hub import resolve_url
from embedding_model.sources.hub_client import HubClient
from embedding_model.sources.hub_errors import Asked
from embedding_model.sources.progress import Meter
from embedding_model.sources.receiving import time_for
from embedding_model.sources.retries import RetryPolicy
from embedding_model.sources.stock import check_space, take_stock
from embedding_model.sources.transfers import SMALLEST_PART, transfer

CONNECTIONS = 8  # as `hf download`; one connection to a CDN seldom fills a line, and small files wait for answers

_log = logging.getLogger(__name__)


def download(
    entries: Sequence[FileEntry],
    *,
    origin: Origin,
    access: Access,
    destination: Destination,
    meter: Meter,
    connections: int = CONNECTIONS,
    retry: RetryPolicy | None = None,
    client: httpx.Client | None = None,
    smallest_part: int = SMALLEST_PART,
) -> None:
    """Make `destination` hold every entry, fetching what is missing or wrong from the commit of `origin`.

    Files, and parts of `smallest_part` bytes or more of large files, run side by side over at most `connections`
    connections; `meter` counts from the start, what is there already included. The endpoint is not asked at all when
    everything is there. Refuses HashMismatch (naming the file, the expected and the found hash), UnsafePath, and what
    the hub denies; raises Unavailable when the hub does not answer within the retry policy or the volume cannot hold
    the files, ValueError for an unusable endpoint or an origin that is not a commit of a hub.
    """
    if origin.kind is not SourceKind.HUGGING_FACE or origin.repo is None or origin.revision is None:
        raise ValueError(f"only a model from a hub is downloaded; this one comes from {origin.kind}")
    missing = take_stock(entries, destination=destination, meter=meter)
    if not missing:
        return
    check_space(missing, destination=destination)
    hub = HubClient(access, client=client)
    try:
        transfer(
            missing,
            server=_Commit(hub, repo=origin.repo, commit=origin.revision),
            destination=destination,
            meter=meter,
            connections=connections,
            retry=retry or RetryPolicy(),
            smallest_part=smallest_part,
        )
    finally:
        hub.close()
    _log.info("all %d files of %s@%s are there and verified", len(entries), origin.repo, origin.revision)


class _Commit:
    """The files of one commit on a hub, as a server of `transfers`."""

    def __init__(self, hub: HubClient, *, repo: str, commit: str) -> None:
        self._hub = hub
        self._repo = repo
        self._commit = commit

    @property
    def name(self) -> str:
        return f"hub {self._hub.name}"

    def get(self, entry: FileEntry, *, wanted: tuple[int, int] | None) -> AbstractContextManager[httpx.Response]:
        return self._hub.get(
            resolve_url(self._repo, commit=self._commit, path=entry.path),
            asked=Asked(hub=self._hub.name, repo=self._repo, revision=self._commit, path=entry.path),
            headers={} if wanted is None else {"range": f"bytes={wanted[0]}-{wanted[1] - 1}"},
            commit=self._commit,
            seconds=time_for(entry.size if wanted is None else wanted[1] - wanted[0]),
        )
