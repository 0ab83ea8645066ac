"""The files of a resolved model as a folder that the libraries can load, with nothing else in it.

The libraries read whatever they find: an adapter's configuration or another checkpoint that lies in the same folder of
a volume would change the numbers. So they are shown the manifest's files only, as links, each hashed before.
"""

from pathlib import Path

from embedding_model.cache.layout import CacheVerify
from embedding_model.resolved import Manifest
from embedding_model.sources.listing import check_path
from embedding_model.sources.manifest import not_there
from embedding_model.sources.reading import hash_in_place
from embedding_model.sources.verification import differs
from embedding_model.sources.volume import volume_errors
from embedding_runtime.files import Place, cache_place, folder_place


def find_place(*, model: Path | None, cache: Path | None) -> Place:
    """A folder with the files under their own paths, or a cache with them by their sha256."""
    if cache is not None:
        return cache_place(cache, verify=CacheVerify.FULL)
    if model is None:
        raise ValueError("no files: neither a folder nor a cache was given")
    return folder_place(model)


def link_files(manifest: Manifest, *, place: Place, folder: Path) -> None:
    """Make `folder` hold links to the manifest's files, under their paths.

    Raises Refusal: MISSING_FILE, UNSAFE_PATH, HASH_MISMATCH; Unavailable.
    """
    for entry in manifest.files:
        check_path(entry.path)
        source = place.locate(entry)
        with volume_errors(place.name):
            found = hash_in_place(source)
        if found is None:
            raise not_there(entry, folder=place.name)
        if found != (entry.size, entry.sha256):
            raise differs(entry, size=found[0], sha256=found[1])
        link = folder / entry.path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source.resolve())
