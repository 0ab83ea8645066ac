"""The hub's JSON about a repository: model info, trees, refs."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from localcluster.hub.repository import Commit, Entry, Repository
from localcluster.hub.state import Gate


def model_info(repository: Repository, *, repo: str, commit: str, gate: Gate, blobs: bool) -> dict[str, Any]:
    """GET /api/models/{repo}[/revision/{revision}]."""
    files = [entry for entry in repository.entries(commit) if not entry.directory]
    return {
        "_id": commit[:24],
        "id": repo,
        "modelId": repo,
        "author": repo.partition("/")[0],
        "sha": commit,
        "lastModified": repository.commit(commit).date,
        "private": gate.private,
        "gated": "manual" if gate.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "spaces": [],
        "siblings": [_sibling(entry, blobs=blobs) for entry in files],
        "usedStorage": sum(entry.size for entry in files),
    }


def tree(entries: Iterable[Entry], *, last_commit: Commit | None) -> list[dict[str, Any]]:
    """GET /api/models/{repo}/tree/{revision}, POST paths-info. `last_commit` is told when asked to expand."""
    return [_tree_item(entry, last_commit=last_commit) for entry in entries]


def below(entries: Iterable[Entry], *, folder: str, recursive: bool) -> list[Entry]:
    prefix = f"{folder}/" if folder else ""
    inside = [entry for entry in entries if entry.path.startswith(prefix)]
    return [entry for entry in inside if recursive or "/" not in entry.path[len(prefix) :]]


def refs(repository: Repository, *, pull_requests: bool) -> dict[str, Any]:
    """GET /api/models/{repo}/refs[?include_prs=1]."""
    prefixes = {"refs/heads/": "branches", "refs/tags/": "tags"} | (
        {"refs/pr/": "pullRequests"} if pull_requests else {}
    )
    groups: dict[str, list[dict[str, str]]] = {group: [] for group in ("converts", *prefixes.values())}
    for name, commit in repository.refs().items():
        for prefix, group in prefixes.items():
            if name.startswith(prefix):
                groups[group].append({"name": name.removeprefix(prefix), "ref": name, "targetCommit": commit})
    return groups


def next_link(url: str, *, query: dict[str, str], cursor: int) -> str:
    """The Link header that leads to the next page."""
    return f'<{url}?{urlencode({**query, "cursor": str(cursor)})}>; rel="next"'


def _sibling(entry: Entry, *, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": entry.path}
    sibling: dict[str, Any] = {"rfilename": entry.path, "size": entry.size, "blobId": entry.oid}
    if entry.large is not None:
        large = entry.large
        sibling["lfs"] = {"sha256": large.sha256, "size": large.size, "pointerSize": large.pointer_size}
    return sibling


def _tree_item(entry: Entry, *, last_commit: Commit | None) -> dict[str, Any]:
    kind = "directory" if entry.directory else "file"
    item: dict[str, Any] = {"type": kind, "oid": entry.oid, "size": entry.size, "path": entry.path}
    if entry.large is not None:
        large = entry.large
        item["lfs"] = {"oid": large.sha256, "size": large.size, "pointerSize": large.pointer_size}
    if last_commit is not None:
        item["lastCommit"] = {"id": last_commit.oid, "title": last_commit.title, "date": last_commit.date}
    return item
