"""How far a link in a model's folder may lead: to a file of the same folder, or of the same hub cache.

A snapshot in a cache of huggingface_hub (`file_download.py`, `utils/_shared_blobs.py`) is a folder of links:

    <cache>/models--ORG--NAME/snapshots/<commit>/model.safetensors -> ../../blobs/<etag>
    <cache>/models--ORG--NAME/blobs/<etag>                         a file, or -> ../../blobs/ab/<hash>
    <cache>/blobs/ab/<hash>                                        files that repositories of the cache share

so links of such a folder may also lead to the files of its own repository, and to shared files of its cache.
"""

from pathlib import Path

_SHARED = "blobs"
_SHARED_MARKER = ".huggingface-shared-blobs"


class Links:
    """`folder` is where a model's files are; it may be a link itself, as a mounted path may."""

    def __init__(self, folder: Path) -> None:
        self.root = folder.resolve()
        self._allowed = (self.root, *_hub_cache(self.root))

    def follow(self, path: str) -> Path | None:
        """Where the file of a relative path is; None where a link on the way leads too far, or round and round."""
        try:
            target = (self.root / path).resolve()
        except (RuntimeError, OSError):  # RuntimeError: pathlib's word for a loop, before Python 3.13
            return None
        return target if any(target.is_relative_to(folder) for folder in self._allowed) else None


def _hub_cache(root: Path) -> tuple[Path, ...]:
    """The repository that a snapshot belongs to, and the shared files of its cache; nothing for any other folder."""
    for folder in root.parents:
        if folder.name == "snapshots" and folder.parent.name.startswith("models--"):
            shared = folder.parent.parent / _SHARED
            marked = not shared.is_symlink() and (shared / _SHARED_MARKER).is_file()
            return (folder.parent, shared) if marked else (folder.parent,)
    return ()
