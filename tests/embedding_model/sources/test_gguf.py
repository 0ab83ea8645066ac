"""GGUF files are recognised by their first bytes, which nothing in the file can make expensive."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.gguf import GgufHead, read_gguf_head
from embedding_model.sources.memory import MemorySource

PATH = "model-q8_0.gguf"


def head(*, version: int = 3, tensors: int = 2, metadata: int = 3, order: str = "<") -> bytes:
    return struct.pack(f"{order}4sIQQ", b"GGUF", version, tensors, metadata)


def read(data: bytes) -> GgufHead:
    return read_gguf_head(MemorySource({PATH: data}), path=PATH)


def reason_of(data: bytes) -> Reason:
    with pytest.raises(Refusal) as raised:
        read(data)
    return raised.value.reason


@pytest.mark.parametrize("version", [2, 3])
def test_version_and_counts_are_read(version: int) -> None:
    assert read(head(version=version) + bytes(500)) == GgufHead(version=version, tensors=2, metadata=3)


@pytest.mark.parametrize(
    "data", [b"", b"GGUF", b"GGML" + bytes(500), head()[:-1], b"version https://git-lfs" + bytes(9)]
)
def test_anything_else_is_refused(data: bytes) -> None:
    assert reason_of(data) is Reason.INVALID_FILE


@pytest.mark.parametrize("counts", [{"tensors": 2**63}, {"metadata": 2**63}, {"tensors": 17}])
def test_more_entries_than_the_file_can_hold_are_refused(counts: dict[str, int]) -> None:
    assert reason_of(head(**counts) + bytes(500)) is Reason.INVALID_FILE


@pytest.mark.parametrize("data", [head(version=1), head(version=4), head(order=">")])
def test_another_version_or_byte_order_is_named(data: bytes) -> None:
    assert reason_of(data + bytes(500)) is Reason.UNSUPPORTED_FORMAT


@given(st.binary(max_size=64).map(lambda tail: b"GGUF" + tail))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = read(data)
    except Refusal:
        return
    assert found.tensors * 33 + found.metadata * 14 <= len(data)
