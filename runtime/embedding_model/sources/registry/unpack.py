"""A layer's files on the disk, under numbers: a name from an image becomes a file's name only when all are known."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.listing import check_path
from embedding_model.sources.registry.archive import Content, Kind, Member, read_members
from embedding_model.sources.registry.blob import BlobStream, Budget, Decompressed, Readable
from embedding_model.sources.registry.documents import Layer, image_path
from embedding_model.sources.registry.tree import File, Folder, LayerContent, Link, Parts, link_target
from embedding_model.sources.volume import volume_errors, write_all

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_RESERVED = ".wh..wh."  # what union file systems keep for themselves
_READ = 1024 * 1024  # bytes


def unpack(layer: Layer, *, stream: BlobStream, scope: Parts, staging: Path, budget: Budget) -> LayerContent:
    """What the layer says about the folder `scope`; its files are in `staging`, which is empty and the layer's own.

    The stream is read to its end and its hash checked. Refuses what `read_members` refuses, UnsafePath for devices and
    names that are no safe paths, HashMismatch; raises Unavailable.
    """
    content = LayerContent()
    numbers = itertools.count()

    def store(source: Readable) -> File:
        path = staging / f"{next(numbers):08d}"
        with volume_errors(staging):
            _copy(source, to=path)
        return File(path)

    if layer.file is not None:
        path = image_path(layer.file)
        budget.spend(layer.blob.size, headers=1)
        if _is_below(path, scope=scope):
            _check(path, scope=scope)
            content.added.append((path, store(_Plain(stream))))
    else:
        source = Decompressed(stream, compression=layer.compression, budget=budget)
        checked_as_read(stream, lambda: _read_archive(source, scope=scope, budget=budget, content=content, store=store))
    stream.verify()
    return content


def checked_as_read(stream: BlobStream, read: Callable[[], None]) -> None:
    """Where an archive cannot be read, say first whether these are the bytes that the image names."""
    try:
        read()
    except Refusal as refusal:
        if refusal.reason is Reason.INVALID_FILE:
            stream.verify()
        raise


class _Plain:
    """A blob that is one file."""

    def __init__(self, stream: BlobStream) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        return self._stream.read(size) or b""


def _read_archive(
    source: Readable,
    *,
    scope: Parts,
    budget: Budget,
    content: LayerContent,
    store: Callable[[Content], File],
) -> None:
    for member, data in read_members(source, budget=budget):
        name = member.path[-1] if member.path else ""
        if name.startswith(WHITEOUT):
            if _concerns(member.path[:-1], scope=scope):
                _note_whiteout(member.path, content=content)
        elif _is_below(member.path, scope=scope):
            _check(member.path, scope=scope)
            if member.kind is Kind.FILE:
                content.added.append((member.path, store(data)))
            else:
                content.added.append((member.path, _node(member)))
        elif member.path == scope[: len(member.path)] and member.kind is not Kind.FOLDER:
            # on the way to the folder: only whether it is a link matters
            content.added.append((member.path, _node(member) if member.kind is Kind.LINK else Folder()))


def _note_whiteout(path: Parts, *, content: LayerContent) -> None:
    name = path[-1]
    if name == OPAQUE:
        content.emptied.append(path[:-1])
    elif not name.startswith(_RESERVED) and name != WHITEOUT:
        content.removed.append((*path[:-1], name.removeprefix(WHITEOUT)))


def _node(member: Member) -> Folder | Link:
    if member.kind is Kind.FOLDER:
        return Folder()
    if member.kind is Kind.DEVICE:
        raise Refusal(
            Reason.UNSAFE_PATH,
            f"the image holds a device or a pipe: {'/'.join(member.path)[:200]!r}; set model.image.path to the folder"
            " that holds the model alone",
            field="model.image.path",
        )
    if member.kind is Kind.HARD_LINK:
        return Link(image_path(member.target), hard=True)
    return Link(link_target(member.target, path=member.path))


def _is_below(path: Parts, *, scope: Parts) -> bool:
    return len(path) > len(scope) and path[: len(scope)] == scope


def _concerns(folder: Parts, *, scope: Parts) -> bool:
    """Whether what is hidden in the folder may be the scope, something on the way to it, or something in it."""
    common = min(len(folder), len(scope))
    return folder[:common] == scope[:common]


def _check(path: Parts, *, scope: Parts) -> None:
    check_path("/".join(path[len(scope) :]))


def _copy(source: Readable, *, to: Path) -> None:
    descriptor = os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        while block := source.read(_READ):
            write_all(file.fileno(), block)
