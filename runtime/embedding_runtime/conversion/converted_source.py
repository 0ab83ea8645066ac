"""A Job's first conversion: a source whose pickles are replaced by what they were converted to."""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Conversion, Evidence, FileEntry, Origin
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.listing import Listed
from embedding_model.sources.source import ListedFile, Source
from embedding_model.sources.volume import volume_errors
from embedding_runtime.conversion.isolated import Digest, convert, describe
from embedding_runtime.conversion.pickles import is_index, is_pickle, render_index, target_path

logger = logging.getLogger(__name__)

Locate = Callable[[FileEntry], Path]


class ConvertedSource:
    """The files of `base`, with the targets of `conversions`, which lie in `folder`, in place of their pickles.

    `evidence` says of each pickle what became of it.
    """

    def __init__(
        self, base: Source, *, folder: Path, conversions: Sequence[Conversion], evidence: Sequence[Evidence] = ()
    ) -> None:
        self.conversions = tuple(conversions)
        self.evidence = tuple(evidence)
        self.folder = folder
        self._base = base
        self._converted = FolderSource(folder)
        self._targets = {conversion.target.path: conversion.target for conversion in conversions}
        pickles = {conversion.source.path for conversion in conversions}
        kept = [file for file in base.files() if file.path not in pickles]
        made = [Listed(path=file.path, size=file.size, sha256=file.sha256) for file in self._targets.values()]
        self._listing: tuple[ListedFile, ...] = tuple(sorted([*kept, *made], key=lambda file: file.path))

    @property
    def origin(self) -> Origin:
        return self._base.origin

    def files(self) -> Sequence[ListedFile]:
        return self._listing

    def read(self, path: str, *, limit: int) -> bytes:
        return self._holder(path).read(path, limit=limit)

    def read_range(self, path: str, *, start: int, length: int) -> bytes:
        return self._holder(path).read_range(path, start=start, length=length)

    def hash(self, path: str) -> FileEntry:
        return self._targets.get(path) or self._base.hash(path)

    def _holder(self, path: str) -> Source:
        return self._converted if path in self._targets else self._base


def convert_source(
    base: Source, *, pickles: Iterable[FileEntry], locate: Locate, folder: Path, discard: bool
) -> ConvertedSource:
    """Convert every pickle (`locate` says where it lies) into `folder`, which is empty.

    `discard` removes each pickle once it is converted. Refuses ConversionFailed, HashMismatch; raises Unavailable.
    """
    entries = sorted(pickles, key=lambda entry: (is_index(entry.path), entry.path))  # an index after its shards
    conversions: list[Conversion] = []
    evidence: list[Evidence] = []
    for entry in entries:
        target = folder / target_path(entry.path)
        with volume_errors(folder):
            target.parent.mkdir(parents=True, exist_ok=True)
            if is_index(entry.path):
                target.write_bytes(render_index(_siblings(target)))
                found = FolderSource(folder).hash(target_path(entry.path))
            else:
                found, note = _convert_one(entry, path=locate(entry), target=target)
                evidence.append(Evidence(field="weights", value=found.path, file=entry.path, note=note))
        conversions.append(Conversion(source=entry, target=found))
        if discard and not is_index(entry.path):
            locate(entry).unlink(missing_ok=True)
    return ConvertedSource(base, folder=folder, conversions=conversions, evidence=evidence)


def select_pickles(paths: Iterable[str], *, source: Source) -> tuple[str, ...]:
    """The pickles among the selected paths. One beside its safetensors file is none of them: that file is loaded."""
    there = {file.path for file in source.files()}
    return tuple(path for path in paths if is_pickle(path) and target_path(path) not in there)


def check_source(entry: FileEntry, *, found: Digest) -> None:
    """Refuses HashMismatch for a pickle that is not the one that was resolved."""
    if (found.size, found.sha256) != (entry.size, entry.sha256):
        raise Refusal(
            Reason.HASH_MISMATCH,
            f"{entry.path} changed while it was converted: expected sha256 {entry.sha256} ({entry.size} bytes), found "
            f"{found.sha256} ({found.size} bytes)",
        )


def _convert_one(entry: FileEntry, *, path: Path, target: Path) -> tuple[FileEntry, str]:
    """What was made of a pickle, and what was left out, in words."""
    converted = convert(path, target=target, name=entry.path)
    check_source(entry, found=converted.source)
    note = describe(converted.report)
    logger.info("%s: %s", entry.path, note)
    made = FileEntry(path=target_path(entry.path), size=converted.target.size, sha256=converted.target.sha256)
    return made, note


def _siblings(index: Path) -> dict[str, Path]:
    return {path.name: path for path in index.parent.glob("model-*-of-*.safetensors")}
