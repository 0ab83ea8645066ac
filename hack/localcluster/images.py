"""Building the product's images and bringing them to the cluster's registry."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from localcluster import baseimage, buildah, layout, superseded
from localcluster.errors import ClusterError
from localcluster.processes import run, succeeds
from localcluster.progress import say, step

TARGETS = ("operator", "runtime", "reference")  # of the Dockerfile, in this order: reference is built upon runtime
_BUILD_USUALLY = {
    "operator": "20 s, 2 s when only code has changed",
    "runtime": "2 min, 3 s when only code has changed",
    "reference": "30 s, 3 s when only code has changed",
}
_PUSH_USUALLY = {
    "operator": "5 s, 1 s when only code has changed",
    "runtime": "2 min, 1 s when only code has changed",
    "reference": "15 s, 1 s when only code has changed",  # it shares the runtime's layers in the registry
}
# Where builds find this machine's certificates and package index settings; mounted while building, never baked in.
_MACHINE_SETTINGS = ("/etc/ssl/certs", "/etc/pip.conf", "/etc/uv/uv.toml")


def built() -> Mapping[str, str]:
    """Target -> reference by digest of what was built last."""
    return {target: versions[0]["reference"] for target, versions in _history().items() if versions}


def _history() -> dict[str, list[dict[str, str]]]:
    """Target -> versions, newest first: reference, tag, image id, and a digest of the layers but the last."""
    try:
        history: dict[str, list[dict[str, str]]] = json.loads(layout.IMAGES_FILE.read_text())
    except FileNotFoundError:
        return {}
    return history


def build(targets: Sequence[str], *, await_registry: Callable[[], None]) -> Mapping[str, str]:
    """Build and push; answers target -> reference by digest. What no version refers to any more is thrown away.

    ``await_registry`` is called between the two: images can be built while the cluster is still coming up.
    """
    base = baseimage.ensure()
    for target in targets:
        with step(f"building image {target}", usually=_BUILD_USUALLY[target]):
            log = layout.LOGS / f"build-{target}.log"
            buildah.build([*build_arguments(target, base=base), "--tag", local_name(target), "."], log=log)
    await_registry()
    references = {}
    for target in targets:
        with step(f"pushing image {target}", usually=_PUSH_USUALLY[target]):
            references[target] = _push(target)
    sizes = buildah.sizes()
    base_size = sizes.get(base, 0)
    for target in targets:
        size = sizes[local_name(target)]
        say(f"  image {target}: {size / 1e6:.0f} MB, {(size - base_size) / 1e6:.0f} MB more than its base")
    return references


def local_name(target: str) -> str:
    """Name of the image in the build storage."""
    return f"localhost/{layout.IMAGE_PREFIX}/{target}:dev"


def _push(target: str) -> str:
    name = local_name(target)
    image = buildah.image_id(name)
    repository = f"{layout.REGISTRY}/{layout.IMAGE_PREFIX}/{target}"
    # A tag of its own for each content: whoever writes the tag into a manifest gets the new image rolled out.
    tag = f"dev-{image[:12]}"
    digest_file = layout.RUN / f"{target}.digest"
    digest = buildah.push(name, reference=f"{repository}:{tag}", digest_file=digest_file)
    buildah.push(name, reference=f"{repository}:dev", digest_file=digest_file)
    reference = f"{repository}@{digest}"
    history = _history()
    version = {
        "reference": reference,
        "tag": tag,
        "image": image,
        "dependencies": buildah.dependencies_digest(image),
    }
    versions = [version, *(each for each in history.get(target, []) if each["image"] != image)]
    history[target] = superseded.forget(target, versions=versions)
    layout.IMAGES_FILE.write_text(json.dumps(history, indent=1))
    return reference


def build_arguments(target: str, *, base: str) -> list[str]:
    """Arguments of `build` that buildah needs beside the name and the folder.

    ``TORCH_INDEX`` in the environment is handed on: the package index that PyTorch comes from.
    """
    # uv's own cache on this machine: what .venv was installed from is not downloaded again.
    cache = Path(os.environ.get("UV_CACHE_DIR") or layout.CACHE.parent / "uv")
    cache.mkdir(parents=True, exist_ok=True)
    mounted = [f"{path}:{path}:ro" for path in _MACHINE_SETTINGS if Path(path).exists()]
    volumes = [*mounted, f"{cache}:/var/cache/uv:rw"]
    index = os.environ.get("TORCH_INDEX")
    return [
        *("--layers", "--target", target, "--file", str(layout.REPOSITORY / "Dockerfile")),
        *("--build-arg", f"BASE_IMAGE={base}", "--build-arg", "UV_NO_CACHE=false"),
        # No REVISION: a commit that changes nothing in the image would else give it another digest, and roll it out.
        *("--build-arg", f"VERSION={product_version()}"),
        *(("--build-arg", f"TORCH_INDEX={index}") if index else ()),
        *(word for volume in volumes for word in ("--volume", volume)),
    ]


def product_version() -> str:
    """The version in pyproject.toml."""
    with (layout.REPOSITORY / "pyproject.toml").open("rb") as file:
        version: str = tomllib.load(file)["project"]["version"]
    return version


def revision() -> str:
    """The commit that is checked out, empty outside a git repository."""
    command = ["git", "-C", str(layout.REPOSITORY), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def load(image: str) -> str:
    """Push an image of this machine, by name or from an archive, to the registry; answers its reference by digest."""
    name = re.sub(r"[^a-z0-9._/-]+", "-", Path(image).name.lower()) or "image"
    with step(f"loading {image}", usually="10 s for each GB"), tempfile.TemporaryDirectory() as folder:
        source = _find(image, folder=Path(folder))
        repository = f"{layout.REGISTRY}/loaded/{name}"
        digest = buildah.push(source, reference=f"{repository}:latest", digest_file=Path(folder) / "digest")
    return f"{repository}@{digest}"


def _find(image: str, *, folder: Path) -> str:
    """Name or id of the image in the build storage, brought there when it lies elsewhere on this machine."""
    if Path(image).is_file():
        return buildah.buildah("pull", "--quiet", f"docker-archive:{Path(image).resolve()}").strip()
    if buildah.has_image(image):
        return image
    for engine in ("docker", "podman"):
        if shutil.which(engine) and succeeds([engine, "image", "inspect", image]):
            archive = folder / "image.tar"
            run([engine, "save", "--output", str(archive), image])
            return buildah.buildah("pull", "--quiet", f"docker-archive:{archive}").strip()
    raise ClusterError(
        f"no image {image}: expected the path of a docker archive, or the name of an image that buildah "
        f"(below {layout.BUILDAH_ROOT}), Docker or Podman on this machine holds"
    )
