"""Whether a revision has moved: one small conditional request, made for every model that follows a branch."""

from dataclasses import dataclass

import httpx
from pydantic import BaseModel, ConfigDict, Field

from embedding_model.refusal import Unavailable
from embedding_model.sources.access import Access
from embedding_model.sources.answers import read_body
from embedding_model.sources.hub import LISTING_LIMIT, check_names
from embedding_model.sources.hub_client import HubClient, quote_revision
from embedding_model.sources.hub_errors import Asked
from embedding_model.sources.json_size import check_json_size

_SECONDS = 60.0
_ETAG_LIMIT = 512  # characters


@dataclass(frozen=True)
class Polled:
    """`commit` is None when the answer is the one that `etag` named; `etag` is for the next request, where there is
    one."""

    commit: str | None
    etag: str | None


class _Head(BaseModel):
    model_config = ConfigDict(extra="ignore")

    sha: str = Field(pattern=r"^[0-9a-f]{40}$")


def poll_commit(
    access: Access, repo: str, revision: str, *, etag: str | None = None, client: httpx.Client | None = None
) -> Polled:
    """The commit that `revision` is now, or that nothing changed since the answer with this `etag`.

    A hub that sends no ETag answers with the commit each time. `client` (of `open_client`, for the same access) keeps
    connections between calls. Errors are those of HubSource.resolve; Unavailable carries the hub's Retry-After.
    """
    check_names(repo, revision=revision)
    hub = HubClient(access, client=client)
    try:
        asked = Asked(hub=hub.name, repo=repo, revision=revision)
        headers = {} if etag is None else {"if-none-match": etag}
        url = f"api/models/{repo}/revision/{quote_revision(revision)}"
        with hub.get(url, asked=asked, headers=headers, params={"expand": "sha"}, seconds=_SECONDS) as response:
            if response.status_code == 304:
                return Polled(commit=None, etag=etag)
            # a mirror may send its whole listing where only the commit was asked for
            body = read_body(response, limit=LISTING_LIMIT)
            fresh = _usable(response.headers.get("etag"))
    finally:
        hub.close()
    try:
        check_json_size(body)
        return Polled(commit=_Head.model_validate_json(body).sha, etag=fresh)
    except ValueError as error:  # pydantic's errors are some
        raise Unavailable(f"hub {hub.name} did not say which commit {revision} of {repo} is") from error


def _usable(etag: str | None) -> str | None:
    """What can be sent back as a header."""
    if etag is None or not 2 <= len(etag) <= _ETAG_LIMIT or not etag.isascii() or not etag.isprintable():
        return None
    return etag
