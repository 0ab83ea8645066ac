"""GGUF files: recognised and counted, by their first 24 bytes. There is no code in them; they are not served yet.

The head is `GGUF`, the version (uint32), the number of tensors and the number of metadata entries (uint64 each),
little-endian (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). A file's hash is `Source.hash`, as for any.
"""

import struct
from dataclasses import dataclass

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.source import Source

SUFFIX = ".gguf"
MAGIC = b"GGUF"
VERSIONS = (2, 3)  # version 1 counted in 32 bits and is not written any more
_HEAD = struct.Struct("<4sIQQ")
# What an entry takes at least. Metadata: length and one byte of its name, type, one byte of value. Tensor: length and
# one byte of its name, number of dimensions, one dimension, type, offset.
_LEAST_METADATA = 8 + 1 + 4 + 1  # bytes
_LEAST_TENSOR = 8 + 1 + 4 + 8 + 4 + 8  # bytes


@dataclass(frozen=True)
class GgufHead:
    version: int
    tensors: int
    metadata: int


def read_gguf_head(source: Source, *, path: str) -> GgufHead:
    """What the file says of itself. Reads 24 bytes.

    Raises Refusal: INVALID_FILE for a file that is no GGUF, that is cut, or whose counts it is too small for;
    UNSUPPORTED_FORMAT for another version or byte order.
    """
    size = next((file.size for file in source.files() if file.path == path), 0)
    data = source.read_range(path, start=0, length=_HEAD.size)
    if not data.startswith(MAGIC) or len(data) < _HEAD.size:
        raise Refusal(Reason.INVALID_FILE, f"{path}: expected a GGUF file, found something else; copy the file anew")
    _, version, tensors, metadata = _HEAD.unpack(data)
    if version not in VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        found = "big-endian" if swapped in VERSIONS else f"version {version}"
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"{path} is a GGUF file, {found}; expected little-endian, version {' or '.join(map(str, VERSIONS))}",
        )
    if tensors * _LEAST_TENSOR + metadata * _LEAST_METADATA + _HEAD.size > size:
        raise Refusal(
            Reason.INVALID_FILE,
            f"{path} has {size} bytes, too few for its {tensors} tensors and {metadata} metadata entries; it may be "
            "cut: copy it anew",
        )
    return GgufHead(version=version, tensors=tensors, metadata=metadata)
