"""buildah with storage of its own below the cache, so that its size is known and its layers can be thrown away."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from localcluster import layout
from localcluster.errors import ClusterError
from localcluster.processes import run

# chroot isolation needs neither a runtime nor a network of its own: the build sees the machine's package indexes.
_ENVIRONMENT = {"BUILDAH_ISOLATION": "chroot"}


def _command(*arguments: str) -> list[str]:
    storage = [
        "--root",
        str(layout.BUILDAH_ROOT),
        "--runroot",
        str(layout.RUN / "buildah"),
        "--storage-driver",
        "overlay",
    ]
    return ["buildah", *storage, *arguments]


def buildah(*arguments: str) -> str:
    """Run buildah and answer its output; raises ClusterError with the end of it when it fails."""
    return run(_command(*arguments), environment=_ENVIRONMENT)


def build(arguments: Sequence[str], *, log: Path) -> None:
    """Run a build whose output goes to a log file; raises ClusterError with the end of that."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        result = subprocess.run(
            _command("build", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            env={**os.environ, **_ENVIRONMENT},
        )
    if result.returncode:
        ending = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise ClusterError(f"the image build failed; {log} ends with:\n{ending}")


def has_image(name: str) -> bool:
    """Whether the storage holds an image of that name or id."""
    try:
        buildah("inspect", "--type", "image", "--format", "{{.FromImageID}}", name)
    except ClusterError:
        return False
    return True


def image_id(name: str) -> str:
    """The image's id, the SHA-256 of its configuration, in hex."""
    return buildah("inspect", "--type", "image", "--format", "{{.FromImageID}}", name).strip()


def dependencies_digest(name: str) -> str:
    """Digest over all layers of an image but the last, which is our code: equal for images that share them."""
    configuration = json.loads(buildah("inspect", "--type", "image", name))["OCIv1"]
    layers: list[str] = configuration["rootfs"]["diff_ids"]
    return hashlib.sha256("\n".join(layers[:-1]).encode()).hexdigest()


def sizes() -> dict[str, int]:
    """Bytes of all layers of each named image, name -> size."""
    listed = json.loads(buildah("images", "--json") or "null") or []
    return {name: _bytes(image["size"]) for image in listed for name in image.get("names") or []}


def _bytes(text: str) -> int:
    number, unit = text.split()
    return round(float(number) * {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit.upper()])


def push(image: str, *, reference: str, digest_file: Path) -> str:
    """Push to the cluster's registry; answers the manifest's digest. Layers that it has are not sent again."""
    digest_file.parent.mkdir(parents=True, exist_ok=True)
    # Compressing gigabytes for a registry on the same machine takes longer than everything else.
    flags = ["--tls-verify=false", "--disable-compression", "--digestfile", str(digest_file)]
    buildah("push", *flags, image, f"docker://{reference}")
    digest = digest_file.read_text().strip()
    digest_file.unlink()
    return digest
