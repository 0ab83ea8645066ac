"""The manifest of a source: exactly which bytes are loaded."""

from collections.abc import Iterable

from embedding_model.resolved import Manifest
from embedding_model.sources.source import Source


def build_manifest(source: Source, *, paths: Iterable[str]) -> Manifest:
    """Size and sha256 of every path, sorted by path.

    A hub's large files take the sha256 of the listing; every other file is read. Raises what `source.hash` raises.
    """
    return Manifest(files=tuple(source.hash(path) for path in sorted(set(paths))))
