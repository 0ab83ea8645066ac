"""A pod's conversion: what a Job did before is done once more, and only the same bytes are accepted."""

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Conversion, FileEntry, Manifest
from embedding_model.sources.destination import Destination
from embedding_model.sources.volume import open_part, volume_errors, write_all
from embedding_runtime.conversion.converted_source import check_source
from embedding_runtime.conversion.isolated import Digest, convert, describe
from embedding_runtime.conversion.pickles import FIELD, is_index, is_shard, render_index

logger = logging.getLogger(__name__)


def missing_conversions(manifest: Manifest, *, destination: Destination) -> tuple[Conversion, ...]:
    """Those whose target is not in its place: their sources have to be fetched."""
    return tuple(conversion for conversion in manifest.conversions if not destination.has(conversion.target))


def convert_entries(
    manifest: Manifest, *, locate: Callable[[FileEntry], Path], destination: Destination, discard: bool
) -> None:
    """Give the target of every conversion of the manifest its place in `destination`, converting what is missing.

    `locate` says where a pickle lies that was fetched; `discard` removes each once it is converted, which must not be
    asked for where pickles are the user's own. Refuses ConversionFailed, and HashMismatch for a pickle or a result that
    is not the one that was resolved; raises Unavailable.
    """
    missing = missing_conversions(manifest, destination=destination)
    for conversion in sorted(missing, key=lambda item: is_index(item.target.path)):  # an index after its shards
        with _part(conversion.target, destination=destination) as part:
            if is_index(conversion.target.path):
                shards = _shards(manifest, index=conversion.target, destination=destination)
                index = render_index(shards)
                with open_part(part) as file:
                    write_all(file.fileno(), index)
                found = Digest(size=len(index), sha256=hashlib.sha256(index).hexdigest())
            else:
                found = _convert_one(conversion, path=locate(conversion.source), part=part)
            _check_target(conversion, found=found)
            destination.commit(conversion.target, part=part)
        if discard and not is_index(conversion.source.path):
            with volume_errors(part.parent):
                locate(conversion.source).unlink(missing_ok=True)


def _convert_one(conversion: Conversion, *, path: Path, part: Path) -> Digest:
    converted = convert(path, target=part, name=conversion.source.path)
    check_source(conversion.source, found=converted.source)
    logger.info("%s: %s", conversion.source.path, describe(converted.report))
    return converted.target


def _check_target(conversion: Conversion, *, found: Digest) -> None:
    target = conversion.target
    if (found.size, found.sha256) != (target.size, target.sha256):
        raise Refusal(
            Reason.HASH_MISMATCH,
            f"{conversion.source.path} was converted to other bytes than when the model was resolved: expected "
            f"{target.path} with sha256 {target.sha256} ({target.size} bytes), got {found.sha256} ({found.size} bytes);"
            " resolve the model again, or convert it yourself (save_pretrained)",
            field=FIELD,
        )


@contextmanager
def _part(entry: FileEntry, *, destination: Destination) -> Iterator[Path]:
    """Where the entry grows. What an earlier attempt left there is written over; nothing is left of a failed one."""
    part = destination.part(entry)
    with volume_errors(part.parent):
        try:
            yield part
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            destination.release(part)
            raise


def _shards(manifest: Manifest, *, index: FileEntry, destination: Destination) -> dict[str, Path]:
    """The converted shards beside the index."""
    folder = PurePosixPath(index.path).parent
    entries = [
        item.target
        for item in manifest.conversions
        if PurePosixPath(item.target.path).parent == folder and is_shard(item.target.path)
    ]
    return {PurePosixPath(entry.path).name: destination.locate(entry) for entry in entries}
