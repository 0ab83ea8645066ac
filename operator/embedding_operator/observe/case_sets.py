"""Golden cases that ConfigMaps hold, read once: every reconcile looks at the same texts, and the cases are among the
largest of what is in memory."""

import hashlib
from typing import Final
from weakref import WeakValueDictionary

from embedding_model.goldens.cases import CaseSet

_read: Final[WeakValueDictionary[bytes, CaseSet]] = WeakValueDictionary()  # by the sha256 of the text


def read_case_set(*texts: str) -> CaseSet:
    """The cases of all `texts`. Whoever reads the same while somebody holds it, gets the same object.

    Raises:
        ValidationError: a line is no golden case.
        JSONDecodeError: a line is no JSON.
    """
    content = "\n".join(texts).encode()
    digest = hashlib.sha256(content).digest()
    found = _read.get(digest)
    if found is None:
        found = _read[digest] = CaseSet.from_jsonl(content)
    return found
