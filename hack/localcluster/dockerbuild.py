"""Building the images with Docker or Podman, for clusters that are not the local one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from localcluster import images, layout
from localcluster.processes import run


def build(target: str, *, engine: str, repository: str) -> str:
    """Build one target; answers its reference, whose tag is made from the image's content.

    ``BASE_IMAGE`` and ``TORCH_INDEX`` in the environment are handed on as build arguments. Raises ClusterError with the
    end of the build's output.
    """
    arguments = {"VERSION": images.product_version(), "REVISION": images.revision()}
    arguments |= {name: os.environ[name] for name in ("BASE_IMAGE", "TORCH_INDEX") if os.environ.get(name)}
    flags = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        id_file = Path(folder) / "id"
        run(
            [
                *(engine, "build", "--target", target, "--iidfile", str(id_file), *flags),
                *("--file", str(layout.REPOSITORY / "Dockerfile"), str(layout.REPOSITORY)),
            ]
        )
        image = id_file.read_text().strip()
    reference = f"{repository}:dev-{image.removeprefix('sha256:')[:12]}"
    run([engine, "tag", image, reference])
    return reference
