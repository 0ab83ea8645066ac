"""How much of the disk everything takes, and a warning before it runs out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from localcluster import layout
from localcluster.progress import say

LOW_BYTES = 10_000_000_000


def _folders() -> dict[str, Path]:
    caches = layout.CACHE.parent
    return {
        "registry": layout.REGISTRY_DATA,
        "containerd": layout.CONTAINERD_ROOT,
        "buildah": layout.BUILDAH_ROOT,
        "binaries": layout.BIN,
        "rest of the cluster": layout.CACHE,
        ".venv": layout.REPOSITORY / ".venv",
        "uv cache": caches / "uv",
        "Go build cache": caches / "go-build",
        "Go modules": Path.home() / "go" / "pkg" / "mod",
    }


def usage() -> dict[str, int]:
    """Bytes taken by each part and in all. A file with several names (uv links its cache into .venv) counts once."""
    folders = {name: path for name, path in _folders().items() if path.exists()}
    if not folders:
        return {"total": 0}
    # One call for all: du counts a file or folder once, where it meets it first.
    output = subprocess.run(
        ["du", "--summarize", "--one-file-system", "--block-size=1", *map(str, folders.values())],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    sizes = {path: int(size) for size, path in (line.split("\t", 1) for line in output.splitlines())}
    counted = {name: sizes.get(str(path), 0) for name, path in folders.items()}
    return {**counted, "total": sum(counted.values())}


def warn_when_low() -> None:
    """Say in one line when less than 10 GB is free where the caches lie."""
    layout.CACHE.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(layout.CACHE).free
    if free < LOW_BYTES:
        say(f"only {free / 1e9:.1f} GB is free below {layout.CACHE}: images with torch may not fit (10 GB do)")
