"""A source that is one commit of a model repository on a Hugging Face hub, or on a mirror with the same API."""

import hashlib
import re
from collections.abc import Sequence
from types import TracebackType
from typing import Annotated, Self

import httpx
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import FileEntry, Origin, Sha256, SourceKind
from embedding_model.sources.access import Access
from embedding_model.sources.answers import read_body
from embedding_model.sources.hub_client import HubClient, quote_path, quote_revision
from embedding_model.sources.hub_errors import Asked
from embedding_model.sources.json_size import check_json_size
from embedding_model.sources.listing import (
    FILES_LIMIT,
    TOKENIZER_LIMIT,
    Listed,
    check_listing,
    git_blob_id,
    missing_file,
    too_large,
    too_many_files,
)

COMMIT = re.compile(r"[0-9a-f]{40}")

_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_REVISION = re.compile(r"[^\s\x00-\x20\x7f~^:?*\[\\]{1,255}")  # what git allows in a ref's name
LISTING_LIMIT = 16 * 1024 * 1024  # bytes; FILES_LIMIT files take about 5 MB
_LISTING_SECONDS = 120.0
_SLOWEST = 128 * 1024  # bytes per second of a file that is read whole; slower is as good as down
_LARGEST = 1 << 50  # bytes of one file
_SKIP_LIMIT = 64 * 1024 * 1024  # bytes read and dropped when a mirror ignores Range


class _LargeFile(BaseModel):
    sha256: Sha256
    size: int = Field(ge=0, le=_LARGEST)


class _Sibling(BaseModel):
    model_config = ConfigDict(extra="ignore")

    rfilename: str
    size: int | None = Field(default=None, ge=0, le=_LARGEST)
    blob_id: str | None = Field(default=None, alias="blobId", pattern=r"^[0-9a-f]{40}$")
    lfs: _LargeFile | None = None


class _Revision(BaseModel):
    """GET /api/models/{repo}/revision/{revision}?blobs=true."""

    model_config = ConfigDict(extra="ignore")

    sha: str = Field(pattern=r"^[0-9a-f]{40}$")
    # one mistake is enough: a list of all of them would take a hundred times the memory of the answer
    siblings: Annotated[tuple[_Sibling, ...], FailFast(), Field(max_length=FILES_LIMIT)]


class HubSource:
    """The files of one commit. `resolve` makes one from a branch, tag or commit; a context manager closes it."""

    def __init__(self, client: HubClient, *, origin: Origin, listing: Sequence[Listed]) -> None:
        """`origin` must name a repo and a commit; `listing` is what the hub listed for that commit."""
        if origin.repo is None or origin.revision is None:
            raise ValueError("the origin of a hub source names a repository and a commit")
        self._client = client
        self._origin = origin
        self._repo = origin.repo
        self._commit = origin.revision
        self._listing = check_listing(listing)
        self._by_path = {file.path: file for file in self._listing}
        self._hashes: dict[str, FileEntry] = {}

    @classmethod
    def resolve(
        cls,
        *,
        access: Access,
        repo: str,
        revision: str,
        mirror: str | None = None,
        commit: str | None = None,
        client: httpx.Client | None = None,
    ) -> Self:
        """Ask which commit `revision` is and which files it has. One request.

        A revision is what the hub takes for one: a branch (also with slashes), a tag, a commit, the first digits of
        one (the hub wants seven, and one commit that begins with them), or a full ref such as refs/pr/1. With `commit`
        that commit's files are asked for and the revision is only kept as what was requested: for a commit that was
        resolved before, whatever the branch is now.

        `mirror` is only the mirror's name, kept in the origin. Refuses RepositoryNotFound, RevisionNotFound,
        AccessDenied, UnsafePath, TooLarge; raises Unavailable when the hub cannot be asked, ValueError for an access
        or a commit that cannot be used.
        """
        check_names(repo, revision=revision)
        if commit is not None and not COMMIT.fullmatch(commit):
            raise ValueError("a commit has 40 hex digits")
        hub = HubClient(access, client=client)
        try:
            found = _ask(hub, repo=repo, revision=commit or revision)
            origin = Origin(
                kind=SourceKind.HUGGING_FACE, repo=repo, requested=revision, revision=found.sha, mirror=mirror
            )
            return cls(hub, origin=origin, listing=[_listed(sibling) for sibling in found.siblings])
        except BaseException:
            hub.close()
            raise

    @property
    def origin(self) -> Origin:
        return self._origin

    def files(self) -> Sequence[Listed]:
        return self._listing

    def read(self, path: str, *, limit: int) -> bytes:
        file = self._listed(path)
        if file.size > limit:
            raise too_large(path, size=file.size, limit=limit)
        with self._client.get(
            self._url(path), asked=self._asked(path), commit=self._commit, seconds=_time_for(file.size)
        ) as response:
            data = read_body(response, limit=file.size + 1)
        self._hashes[path] = _verified(file, data=data)
        return data

    def read_range(self, path: str, *, start: int, length: int) -> bytes:
        """Bytes of a range are not verified: no hash covers them. What is loaded is verified as a whole file."""
        file = self._listed(path)
        length = min(length, file.size - start)
        if length <= 0:
            return b""
        wanted = {"range": f"bytes={start}-{start + length - 1}"}
        with self._client.get(
            self._url(path),
            asked=self._asked(path),
            commit=self._commit,
            headers=wanted,
            seconds=_time_for(max(length, min(start + length, _SKIP_LIMIT))),
        ) as response:
            if response.status_code != 206:
                return self._skip(response, file=file, start=start, length=length)
            if not response.headers.get("content-range", "").startswith(f"bytes {start}-"):
                raise Unavailable(f"hub {self._client.name} answered another range of {path} than was asked for")
            data = read_body(response, limit=length)
        if len(data) != length:
            raise Unavailable(f"hub {self._client.name} sent {len(data)} of {length} bytes of {path}")
        return data

    def hash(self, path: str) -> FileEntry:
        file = self._listed(path)
        if file.sha256 is not None:
            return FileEntry(path=path, size=file.size, sha256=file.sha256)
        if path not in self._hashes:
            self.read(path, limit=TOKENIZER_LIMIT)
        return self._hashes[path]

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _skip(self, response: httpx.Response, *, file: Listed, start: int, length: int) -> bytes:
        if start + length > _SKIP_LIMIT:
            raise Unavailable(
                f"hub {self._client.name} ignores Range requests; a part of {file.path} cannot be read without it"
            )
        return read_body(response, limit=start + length)[start:]

    def _listed(self, path: str) -> Listed:
        try:
            return self._by_path[path]
        except KeyError:
            raise missing_file(path) from None

    def _asked(self, path: str) -> Asked:
        return Asked(hub=self._client.name, repo=self._repo, revision=self._commit, path=path)

    def _url(self, path: str) -> str:
        return resolve_url(self._repo, commit=self._commit, path=path)


def resolve_url(repo: str, *, commit: str, path: str) -> str:
    """The URL of a file's content, relative to the endpoint."""
    return f"{repo}/resolve/{quote_revision(commit)}/{quote_path(path)}"


def check_names(repo: str, *, revision: str) -> None:
    """Refuses (RepositoryNotFound, RevisionNotFound) what cannot be one, before it becomes part of a URL."""
    if not _REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        raise Refusal(
            Reason.REPOSITORY_NOT_FOUND,
            f"{repo[:200]!r} is not the name of a repository; expected ORGANISATION/NAME, as in intfloat/e5-base-v2",
        )
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise Refusal(
            Reason.REVISION_NOT_FOUND, f"{revision[:200]!r} is not a revision; expected a branch, a tag or a commit"
        )


def _ask(hub: HubClient, *, repo: str, revision: str) -> _Revision:
    asked = Asked(hub=hub.name, repo=repo, revision=revision)
    url = f"api/models/{repo}/revision/{quote_revision(revision)}"
    with hub.get(url, asked=asked, params={"blobs": "true"}, seconds=_LISTING_SECONDS) as response:
        body = read_body(response, limit=LISTING_LIMIT + 1)
    if len(body) > LISTING_LIMIT:
        raise too_large("the file list", size=len(body), limit=LISTING_LIMIT)
    try:
        check_json_size(body)
    except ValueError:
        raise too_many_files() from None
    try:
        found = _Revision.model_validate_json(body)
    except ValidationError as error:
        if error.errors()[0]["type"] == "too_long":
            raise too_many_files() from None
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise Unavailable(
            f"hub {hub.name} answered something that is not a model's file list (at {where or 'the top'}); is the"
            " endpoint a Hugging Face hub?"
        ) from error
    if COMMIT.fullmatch(revision) and found.sha != revision:
        raise Refusal(
            Reason.HASH_MISMATCH, f"hub {hub.name} answered commit {found.sha} of {repo}; asked for {revision}"
        )
    return found


def _listed(sibling: _Sibling) -> Listed:
    if sibling.lfs is not None:
        return Listed(path=sibling.rfilename, size=sibling.lfs.size, sha256=sibling.lfs.sha256)
    if sibling.size is None or sibling.blob_id is None:
        raise Unavailable(
            f"the hub lists {sibling.rfilename[:200]!r} without size or hash (?blobs=true); a mirror that leaves them"
            " out cannot be used"
        )
    return Listed(path=sibling.rfilename, size=sibling.size, blob_id=sibling.blob_id)


def _time_for(size: int) -> float:
    """Seconds that reading so many bytes may take."""
    return 60.0 + size / _SLOWEST


def _verified(file: Listed, *, data: bytes) -> FileEntry:
    sha256 = hashlib.sha256(data).hexdigest()
    if file.sha256 is not None:
        expected, found = f"sha256 {file.sha256}", f"sha256 {sha256}"
    else:
        expected, found = f"git blob {file.blob_id}", f"git blob {git_blob_id(data)}"
    if len(data) != file.size or expected != found:
        raise Refusal(
            Reason.HASH_MISMATCH,
            f"{file.path} is not what the hub lists: expected {file.size} bytes with {expected}, got {len(data)} bytes"
            f" with {found}",
        )
    return FileEntry(path=file.path, size=file.size, sha256=sha256)
