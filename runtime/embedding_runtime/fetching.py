"""From a resolved model to verified files: from its hub, its registry or its volume, converted again where it was
converted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embedding_model.cache.destination import CacheDestination
from embedding_model.cache.layout import CacheVerify
from embedding_model.resolved import FileEntry, ResolvedModel, SourceKind
from embedding_model.sources.access import Access
from embedding_model.sources.copying import copy
from embedding_model.sources.destination import Destination, FolderDestination
from embedding_model.sources.download import CONNECTIONS, download
from embedding_model.sources.manifest import locate
from embedding_model.sources.progress import Meter
from embedding_model.sources.retries import RetryPolicy


@dataclass(frozen=True, kw_only=True)
class FetchSettings:
    """What `fetch` runs with. Exactly one of `target` and `cache`."""

    access: Access  # the hub's endpoint, or the registry's
    target: Path | None = None  # a folder to fill
    cache: Path | None = None  # a volume that pods share; only the folder embedding-operator-v1 below it is touched
    cache_verify: CacheVerify = CacheVerify.FULL
    folder: Path | None = None  # where a model from a claim or an image volume is mounted
    work: Path | None = None  # where pickles lie until they are converted
    pull_secrets: Sequence[Path] = ()  # .dockerconfigjson files; the first that knows the registry counts
    connections: int = CONNECTIONS
    retry: RetryPolicy | None = None


def fetch_model(resolved: ResolvedModel, *, settings: FetchSettings, meter: Meter) -> None:
    """Put every file of the manifest into its place. What is there and right is kept, and then nobody is asked.

    Raises Refusal and Unavailable; ValueError for settings that do not fit the model's source.
    """
    folder = None if settings.target is None else FolderDestination(settings.target)
    destination: Destination = folder or CacheDestination(_given(settings.cache), verify=settings.cache_verify)
    converted = {conversion.target.path for conversion in resolved.manifest.conversions}
    plain = [entry for entry in resolved.manifest.files if entry.path not in converted]
    _fetch(plain, resolved=resolved, settings=settings, destination=destination, meter=meter)
    if converted:
        _convert(resolved, settings=settings, destination=destination, meter=meter)
    if folder is not None:
        folder.tidy()


def _fetch(
    entries: Sequence[FileEntry],
    *,
    resolved: ResolvedModel,
    settings: FetchSettings,
    destination: Destination,
    meter: Meter,
) -> None:
    origin = resolved.origin
    if origin.kind is SourceKind.HUGGING_FACE:
        download(
            entries,
            origin=origin,
            access=settings.access,
            destination=destination,
            meter=meter,
            connections=settings.connections,
            retry=settings.retry,
        )
    elif settings.folder is not None:
        copy(entries, folder=settings.folder, destination=destination, meter=meter)
    elif origin.kind is SourceKind.IMAGE:
        _pull(entries, image=origin.image or "", settings=settings, destination=destination, meter=meter)
    else:
        raise ValueError(f"a model from {origin.kind} is fetched from where it is mounted; give --folder")


def _pull(
    entries: Sequence[FileEntry], *, image: str, settings: FetchSettings, destination: Destination, meter: Meter
) -> None:
    from embedding_model.sources.registry import parse_reference, pull_entries
    from embedding_runtime.resolving import read_credentials

    reference = parse_reference(image)
    pull_entries(
        entries,
        reference=reference,
        access=settings.access,
        registry=reference.registry,  # whoever gave the access chose it for this registry
        credentials=read_credentials(settings.pull_secrets, reference=reference),
        destination=destination,
        meter=meter,
        connections=settings.connections,
        retry=settings.retry,
    )


def _convert(resolved: ResolvedModel, *, settings: FetchSettings, destination: Destination, meter: Meter) -> None:
    """Fetch the pickles whose result is not there, and repeat their conversion."""
    from embedding_runtime.conversion.repetition import convert_entries, missing_conversions

    missing = missing_conversions(resolved.manifest, destination=destination)
    if not missing:
        return
    mounted = settings.folder
    if mounted is not None and resolved.origin.kind is not SourceKind.HUGGING_FACE:
        convert_entries(
            resolved.manifest,
            locate=lambda entry: locate(entry, folder=mounted),
            destination=destination,
            discard=False,  # they are the user's
        )
        return
    if settings.work is None:
        raise ValueError("a model with pickles is converted in a folder of its own; give --work")
    pickles = FolderDestination(settings.work)
    sources = [conversion.source for conversion in missing]
    _fetch(sources, resolved=resolved, settings=settings, destination=pickles, meter=meter)
    pickles.tidy()
    convert_entries(resolved.manifest, locate=pickles.locate, destination=destination, discard=True)


def _given(path: Path | None) -> Path:
    if path is None:
        raise ValueError("nowhere to put the files; give --target or --cache")
    return path
