"""Reading archives: what tarfile writes is read as it was written, and no bytes take more than their share."""

import io
import tarfile
import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from images import Entry, archive

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.registry.archive import Kind, read_members
from embedding_model.sources.registry.blob import Budget

NAMES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60)
    .filter(lambda name: name not in (".", "..")),
    min_size=1,
    max_size=5,
).map("/".join)  # fmt: skip
ENTRIES = st.lists(st.builds(Entry, name=NAMES, data=st.binary(max_size=2000)), max_size=6)


def read(data: bytes) -> list[tuple[str, Kind, bytes]]:
    found = []
    for member, content in read_members(io.BytesIO(data), budget=Budget(compressed=len(data))):
        body = b""
        while block := content.read(700):
            body += block
        found.append(("/".join(member.path), member.kind, body))
    return found


@given(ENTRIES, st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_what_tarfile_writes_is_read(entries: Sequence[Entry], format: int) -> None:
    assert read(archive(*entries, format=format)) == [(entry.name, Kind.FILE, entry.data) for entry in entries]


@given(ENTRIES, st.data())
def test_a_spoiled_archive_is_read_or_refused(entries: Sequence[Entry], data: st.DataObject) -> None:
    made = bytearray(archive(*entries))
    for _ in range(data.draw(st.integers(1, 4))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(made)))
    try:
        found = read(bytes(made[:cut]))
    except Refusal:
        return
    assert sum(len(body) for _, _, body in found) <= len(made)


@given(st.binary(max_size=4096))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = read(data)
    except Refusal as refusal:
        assert refusal.reason in (Reason.INVALID_FILE, Reason.TOO_LARGE, Reason.UNSAFE_PATH)  # noqa: PT017
    else:
        assert sum(len(body) for _, _, body in found) <= len(data)


def header(name: str, *, type: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = type, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("type", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_an_extended_header_without_end_is_refused_before_it_is_read(type: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read(header("x", type=type, size=2**40))
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    "record",
    [
        b"1" * 100_000,
        b"99999999999999999999 path=x\n",
        b"0 path=x\n",
        b"-5 path=x\n",
        b"11 path=xyz",
        b"9 path:x\n\n",
        b"\xb2\xb3 path=x\n",
        b"19 path=x\nsize=x\n---\n",
        b"13 size=-512\n",
        b"15 size=9999999999999999999999\n",
    ],
)
def test_an_extended_header_that_is_none_is_refused(record: bytes) -> None:
    extended = header("x", type=tarfile.XHDTYPE, size=len(record)) + record + bytes(-len(record) % 512)
    with pytest.raises(Refusal) as caught:
        read(extended + header("models/a") + bytes(1024))
    assert caught.value.reason is Reason.INVALID_FILE


def test_a_megabyte_of_digits_is_read_in_linear_time() -> None:
    """The expressions of Python 3.11's tarfile would take hours over it, and this test with them."""
    record = b"1" * (1024 * 1024 - 12)
    record = b"%d comment=%s\n" % (len(record) + 17, record)
    extended = header("x", type=tarfile.XHDTYPE, size=len(record)) + record + bytes(-len(record) % 512)
    with pytest.raises(Refusal):
        read((extended * 3)[:-512])


def pax(*records: bytes) -> bytes:
    """An extended header with these records."""
    data = b"".join(records)
    return header("x", type=tarfile.XHDTYPE, size=len(data)) + data + bytes(-len(data) % 512)


def pax_record(key: str, value: str) -> bytes:
    """One record, its length written with seven digits."""
    return b"%07d %s=%s\n" % (len(key) + len(value) + 10, key.encode(), value.encode())


def test_any_number_of_extended_headers_takes_no_memory() -> None:
    """Each with a key of its own: only what is used is kept."""
    headers = b"".join(pax(pax_record(f"comment{number}", "x" * 250_000)) for number in range(100))
    data = headers + header("a") + bytes(1024)
    tracemalloc.start()
    try:
        assert [name for name, _, _ in read(data)] == ["a"]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(data) / 5


@pytest.mark.parametrize("key", ["path", "linkpath"])
def test_a_path_longer_than_any_system_takes_is_refused(key: str) -> None:
    with pytest.raises(Refusal, match="4096 characters") as caught:
        read(pax(pax_record(key, "a/" * 100_000)) + header("a", type=tarfile.SYMTYPE) + bytes(1024))
    assert caught.value.reason is Reason.INVALID_FILE


def test_extended_headers_belong_to_the_next_member_alone() -> None:
    made = archive(Entry("ä" * 80, b"1"), Entry("b", b"2"))
    assert [name for name, _, _ in read(made)] == ["ä" * 80, "b"]


def test_a_global_header_is_skipped() -> None:
    """As `git archive` writes it, with the commit as a comment."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", pax_headers={"comment": "1" * 40, "path": "../x"}) as tar:
        tar.addfile(tarfile.TarInfo("a"))
    assert [name for name, _, _ in read(output.getvalue())] == ["a"]


def test_a_negative_size_is_refused() -> None:
    block = bytearray(header("a"))
    block[124:136] = b"\xff" * 12  # base 256, two's complement
    block[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(block))[0]  # type: ignore[attr-defined]
    with pytest.raises(Refusal) as caught:
        read(bytes(block) + bytes(1024))
    assert caught.value.reason is Reason.INVALID_FILE


def test_what_follows_the_end_is_not_read_as_members() -> None:
    made = archive(Entry("a", b"1")) + archive(Entry("b", b"2"))
    assert [name for name, _, _ in read(made)] == ["a"]
