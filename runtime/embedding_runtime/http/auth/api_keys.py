"""API keys: one on each line of a mounted file, several so that they can be rotated.

Blank lines and lines that begin with `#` say nothing.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path

from embedding_runtime.http.auth.watched_file import Malformed, WatchedFile

MAX_FILE_BYTES = 128 * 1024
MAX_KEYS = 256  # every request is compared with all of them
MIN_CHARACTERS = 8  # shorter is a slip, or can be guessed
MAX_CHARACTERS = 512
KEY = re.compile(r"[!-~]+")  # what a header carries as it is: visible ASCII


@dataclass(frozen=True)
class ApiKeys:
    """The sha256 of each key: as all have one length, comparing says nothing of the key's own."""

    digests: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.digests)

    def describe(self) -> str:
        return f"{len(self)} {'key' if len(self) == 1 else 'keys'}" if self else "no key, so nobody is let in by one"

    def include(self, key: str) -> bool:
        """In a time that does not depend on which key it is, or how much of one."""
        digest = _digest(key)
        found = False
        for known in self.digests:
            found |= hmac.compare_digest(digest, known)
        return found


def watch_api_keys(path: Path) -> WatchedFile[ApiKeys]:
    """Raises Refusal."""
    return WatchedFile(
        path, what="the API keys", field="auth.apiKeysSecretRef", max_bytes=MAX_FILE_BYTES, parse=parse_api_keys
    )


def parse_api_keys(data: bytes) -> ApiKeys:
    """Raises Malformed that names the line, never a part of it."""
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise Malformed("it is not text in UTF-8; write one key on each line") from None
    digests: dict[bytes, None] = {}
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith("#"):
            continue
        if not KEY.fullmatch(line):
            raise Malformed(f"line {number} is no key: write one key on each line, of ASCII letters, digits and signs")
        if not MIN_CHARACTERS <= len(line) <= MAX_CHARACTERS:
            raise Malformed(f"the key of line {number} must have {MIN_CHARACTERS} to {MAX_CHARACTERS} characters")
        digests[_digest(line)] = None
    if len(digests) > MAX_KEYS:
        raise Malformed(f"it has more than {MAX_KEYS} keys")
    return ApiKeys(digests=tuple(digests))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
