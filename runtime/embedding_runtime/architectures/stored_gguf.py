"""Tensors of a GGUF file, turned into plain floats one after the other by the gguf library."""

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import torch

from embedding_model.inspection.gguf_config import count_turned_heads, name_tensors
from embedding_model.inspection.gguf_model import describe_types
from embedding_model.sources.gguf import GgufTensor
from embedding_runtime.files import Reader
from embedding_runtime.gguf_files import read_header

PIECE_VALUES = 4 * 1024 * 1024  # of a tensor, that are floats of 32 bits before they are cast


class GgufFile:
    """One GGUF file, from front to back, its tensors under the names of transformers' classes.

    `shapes` by those names; `types` says how many tensors are of which type.
    """

    def __init__(self, path: str, *, reader: Reader) -> None:
        header = read_header(reader, path=path)
        self._reader = reader
        self._names = {tensor.name: name for name, tensor in name_tensors(header).items()}
        self._tensors = header.tensors
        self._turned = count_turned_heads(header)
        self._position = min((tensor.start for tensor in header.tensors), default=header.data.pulled)
        self._rest = memoryview(header.data.behind(self._position))
        if header.data.pulled < self._position:
            reader.skip(self._position - header.data.pulled)
        self.shapes: Mapping[str, tuple[int, ...]] = {self._names[item.name]: item.shape for item in header.tensors}
        self.types = describe_types(header)
        self.in_memory = False  # every tensor is made of what it reads

    def read(
        self, names: Collection[str], *, dtype: torch.dtype | None, device: torch.device
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """`dtype` None: float32."""
        for tensor in self._tensors:
            self._skip(tensor.start - self._position)
            name = self._names[tensor.name]
            if name not in names:
                self._skip(tensor.bytes)
                continue
            values = self._read_values(tensor, dtype=dtype or torch.float32, device=device)
            heads = self._turned(tensor.name)
            if heads is not None:
                values = part_again(values, heads=heads)
            yield name, values
            del values  # the next tensor is read while nobody holds this one any more

    def finish(self) -> None:
        self._reader.finish()

    def _read_values(self, tensor: GgufTensor, *, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        from gguf import GGMLQuantizationType, dequantize

        kind = GGMLQuantizationType(tensor.number)
        width = tensor.shape[-1]
        rows = tensor.parameters // width
        values = torch.empty((rows, width), dtype=dtype, device=device)
        row_bytes = tensor.bytes // rows
        step = max(1, PIECE_VALUES // width)
        for start in range(0, rows, step):
            count = min(step, rows - start)
            raw = np.frombuffer(self._take(count * row_bytes), dtype=np.uint8).reshape(count, row_bytes)
            floats = np.ascontiguousarray(dequantize(raw, kind), dtype=np.float32)
            values[start : start + count].copy_(torch.from_numpy(floats.reshape(count, width)))
        return values.reshape(tensor.shape)

    def _take(self, count: int) -> bytearray:
        """The next bytes: first what was read with the header."""
        data = bytearray(count)
        held = min(count, len(self._rest))
        data[:held] = self._rest[:held]
        self._rest = self._rest[held:]
        self._reader.fill(memoryview(data)[held:])
        self._position += count
        return data

    def _skip(self, count: int) -> None:
        held = min(count, len(self._rest))
        self._rest = self._rest[held:]
        self._reader.skip(count - held)
        self._position += count


def part_again(values: torch.Tensor, *, heads: int) -> torch.Tensor:
    """Rows of each head from neighbouring pairs to two halves, [rows, ...] to the same shape."""
    rows = values.shape[0]
    paired = values.reshape(heads, rows // heads // 2, 2, *values.shape[1:])
    return paired.transpose(1, 2).reshape(values.shape).contiguous()
