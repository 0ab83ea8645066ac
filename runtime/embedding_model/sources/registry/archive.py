"""A layer's archive as a stream of members, within fixed bounds of memory and time.

Header blocks are read by the standard library. What varies in length is read here: `tarfile` takes an extended header
of any length into memory, matches it with expressions that need quadratic time in Python 3.11, and follows maps of
sparse files, all of which a hostile image could use.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.registry.blob import Budget, Readable
from embedding_model.sources.registry.documents import image_path

_BLOCK = tarfile.BLOCKSIZE
_EXTENDED_LIMIT = 1024 * 1024  # bytes of one extended header; real ones have a few hundred
_PATH_LIMIT = 4096  # characters; PATH_MAX of Linux. A path of a megabyte becomes tens of megabytes in parts
_SPARSE = "GNU.sparse."
_KEPT = ("path", "linkpath", "size", _SPARSE)
_READ = 1024 * 1024  # bytes


class Kind(StrEnum):
    FILE = "file"
    FOLDER = "folder"
    LINK = "symbolic link"
    HARD_LINK = "hard link"
    DEVICE = "device"


_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.FOLDER,
    tarfile.SYMTYPE: Kind.LINK,
    tarfile.LNKTYPE: Kind.HARD_LINK,
    tarfile.CHRTYPE: Kind.DEVICE,
    tarfile.BLKTYPE: Kind.DEVICE,
    tarfile.FIFOTYPE: Kind.DEVICE,
}
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


@dataclass(frozen=True)
class Member:
    """One entry: `path` in parts from the image's root, `size` in bytes, `target` of a link as it is written."""

    path: tuple[str, ...]
    kind: Kind
    size: int = 0
    target: str = ""


class Content:
    """The bytes of the member that was read last; what is not read is skipped."""

    def __init__(self, stream: Readable, *, size: int) -> None:
        self._stream = stream
        self._left = size
        self._padding = -size % _BLOCK

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end. Refuses InvalidFile when the archive ends before the member does."""
        wanted = min(size, self._left)
        if not wanted:
            return b""
        data = self._stream.read(wanted)
        if not data:
            raise _invalid("ends in the middle of a file")
        self._left -= len(data)
        return data

    def skip(self) -> None:
        while self.read(_READ):
            pass
        _read_exactly(self._stream, self._padding)


def read_members(stream: Readable, *, budget: Budget) -> Iterator[tuple[Member, Content]]:
    """The members in their order. Refuses InvalidFile, UnsafePath, UnsupportedFormat, and TooLarge over the budget."""
    extended: dict[str, str] = {}
    while (header := _read_header(stream)) is not None:
        budget.spend(0, headers=1)
        if header.type in _EXTENDED:
            if header.type != tarfile.XGLTYPE:  # comments of git; Go's archive/tar, and so containerd, skips them too
                extended |= _read_extended(stream, header=header)
            else:
                _read_padded(stream, size=header.size)
            continue
        member = _member(header, extended=extended)
        extended = {}
        content = Content(stream, size=member.size)
        yield member, content
        content.skip()
    while stream.read(_READ):  # to where a compressed stream says whether it was whole
        pass


def _member(header: tarfile.TarInfo, *, extended: dict[str, str]) -> Member:
    kind = _KINDS.get(header.type)
    if kind is None or _SPARSE in extended:
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            "a layer of the image holds a sparse file or another special kind of entry; build it with ordinary files",
        )
    size, path, target = extended.get("size"), extended.get("path", header.name), extended.get("linkpath")
    if max(len(path), len(target or "")) > _PATH_LIMIT:
        raise _invalid(f"has a path of more than {_PATH_LIMIT} characters")
    return Member(
        path=image_path(path),
        kind=kind,
        # of what is no file the size means nothing, as Go's archive/tar has it
        size=0 if kind is not Kind.FILE else header.size if size is None else _number(size),
        target=header.linkname if target is None else target,
    )


def _read_header(stream: Readable) -> tarfile.TarInfo | None:
    """None at the end: a block of zeros, or nothing more at all."""
    block = _read_exactly(stream, _BLOCK, or_nothing=True)
    if not block.strip(b"\0"):
        return None
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        raise _invalid("has a header that is none") from None
    if header.size < 0:
        raise _invalid("has an entry of negative size")
    return header


def _read_extended(stream: Readable, *, header: tarfile.TarInfo) -> dict[str, str]:
    data = _read_padded(stream, size=header.size)
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": _text(data.partition(b"\0")[0])}
    if header.type == tarfile.GNUTYPE_LONGLINK:
        return {"linkpath": _text(data.partition(b"\0")[0])}
    records = ((_SPARSE if key.startswith(_SPARSE) else key, value) for key, value in _records(data))
    return {key: value for key, value in records if key in _KEPT}  # any number of headers may stand before a member


def _read_padded(stream: Readable, *, size: int) -> bytes:
    if size > _EXTENDED_LIMIT:
        raise Refusal(
            Reason.TOO_LARGE,
            f"a layer of the image has an extended header of {size} bytes; at most {_EXTENDED_LIMIT} are read",
        )
    data = _read_exactly(stream, size)
    _read_exactly(stream, -size % _BLOCK)
    return data


def _records(data: bytes) -> Iterator[tuple[str, str]]:
    """`LENGTH KEY=VALUE\\n`, where the length counts the whole record (POSIX pax, "Extended Header")."""
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        end = position + _number(_text(data[position:space])) if space > 0 else 0
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end <= space or end > len(data) or data[end - 1 : end] != b"\n" or not equals:
            raise _invalid("has an extended header that is none")
        yield _text(key), _text(value)
        position = end


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise _invalid("has a size that is no number")
    return int(text)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _read_exactly(stream: Readable, size: int, *, or_nothing: bool = False) -> bytes:
    data = bytearray()
    while len(data) < size:
        block = stream.read(size - len(data))
        if not block:
            if or_nothing and not data:
                return b""
            raise _invalid("ends too soon")
        data += block
    return bytes(data)


def _invalid(complaint: str) -> Refusal:
    return Refusal(Reason.INVALID_FILE, f"a layer of the image is not a tar archive that can be read: it {complaint}")
