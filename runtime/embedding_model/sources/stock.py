"""What a destination lacks of a model, and whether its volume can take it: asked before the first byte is fetched."""

from collections.abc import Sequence

from embedding_model.refusal import Unavailable
from embedding_model.resolved import FileEntry
from embedding_model.sources.destination import Destination
from embedding_model.sources.growing import JOURNAL_FROM
from embedding_model.sources.listing import check_path
from embedding_model.sources.progress import Meter
from embedding_model.sources.volume import SPARE_BYTES, allocated_bytes, volume_errors


def take_stock(entries: Sequence[FileEntry], *, destination: Destination, meter: Meter) -> list[FileEntry]:
    """What is not in its place yet, or wrong; counts what is. Refuses UnsafePath before anything is touched."""
    for entry in entries:
        check_path(entry.path)
    meter.expect(entries)
    missing = []
    for entry in entries:
        if destination.has(entry):
            meter.add(entry.size)
            meter.finish()
        else:
            missing.append(entry)
    return missing


def check_space(missing: Sequence[FileEntry], *, destination: Destination) -> None:
    """Raises Unavailable where the volume cannot take the files, counting what earlier processes left of them."""
    needed, free = sum(entry.size for entry in missing), destination.free_bytes()
    if needed + SPARE_BYTES <= free:
        return
    needed -= sum(_allocated(entry, destination=destination) for entry in missing if entry.size >= JOURNAL_FROM)
    if needed + SPARE_BYTES > free:
        raise Unavailable(
            f"the volume has {free} bytes free; the model needs {needed} more and {SPARE_BYTES} to spare. Give the pod"
            " more ephemeral storage, or the volume more room"
        )


def _allocated(entry: FileEntry, *, destination: Destination) -> int:
    part = destination.part(entry)
    try:
        with volume_errors(part.parent):
            return min(entry.size, allocated_bytes(part))
    finally:
        destination.release(part)
