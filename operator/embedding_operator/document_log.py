"""ConfigMaps that nothing could render anew: in memory, of the replica that leads.

Another leader starts with an empty log: what a hand deletes before it has looked is lost.
"""

from collections.abc import Mapping

from embedding_operator.observe.facts import Document, Key


class DocumentLog:
    """Holds something of a model only while pods of it mount what its spec does not ask for any more."""

    def __init__(self) -> None:
        self._documents: dict[Key, Mapping[str, Document]] = {}

    def read(self, key: Key) -> Mapping[str, Document]:
        return self._documents.get(key, {})

    def note(self, key: Key, *, documents: Mapping[str, Document]) -> None:
        if documents:
            self._documents[key] = documents
        else:
            self._documents.pop(key, None)
