"""The image of the pause program, made without any build tool: one static file in one layer."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

from localcluster import layout
from localcluster.binaries import binary
from localcluster.node import ctr


def ensure_image() -> None:
    """Import the image into containerd unless it is there. containerd must run."""
    if layout.PAUSE_IMAGE in ctr("images", "list", "--quiet").split():
        return
    archive = layout.RUN / "pause.tar"
    archive.write_bytes(image_archive(binary("pause")))
    ctr("images", "import", str(archive))
    archive.unlink()


def image_archive(program: Path) -> bytes:
    """A Docker image archive whose only file is the program."""
    layer = _tar({"pause": (program.read_bytes(), 0o755)})
    configuration = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [layout.PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    files = {name: configuration, "layer.tar": layer, "manifest.json": json.dumps(manifest).encode()}
    return _tar({name: (content, 0o644) for name, content in files.items()})


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    """A tar with these files, content and mode, owned by root, without times: the same input, the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
