"""Headers of safetensors files, sound and damaged."""

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_values import json_values
from tiny_models import safetensors_file

from embedding_model.inspection.tensors import HEADER_LIMIT, Tensor, read_tensors
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import FileEntry, Origin, SourceKind
from embedding_model.sources.listing import Listed
from embedding_model.sources.memory import MemorySource

PATH = "model.safetensors"


def read(data: bytes) -> dict[str, Tensor]:
    return dict(read_tensors(MemorySource({PATH: data}), files=[PATH]))


def framed(header: Any, *, body: bytes = b"") -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + body


def entry(**changes: Any) -> dict[str, Any]:
    return {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


def test_names_types_and_shapes_are_read() -> None:
    tensors = read(safetensors_file({"a": (2, 3), "b": ()}, b="BF16"))
    assert tensors["a"] == Tensor(name="a", dtype="F32", shape=(2, 3), file=PATH)
    assert (tensors["a"].parameters, tensors["b"].parameters) == (6, 1)
    assert tensors["b"].dtype == "BF16"


def test_what_the_library_writes_is_read(tmp_path: Any) -> None:
    import numpy as np
    from safetensors.numpy import save

    data = save({"x": np.zeros((2, 3), np.float32), "y": np.zeros(4, np.int64)}, metadata={"format": "pt"})
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in read(data).items()} == {
        "x": ("F32", (2, 3)),
        "y": ("I64", (4,)),
    }


@pytest.mark.parametrize(
    ("data", "reason", "says"),
    [
        (b"", Reason.INVALID_FILE, "expected a safetensors header"),
        (b"\x00" * 7, Reason.INVALID_FILE, "expected a safetensors header"),
        (b"\xff" * 64, Reason.INVALID_FILE, "expected a safetensors header"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", Reason.INVALID_FILE, "Git LFS pointer"),
        (framed(b"not json"), Reason.INVALID_FILE, "the header of model.safetensors: expected JSON"),
        (framed([]), Reason.INVALID_FILE, "header is damaged"),
        (framed({"w": 1}), Reason.INVALID_FILE, 'describes "w" wrongly'),
        (framed(entry(shape=[-2])), Reason.INVALID_FILE, 'describes "w" wrongly'),
        (framed(entry(shape=[True])), Reason.INVALID_FILE, 'describes "w" wrongly'),
        (framed(entry(shape="2")), Reason.INVALID_FILE, 'describes "w" wrongly'),
        (framed(entry(data_offsets=[0])), Reason.INVALID_FILE, 'describes "w" wrongly'),
        (framed(entry(dtype="F8_E4M3")), Reason.UNSUPPORTED_FORMAT, '"w" is stored as "F8_E4M3"'),
        (framed(entry(data_offsets=[0, 4]), body=bytes(4)), Reason.INVALID_FILE, 'gives "w" a wrong place'),
        (framed(entry(data_offsets=[-8, 0])), Reason.INVALID_FILE, 'gives "w" a wrong place'),
        (framed(entry(data_offsets=[4, 12]), body=bytes(12)), Reason.INVALID_FILE, "overlap or leave a gap"),
        (framed(entry(), body=bytes(7)), Reason.INCOMPLETE_WEIGHTS, "describes 8 bytes of tensors, but 7 are there"),
        (framed(entry(), body=bytes(9)), Reason.INVALID_FILE, "describes 8 bytes of tensors, but 9 are there"),
        (
            framed({**entry(), "v": entry()["w"]}, body=bytes(8)),
            Reason.INVALID_FILE,
            "overlap or leave a gap",
        ),
    ],
)
def test_a_damaged_file_is_refused(data: bytes, reason: Reason, says: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(data)
    assert caught.value.reason is reason
    assert says in caught.value.message


def test_a_tensor_in_two_files_is_refused() -> None:
    data = safetensors_file({"w": (2,)})
    source = MemorySource({"a.safetensors": data, "b.safetensors": data})
    with pytest.raises(Refusal, match=r'"w" is stored twice, in a\.safetensors and in b\.safetensors'):
        read_tensors(source, files=["a.safetensors", "b.safetensors"])


class CountingSource:
    """A file of 16 GB of which only the header exists; counts the bytes that are asked for."""

    def __init__(self, header: bytes, *, size: int) -> None:
        self._header = header
        self._size = size
        self.bytes_read = 0

    @property
    def origin(self) -> Origin:
        return Origin(kind=SourceKind.FOLDER)

    def files(self) -> Sequence[Listed]:
        return [Listed(path=PATH, size=self._size)]

    def read(self, path: str, *, limit: int) -> bytes:
        raise AssertionError("a weight file must never be read whole")

    def read_range(self, path: str, *, start: int, length: int) -> bytes:
        self.bytes_read += length
        return self._header[start : start + length]

    def hash(self, path: str) -> FileEntry:
        raise AssertionError("inspection does not hash")


def test_of_a_huge_file_only_the_header_is_read() -> None:
    huge = 16 * 10**9
    header = framed({"w": {"dtype": "F32", "shape": [huge // 4], "data_offsets": [0, huge]}})
    source = CountingSource(header, size=len(header) + huge)
    assert read_tensors(source, files=[PATH])["w"].parameters == huge // 4
    assert source.bytes_read == len(header)


def test_a_header_that_claims_to_be_huge_is_not_read() -> None:
    source = CountingSource((HEADER_LIMIT + 1).to_bytes(8, "little"), size=16 * 10**9)
    with pytest.raises(Refusal) as caught:
        read_tensors(source, files=[PATH])
    assert caught.value.reason is Reason.TOO_LARGE
    assert source.bytes_read == 8


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.binary() | json_values.map(framed))
def test_any_bytes_are_tensors_or_a_refusal(data: bytes) -> None:
    with contextlib.suppress(Refusal):  # anything else that is raised fails the test
        read(data)
