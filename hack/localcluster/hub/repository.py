"""One model repository: a bare git repository, and beside it the large files that git knows by pointer only.

Everything is asked of the `git` command, so any git client can look at and change the same repository.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

LARGE = 1024 * 1024  # bytes; the hub itself takes 10 MB, a smaller one lets small models exercise LFS
_ALWAYS_LARGE = (".safetensors", ".bin", ".onnx", ".gguf", ".pt", ".h5")
_POINTER_LIMIT = 1024  # bytes; the LFS specification's limit for a pointer file
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")
_SKIPPED = (".git", ".cache")


class GitFailed(Exception):
    """git is missing or refused; the message carries its last words."""


@dataclass(frozen=True)
class Large:
    """An LFS object: sha256 and size of the content, and the size of the pointer in git."""

    sha256: str
    size: int
    pointer_size: int


@dataclass(frozen=True)
class Entry:
    """A file or (`directory`) a folder of a commit. `size` is the content's, also for LFS files; 0 for a folder."""

    path: str
    oid: str
    size: int
    large: Large | None = None
    directory: bool = False


@dataclass(frozen=True)
class Commit:
    oid: str
    title: str
    date: str  # UTC, in the one form that huggingface_hub parses: 2026-01-31T12:00:00.000Z


class Repository:
    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def exists(self) -> bool:
        return (self.path / "HEAD").is_file()

    def create(self) -> None:
        if not self.exists:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._git("init", "--quiet", "--bare", "--initial-branch=main", str(self.path), inside=False)

    def commit_folder(self, folder: Path, *, branch: str, message: str, force: bool = False) -> str:
        """Make the tree of the branch (or of a full ref, refs/pr/1) equal to the folder.

        Returns its commit: the present one when nothing changed. With `force` the branch's history is replaced by one
        new commit; the old commits stay readable by their ids, as they do on the hub.
        """
        ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
        present = self.resolve(ref)
        tree = self._write_tree(folder)
        if not force and present is not None and self._git("rev-parse", f"{present}^{{tree}}") == tree:
            return present
        parent = ["-p", present] if present is not None and not force else []
        commit = self._git("commit-tree", tree, "-m", message, *parent)
        # the old value makes a concurrent push fail instead of being lost
        self._git("update-ref", ref, commit, present or "0" * 40)
        return commit

    def delete(self) -> None:
        shutil.rmtree(self.path)

    def tag(self, name: str, *, commit: str, message: str | None = None) -> None:
        """With a message an annotated tag: an object of its own that points to the commit."""
        self._git("tag", "--force", *(["--message", message] if message else []), name, commit)

    def resolve(self, revision: str) -> str | None:
        """The commit of a full commit id, a ref (`refs/...`), a branch, a tag, or the first digits of a commit id."""
        if _COMMIT.fullmatch(revision) or revision.startswith("refs/"):
            return self._rev_parse(revision)
        named = self._rev_parse(f"refs/heads/{revision}") or self._rev_parse(f"refs/tags/{revision}")
        if named is None and _SHORT_COMMIT.fullmatch(revision):
            return self._rev_parse(revision)  # None when several commits begin so
        return named

    def refs(self) -> dict[str, str]:
        """Every branch and tag, by its full name, with its commit."""
        lines = self._git("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)").splitlines()
        return {name: (peeled or oid) for name, oid, peeled in (f"{line} ".split(" ")[:3] for line in lines)}

    def commit(self, oid: str) -> Commit:
        seconds, title = self._git("show", "--no-patch", "--format=%ct %s", oid).split(" ", 1)
        date = datetime.fromtimestamp(int(seconds), tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return Commit(oid=oid, title=title, date=date)

    def entries(self, commit: str) -> tuple[Entry, ...]:
        """Every file and folder of a commit, sorted by path."""
        return _read_entries(self, commit)

    def blob(self, oid: str) -> bytes:
        return _read_blob(self, oid)

    def large_file(self, sha256: str) -> Path:
        return self.path / "lfs" / "objects" / sha256[:2] / sha256[2:4] / sha256

    def list_entries(self, commit: str) -> Iterator[Entry]:
        """Ask git; `entries` keeps what this found."""
        out = self._git_bytes("ls-tree", "-r", "-t", "-z", "-l", commit)
        for record in out.decode().split("\0")[:-1]:
            meta, path = record.split("\t", 1)
            _, kind, oid, size = meta.split()
            if kind == "tree":
                yield Entry(path=path, oid=oid, size=0, directory=True)
                continue
            large = self._large(oid, size=int(size))
            yield Entry(path=path, oid=oid, size=large.size if large else int(size), large=large)

    def read_blob(self, oid: str) -> bytes:
        return self._git_bytes("cat-file", "blob", oid)

    def _large(self, oid: str, *, size: int) -> Large | None:
        if size > _POINTER_LIMIT:
            return None
        content = self.blob(oid)
        if not content.startswith(b"version https://git-lfs.github.com/spec/v1\n"):
            return None
        fields = dict(line.split(" ", 1) for line in content.decode().splitlines())
        return Large(sha256=fields["oid"].removeprefix("sha256:"), size=int(fields["size"]), pointer_size=size)

    def _write_tree(self, folder: Path) -> str:
        records = []
        for file in sorted(folder.rglob("*")):
            path = file.relative_to(folder)
            if file.is_file() and not any(part in _SKIPPED for part in path.parts):
                records.append(f"100644 {self._write_file(file)}\t{path.as_posix()}\0")
        with tempfile.TemporaryDirectory() as scratch:
            index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
            self._git("update-index", "-z", "--add", "--index-info", stdin="".join(records).encode(), env=index)
            return self._git("write-tree", env=index)

    def _write_file(self, file: Path) -> str:
        if file.stat().st_size <= LARGE and file.suffix not in _ALWAYS_LARGE:
            return self._git("hash-object", "-w", "--no-filters", str(file.resolve()))
        sha256, size = self._keep_large(file)
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
        return self._git("hash-object", "-w", "--stdin", stdin=pointer.encode())

    def _keep_large(self, file: Path) -> tuple[str, int]:
        with file.open("rb") as source:
            sha256 = hashlib.file_digest(source, "sha256").hexdigest()
        target = self.large_file(sha256)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = target.with_name(f".{sha256}.{os.getpid()}")
            shutil.copyfile(file, fresh)
            fresh.replace(target)
        return sha256, file.stat().st_size

    def _rev_parse(self, name: str) -> str | None:
        try:
            return self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except GitFailed:
            return None

    def _git(
        self, *arguments: str, stdin: bytes | None = None, env: dict[str, str] | None = None, inside: bool = True
    ) -> str:
        return self._git_bytes(*arguments, stdin=stdin, env=env, inside=inside).decode().strip()

    def _git_bytes(
        self, *arguments: str, stdin: bytes | None = None, env: dict[str, str] | None = None, inside: bool = True
    ) -> bytes:
        where = ["--git-dir", str(self.path)] if inside else []
        try:
            done = subprocess.run(
                ["git", *where, *arguments], input=stdin or b"", capture_output=True, check=False, env=_environment(env)
            )
        except FileNotFoundError:
            raise GitFailed("the command `git` is missing; install the package git") from None
        if done.returncode != 0:
            raise GitFailed(f"git {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()[-300:]}")
        return done.stdout


def _environment(extra: dict[str, str] | None) -> dict[str, str]:
    """Nothing of the user's own git configuration (hooks, signing, filters) takes part."""
    identity = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _IDENTITY.items()}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return {**inherited, **identity, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **(extra or {})}


_IDENTITY = {"NAME": "local hub", "EMAIL": "hub@localhost"}


# What a commit or a blob holds never changes, so both are asked of git once.
@lru_cache(maxsize=256)
def _read_entries(repository: Repository, commit: str) -> tuple[Entry, ...]:
    return tuple(sorted(repository.list_entries(commit), key=lambda entry: entry.path))


@lru_cache(maxsize=256)
def _read_blob(repository: Repository, oid: str) -> bytes:
    return repository.read_blob(oid)
