"""What a model is and which bytes it is, wherever it comes from: the work of a Job that the operator cannot do itself.

The operator reads no Secret, mounts no volume, and opens no pickle. For everything else it uses the same functions, so
the same files give the same answer.
"""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from embedding_model.cache.destination import CacheDestination
from embedding_model.inspection import inspect
from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import (
    Conversion,
    Declared,
    FileEntry,
    Inspection,
    InspectionResult,
    Manifest,
    Origin,
    SourceKind,
)
from embedding_model.sources.access import Access
from embedding_model.sources.copying import copy
from embedding_model.sources.destination import FolderDestination
from embedding_model.sources.download import download
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.hub import HubSource
from embedding_model.sources.links import check_mounted
from embedding_model.sources.manifest import build_manifest, locate
from embedding_model.sources.progress import Meter
from embedding_model.sources.registry import (
    SECRET_LIMIT,
    Credentials,
    Reference,
    parse_reference,
    pull_folder,
    read_pull_secret,
)
from embedding_model.sources.selection import select
from embedding_model.sources.source import Source
from embedding_model.sources.volume import volume_errors
from embedding_runtime.conversion.converted_source import ConvertedSource, Locate, convert_source, select_pickles
from embedding_runtime.conversion.pickles import is_index

logger = logging.getLogger(__name__)

_DEFAULT_REVISION = "main"


class ConversionPolicy(StrEnum):
    NEVER = "Never"  # a repository that has only pickles is refused
    ISOLATED = "Isolated"  # its pickles are converted by a process that can open nothing


@dataclass(frozen=True, kw_only=True)
class ResolveSettings:
    """What `resolve` runs with."""

    origin: Origin  # a revision in it is a commit that was resolved before, and is not resolved again
    access: Access  # the hub's endpoint, or the registry's
    declared: Declared = field(default_factory=Declared)
    conversion: ConversionPolicy = ConversionPolicy.NEVER
    folder: Path | None = None  # where a claim, or an image's volume, is mounted
    work: Path | None = None  # where an image is pulled to, and pickles lie until they are converted
    cache: Path | None = None  # a volume that pods share: what was converted is put there for them
    pull_secrets: Sequence[Path] = ()  # .dockerconfigjson files; the first that knows the registry counts


@dataclass(frozen=True)
class _Opened:
    """`folder` is where the files are, if they are on a volume already."""

    source: Source
    folder: Path | None


def resolve_model(settings: ResolveSettings, *, meter: Meter) -> InspectionResult:
    """Raises Refusal, Unavailable; ValueError for settings that do not fit the origin."""
    with _open(settings, meter=meter) as opened:
        source, converts = opened.source, settings.conversion is ConversionPolicy.ISOLATED
        try:
            inspection = inspect(source, declared=settings.declared)
        except Refusal as refusal:
            pickles = _find_pickles(source) if converts and refusal.reason is Reason.PICKLE_ONLY else ()
            if not pickles:
                raise
        else:
            pickles = _find_pickles(source) if converts else ()  # of further heads, beside weights that are none
            if not pickles:
                return _describe(source, inspection=inspection)
        converted = _convert(opened, paths=pickles, settings=settings, meter=meter)
        found = _describe(converted, inspection=inspect(converted, declared=settings.declared))
        result = _note_conversions(found, converted=converted)
    if settings.cache is not None:
        _share(result.manifest.conversions, folder=converted.folder, cache=settings.cache)
    return result


def _find_pickles(source: Source) -> tuple[str, ...]:
    """What would have to be converted. None: pickles elsewhere than where weights are looked for."""
    return select_pickles(select(source, conversion=True), source=source)


def _describe(source: Source, *, inspection: Inspection) -> InspectionResult:
    """Hashes every file, so it comes after the inspection: what is refused is refused without reading gigabytes."""
    manifest = build_manifest(source, paths=select(source))
    return InspectionResult(origin=source.origin, manifest=manifest, inspection=inspection)


def _note_conversions(found: InspectionResult, *, converted: ConvertedSource) -> InspectionResult:
    """The same with the conversions whose result is loaded, in the manifest and as evidence."""
    used = tuple(item for item in converted.conversions if found.manifest.entry(item.target.path) is not None)
    evidence = (*found.inspection.evidence, *converted.evidence)
    return InspectionResult(
        origin=found.origin,
        manifest=Manifest(files=found.manifest.files, conversions=used),
        inspection=found.inspection.model_copy(update={"evidence": evidence}),
    )


@contextmanager
def _open(settings: ResolveSettings, *, meter: Meter) -> Iterator[_Opened]:
    origin = settings.origin
    if origin.kind is SourceKind.HUGGING_FACE:
        if origin.repo is None:
            raise ValueError("the origin of a model from a hub names a repository")
        with HubSource.resolve(
            access=settings.access,
            repo=origin.repo,
            revision=origin.requested or origin.revision or _DEFAULT_REVISION,
            mirror=origin.mirror,
            commit=origin.revision,
        ) as source:
            yield _Opened(source=source, folder=None)
        return
    folder = settings.folder
    if origin.kind is SourceKind.IMAGE:
        reference = parse_reference(origin.image or "")
        origin = origin.model_copy(update={"revision": reference.digest})
        if folder is None:
            folder = _pull(reference, settings=settings, meter=meter)
    if folder is None:
        raise ValueError(f"a model from {origin.kind} is read where it is mounted; give --folder")
    if settings.folder is not None:
        check_mounted(folder, path=origin.path or "/")
    yield _Opened(source=FolderSource(folder, origin=origin), folder=folder)


def _pull(reference: Reference, *, settings: ResolveSettings, meter: Meter) -> Path:
    folder = _empty(settings, name="image")
    pull_folder(
        reference=reference,
        path=settings.origin.path or "/",
        access=settings.access,
        registry=reference.registry,  # whoever gave the access chose it for this registry
        credentials=read_credentials(settings.pull_secrets, reference=reference),
        folder=folder,
        meter=meter,
    )
    return folder


def read_credentials(files: Sequence[Path], *, reference: Reference) -> Credentials | None:
    """The first credentials for the image's registry. A file that is not there is passed over, as the kubelet does.

    Refuses AccessDenied for one that is no pull secret; raises Unavailable for one that cannot be read.
    """
    for path in files:
        try:
            with path.open("rb") as file:
                data = file.read(SECRET_LIMIT + 1)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Unavailable(f"the pull secret {path.name} cannot be read: {error.strerror}") from error
        found = read_pull_secret(data, reference=reference)
        if found is not None:
            return found
    return None


def _convert(opened: _Opened, *, paths: Sequence[str], settings: ResolveSettings, meter: Meter) -> ConvertedSource:
    source = opened.source
    entries = [source.hash(path) for path in paths]
    where = _fetch(entries, opened=opened, settings=settings, meter=meter)
    return convert_source(
        source,
        pickles=entries,
        locate=where,
        folder=_empty(settings, name="converted"),
        discard=opened.folder is None,  # what is on a volume is the user's
    )


def _fetch(entries: Sequence[FileEntry], *, opened: _Opened, settings: ResolveSettings, meter: Meter) -> Locate:
    """Where each pickle lies. An index is not fetched: it is made anew from what was converted."""
    folder = opened.folder
    if folder is not None:
        return lambda entry: locate(entry, folder=folder)
    pickles = FolderDestination(_work(settings) / "pickles")
    download(
        [entry for entry in entries if not is_index(entry.path)],
        origin=opened.source.origin,
        access=settings.access,
        destination=pickles,
        meter=meter,
    )
    return pickles.locate


def _share(conversions: Sequence[Conversion], *, folder: Path, cache: Path) -> None:
    targets = [conversion.target for conversion in conversions]
    copy(targets, folder=folder, destination=CacheDestination(cache), meter=Meter())
    logger.info("%d converted files are in the cache", len(targets))


def _empty(settings: ResolveSettings, *, name: str) -> Path:
    """A folder of ours in the work folder, without what an earlier process left there."""
    folder = _work(settings) / name
    with volume_errors(folder.parent):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    return folder


def _work(settings: ResolveSettings) -> Path:
    if settings.work is None:
        raise ValueError("images are pulled, and pickles converted, in a folder of their own; give --work")
    return settings.work
