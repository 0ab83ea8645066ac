"""How far a link in a model's folder may lead: to a file of the same folder, or of the same hub cache.

A snapshot in a cache of huggingface_hub (`file_download.py`, `utils/_shared_blobs.py`) is a folder of links:

    <cache>/models--ORG--NAME/snapshots/<commit>/model.safetensors -> ../../blobs/<etag>
    <cache>/models--ORG--NAME/blobs/<etag>                         a file, or -> ../../blobs/ab/<hash>
    <cache>/blobs/ab/<hash>                                        files that repositories of the cache share

so links of such a folder may also lead to the files of its own repository, and to shared files of its cache.
"""

from pathlib import Path, PurePosixPath

from embedding_model.refusal import Reason, Refusal

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


def check_mounted(folder: Path, *, path: str) -> None:
    """Refuse (UnsafePath) a folder that lies at `path` of a mounted volume, and is a link that leads out of it."""
    depth = len(PurePosixPath(path.strip("/")).parts)
    mount = folder.parents[depth - 1] if depth else folder
    try:
        inside = folder.resolve().is_relative_to(mount.resolve())
    except (RuntimeError, OSError):
        inside = False
    if not inside:
        raise Refusal(
            Reason.UNSAFE_PATH,
            f"{path} is a link that leads out of the volume: name the folder itself, or put the files there",
        )


def _hub_cache(root: Path) -> tuple[Path, ...]:
    """The repository that a snapshot belongs to, and the shared files of its cache; nothing for any other folder."""
    for folder in root.parents:
        if folder.name == "snapshots" and folder.parent.name.startswith("models--"):
            shared = folder.parent.parent / _SHARED
            marked = not shared.is_symlink() and (shared / _SHARED_MARKER).is_file()
            return (folder.parent, shared) if marked else (folder.parent,)
    return ()
