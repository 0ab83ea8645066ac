"""A folder with a model as an OCI image of data alone: for `spec.model.image`."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from localcluster import buildah, layout
from localcluster.errors import ClusterError
from localcluster.locking import exclusive

_NAME = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")


def push(folder: Path, *, name: str, registry: str = layout.REGISTRY, path: str = "/") -> str:
    """Push the folder's files, as the folder `path` of an image, to `registry`/`name`; answers the image's reference.

    The same files give the same digest: times are left out. Raises ClusterError.
    """
    if not _NAME.fullmatch(name):
        raise ClusterError(f"{name!r} is no repository; expected lower-case names with slashes, as models/bge-small")
    if not folder.is_dir():
        raise ClusterError(f"no folder {folder}")
    with exclusive("images"), tempfile.TemporaryDirectory() as work:
        recipe = Path(work) / "Dockerfile"
        recipe.write_text(f'FROM scratch\nCOPY [".", "{path}"]\n')
        # An ignore file of the model's own repository would leave files out.
        options = ["--timestamp", "0", "--ignorefile", "/dev/null", "--iidfile", f"{work}/id"]
        buildah.build([*options, "--file", str(recipe), str(folder)], log=layout.LOGS / "build-model-image.log")
        image = (Path(work) / "id").read_text().strip()
        try:
            digest = buildah.push(image, reference=f"{registry}/{name}:latest", digest_file=Path(work) / "digest")
        finally:
            buildah.buildah("rmi", image)
    return f"{registry}/{name}@{digest}"
