"""The earlier form of the Job that looks at a volume: `inspect FOLDER --report`."""

from pathlib import Path

from embedding_model.inspection import inspect
from embedding_model.resolved import InspectionResult
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.selection import select
from embedding_runtime.resolve_job import serve_result


def inspect_folder(folder: Path) -> InspectionResult:
    """What the model is, and the hash of every file that would be loaded. Raises Refusal, Unavailable."""
    source = FolderSource(folder)
    inspection = inspect(source)  # first: what cannot be served is refused without hashing gigabytes
    return InspectionResult(
        origin=source.origin, manifest=build_manifest(source, paths=select(source)), inspection=inspection
    )


async def serve_report(folder: Path, *, keys: Path | None, host: str, port: int) -> int:
    return await serve_result(lambda meter: inspect_folder(folder), keys=keys, host=host, port=port)
