"""What a source lists: paths that are safe to write, sizes, and the hashes that the source itself knows.

A path from a hub or a volume becomes a file name on a node, so every listing passes `check_listing` first.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from embedding_model.refusal import Reason, Refusal

CONFIG_LIMIT = 10 * 1024 * 1024  # bytes; the largest real config files are a few hundred KiB
TOKENIZER_LIMIT = 64 * 1024 * 1024  # bytes; multilingual tokenizer.json files reach 33 MiB
FILES_LIMIT = 20_000  # a model has a few hundred at most; the operator holds some such lists at once
_DEPTH_LIMIT = 32  # folders
_PATH_LIMIT = 1024  # characters; Linux refuses more than 4096 bytes
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # Unicode's categories Cc and Cs
_SEGMENT_LIMIT = 255  # bytes; NAME_MAX of every usual file system


@dataclass(frozen=True)
class Listed:
    """One listed file. `sha256` is known for LFS files, `blob_id` (git's sha1 of the blob) for the others on a hub."""

    path: str
    size: int
    sha256: str | None = None
    blob_id: str | None = None


def check_path(path: str) -> None:
    """Refuse (UnsafePath) what is not a plain relative posix path: absolute, `..`, backslashes, control characters."""
    complaint = _complaint(path)
    if complaint is not None:
        raise Refusal(
            Reason.UNSAFE_PATH,
            f"the model lists a file whose path {complaint}: {path[:200]!r}; rename or remove it in the repository",
        )


def check_listing(listed: Iterable[Listed]) -> tuple[Listed, ...]:
    """The listing sorted by path, every path checked; refuses two paths that could name one file, and too many."""
    files = tuple(sorted(islice(listed, FILES_LIMIT + 1), key=lambda file: file.path))
    if len(files) > FILES_LIMIT:
        raise too_many_files()
    seen: dict[str, str] = {}
    for file in files:
        check_path(file.path)
        key = unicodedata.normalize("NFC", file.path)
        if key in seen:
            raise Refusal(
                Reason.UNSAFE_PATH,
                f"the model lists {file.path!r} and {seen[key]!r}, which name one file; remove one of them",
            )
        seen[key] = file.path
    return files


def git_blob_id(data: bytes) -> str:
    """The id that git, and so the hub, gives to a file: sha1 over `blob <size>\\0` and the content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def missing_file(path: str) -> Refusal:
    return Refusal(Reason.MISSING_FILE, f"the model has no file {path!r}")


def too_many_files() -> Refusal:
    return Refusal(Reason.TOO_LARGE, f"the model lists more than {FILES_LIMIT} files; serve a repository of one model")


def too_large(path: str, *, size: int, limit: int) -> Refusal:
    return Refusal(Reason.TOO_LARGE, f"{path} has {size} bytes; at most {limit} are read for a file of this kind")


def _complaint(path: str) -> str | None:
    if not path or path.startswith("/"):
        return "is empty or absolute"
    if len(path) > _PATH_LIMIT or any(len(part.encode(errors="replace")) > _SEGMENT_LIMIT for part in path.split("/")):
        return "is too long"
    if path.count("/") > _DEPTH_LIMIT:
        return "is nested too deep"
    if "\\" in path:
        return "holds a backslash"
    if _CONTROL.search(path):
        return "holds a control character"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "holds an empty, '.' or '..' part"
    return None
