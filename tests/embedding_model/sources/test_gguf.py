"""A GGUF header is read within bounds, whatever stands in it, and only as far as it goes."""

import struct
from pathlib import Path

import pytest
from gguf.constants import GGML_QUANT_SIZES
from gguf_files import entry, head, text, write_gguf
from hypothesis import given
from hypothesis import strategies as st

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.gguf import TYPES, GgufArray, GgufHeader, find_gguf, read_gguf_header
from embedding_model.sources.memory import MemorySource

PATH = "model-q8_0.gguf"


def read(data: bytes) -> GgufHeader:
    return read_gguf_header(MemorySource({PATH: data}), path=PATH)


def reason_of(data: bytes) -> Reason:
    with pytest.raises(Refusal) as raised:
        read(data)
    return raised.value.reason


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "model.gguf").read_bytes()


def test_a_file_of_the_gguf_library_is_read_as_the_library_reads_it(tmp_path: Path) -> None:
    from gguf import GGUFReader

    path = write_gguf(tmp_path / "model.gguf")
    found, expected = read(path.read_bytes()), GGUFReader(path)
    assert [(tensor.name, tensor.shape, tensor.start, tensor.bytes) for tensor in found.tensors] == [
        (tensor.name, tuple(reversed(tensor.shape.tolist())), tensor.data_offset, tensor.n_bytes)
        for tensor in expected.tensors
    ]
    own = {key: field.contents() for key, field in expected.fields.items() if not key.startswith("GGUF.")}
    assert set(found.values) == set(own)
    for key, value in found.values.items():
        if isinstance(value, GgufArray):
            assert list(value.texts() if value.form is None else value.integers()) == own[key]
        else:
            assert value == own[key]


def test_the_types_are_those_of_the_gguf_library() -> None:
    from gguf import GGMLQuantizationType

    for number, (name, block, size) in TYPES.items():
        kind = GGMLQuantizationType(number)
        assert (kind.name, GGML_QUANT_SIZES[kind]) == (name, (block, size))


@pytest.mark.parametrize("version", [2, 3])
def test_both_versions_are_read(version: int) -> None:
    found = read(head(version=version, metadata=1) + entry("general.architecture", "llama") + bytes(10))
    assert (found.version, found.values) == (version, {"general.architecture": "llama"})


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


def test_a_key_or_a_list_longer_than_the_file_is_refused_without_being_read() -> None:
    long_key = struct.pack("<Q", 2**60)
    assert reason_of(head(metadata=1) + long_key + bytes(50)) is Reason.INVALID_FILE
    numbers = text("x") + struct.pack("<IIQ", 9, 4, 2**61)
    assert reason_of(head(metadata=1) + numbers + bytes(50)) is Reason.INVALID_FILE
    strings = text("x") + struct.pack("<IIQ", 9, 8, 2**61)
    assert reason_of(head(metadata=1) + strings + bytes(50)) is Reason.TOO_LARGE


def test_a_key_that_stands_there_twice_and_lists_of_lists_are_refused() -> None:
    twice = entry("a", "b") + entry("a", "c")
    assert reason_of(head(metadata=2) + twice + bytes(50)) is Reason.INVALID_FILE
    nested = text("x") + struct.pack("<IIQ", 9, 9, 1)
    assert reason_of(head(metadata=1) + nested + bytes(50)) is Reason.INVALID_FILE


def test_a_file_that_is_cut_or_goes_on_is_refused(written: bytes) -> None:
    assert reason_of(written[:-64]) is Reason.INCOMPLETE_WEIGHTS
    assert reason_of(written + bytes(64)) is Reason.INVALID_FILE
    assert reason_of(written[: len(written) // 50]) is Reason.INVALID_FILE


def test_a_tensor_of_an_unknown_type_is_refused() -> None:
    tensor = text("token_embd.weight") + struct.pack("<IQIQ", 1, 32, 99, 0)
    assert reason_of(head(tensors=1) + tensor + bytes(500)) is Reason.UNSUPPORTED_FORMAT


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tail: bytes) -> None:
    _read_or_refuse(head(tensors=1, metadata=2) + tail)


@given(st.data())
def test_any_change_of_a_real_header_is_read_or_refused(written: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, 3000))
    change = data.draw(st.binary(min_size=1, max_size=9))
    _read_or_refuse(written[:place] + change + written[place + len(change) :])


def _read_or_refuse(data: bytes) -> None:
    try:
        found = read(data)
    except Refusal:
        return
    assert all(tensor.start + tensor.bytes <= len(data) for tensor in found.tensors)


def test_the_one_gguf_file_is_the_model_where_nothing_else_holds_weights() -> None:
    assert find_gguf(["README.md", "config.json", "model.gguf"]) == "model.gguf"
    assert find_gguf(["model.gguf", "model.safetensors"]) is None
    assert find_gguf(["README.md"]) is None


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        (["a-Q4_0.gguf", "a-Q8_0.gguf"], "a-Q4_0.gguf, a-Q8_0.gguf"),
        (["a-00001-of-00002.gguf", "a-00002-of-00002.gguf"], "in parts"),
        (["modules.json", "a.gguf"], "modules.json"),
        (["Q4/a.gguf"], "in folders"),
    ],
)
def test_where_one_cannot_be_chosen_the_files_are_named(paths: list[str], says: str) -> None:
    with pytest.raises(Refusal, match=says) as raised:
        find_gguf(paths)
    assert raised.value.reason is Reason.UNSUPPORTED_FORMAT
