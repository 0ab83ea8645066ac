"""The image that ours are built on: Debian with Python, made from this machine's own package sources.

No image registry has to be reachable for it. ``BASE_IMAGE`` in the environment names another one.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from localcluster import buildah, debian, layout
from localcluster.processes import run
from localcluster.progress import step

_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
PUBLISHED = "docker.io/library/python:3.11-slim-bookworm"


def ensure() -> str:
    """Name of the base image, made now when it is not there and this machine can make it."""
    if name := os.environ.get("BASE_IMAGE"):
        return name
    sources = next((path for path in _SOURCES if _is_for_suite(path)), None)
    if sources is None:
        return PUBLISHED
    recipe = hashlib.sha256(f"{_SUITE} {_PACKAGES} {_LEFT_OUT}".encode()).hexdigest()[:12]
    name = f"localhost/embedding-operator-base:{recipe}"
    if not buildah.has_image(name):
        debian.install_missing(debian.BASE_IMAGE_PROGRAMS)
        with step("base image from Debian packages", usually="30 s"):
            _make(name, sources=sources)
    return name


def _is_for_suite(sources: Path) -> bool:
    return sources.is_file() and _SUITE in sources.read_text()


def _make(name: str, *, sources: Path) -> None:
    layout.CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=layout.CACHE, prefix=".base-") as folder:
        archive = Path(folder) / "base.tar"
        excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
        run(
            ["mmdebstrap", "--variant=minbase", f"--include={_PACKAGES}", *excluded, _SUITE, str(archive), str(sources)]
        )
        recipe = Path(folder) / "Dockerfile"
        recipe.write_text("FROM scratch\nADD base.tar /\n")
        buildah.build(["--tag", name, "--file", str(recipe), folder], log=layout.LOGS / "build-base.log")
