"""The first bytes of a GGUF file, pulled as they are needed and never more than a limit."""

import struct
from collections.abc import Callable

from embedding_model.refusal import Reason, Refusal

# Gives the next bytes of the file, at most as many as asked; fewer at its end.
Pull = Callable[[int], bytes]

# A vocabulary of 262144 tokens with its merges (Gemma 3) takes 17 MB, one of 151936 (Qwen3) 6 MB.
HEADER_LIMIT = 32 * 1024 * 1024  # bytes
MOST_TEXTS = 1_500_000  # strings in all lists together; Gemma 3 has 780,000
_PIECES = (256 * 1024, 1024 * 1024)  # bytes of the first piece and of those behind it
_UINT32 = struct.Struct("<I")
_UINT64 = struct.Struct("<Q")


class HeaderBytes:
    """Positions count from the file's first byte. Every read raises Refusal: INVALID_FILE beyond the end of the file,
    TOO_LARGE beyond HEADER_LIMIT."""

    def __init__(self, pull: Pull, *, path: str, size: int) -> None:
        self.path = path
        self.size = size
        self._pull = pull
        self._data = bytearray()
        self._texts = 0

    def behind(self, position: int) -> bytes:
        """What has been pulled from `position` on."""
        return bytes(self._data[position:])

    @property
    def pulled(self) -> int:
        """How many bytes have been pulled."""
        return len(self._data)

    def slice(self, start: int, count: int) -> bytes:
        self._require(start + count)
        return bytes(self._data[start : start + count])

    def skip(self, start: int, count: int) -> int:
        """The position behind `count` bytes, which are there."""
        self._require(start + count)
        return start + count

    def unpack(self, form: struct.Struct, position: int) -> tuple[int, ...]:
        """May hold floats and booleans: what `form` says."""
        self._require(position + form.size)
        return form.unpack_from(self._data, position)

    def uint32(self, position: int) -> tuple[int, int]:
        """The number and the position behind it."""
        return self.unpack(_UINT32, position)[0], position + _UINT32.size

    def uint64(self, position: int) -> tuple[int, int]:
        """The number and the position behind it."""
        return self.unpack(_UINT64, position)[0], position + _UINT64.size

    def text(self, position: int, *, longest: int = HEADER_LIMIT) -> tuple[str, int]:
        """The string and the position behind it. Raises Refusal(INVALID_FILE) for one that is no UTF-8 or too long."""
        length, position = self.uint64(position)
        if length > longest:
            raise Refusal(Reason.INVALID_FILE, f"{self.path}: a name has {length} bytes; copy the file anew")
        try:
            return self.slice(position, length).decode(), position + length
        except UnicodeDecodeError:
            raise Refusal(Reason.INVALID_FILE, f"{self.path}: a string is not UTF-8; copy the file anew") from None

    def skip_texts(self, position: int, *, count: int) -> int:
        """The position behind `count` strings. Raises Refusal(TOO_LARGE) for more than MOST_TEXTS in all."""
        self._texts += count
        if self._texts > MOST_TEXTS:
            raise Refusal(Reason.TOO_LARGE, f"{self.path}: its lists hold more than {MOST_TEXTS} strings")
        for _ in range(count):
            length, position = self.uint64(position)
            position = self.skip(position, length)
        return position

    def _require(self, end: int) -> None:
        if end <= len(self._data):
            return
        if end > self.size:
            raise Refusal(Reason.INVALID_FILE, f"{self.path}: its header goes on behind its end; copy the file anew")
        if end > HEADER_LIMIT:
            raise Refusal(
                Reason.TOO_LARGE, f"{self.path}: the GGUF header has more than the {HEADER_LIMIT} bytes allowed"
            )
        while len(self._data) < end:
            missing = max(end - len(self._data), _PIECES[1] if self._data else _PIECES[0])
            piece = self._pull(min(missing, self.size - len(self._data)))
            if not piece:
                raise Refusal(Reason.INVALID_FILE, f"{self.path} ends before its header does; copy the file anew")
            self._data += piece
