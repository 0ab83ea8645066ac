"""Throwing away image layers that no current version refers to: in build storage, registry and containerd."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from localcluster import layout, node
from localcluster.addons import REGISTRY_CONFIGURATION
from localcluster.binaries import binary
from localcluster.buildah import buildah
from localcluster.errors import ClusterError
from localcluster.processes import run, running_pid

# Pods that keep an earlier image over an upgrade may need to pull it. Such versions cost next to nothing as long as
# they share the layer of dependencies with the current one; one with a layer of its own costs gigabytes.
KEPT_VERSIONS = 5

Version = dict[str, str]


def forget(target: str, *, versions: Sequence[Version]) -> list[Version]:
    """Remove superseded versions of a target (newest first) from everywhere; answers those that stay."""
    kept = choose_kept(versions)
    dropped = [each for each in versions if each not in kept]
    if dropped:
        for version in dropped:
            _forget_in_build_storage(version)
        _forget_in_registry(target, tags=[version["tag"] for version in dropped])
        if running_pid("containerd"):
            _forget_in_containerd([version["reference"].partition("@")[2] for version in dropped])
    return kept


def choose_kept(versions: Sequence[Version]) -> list[Version]:
    """The newest versions that share all layers but the last with the newest one."""
    return [each for each in versions if each.get("dependencies") == versions[0]["dependencies"]][:KEPT_VERSIONS]


def _forget_in_build_storage(version: Version) -> None:
    """Remove an image and those layers below it that no other image needs."""
    try:
        buildah("rmi", version["image"])
    except ClusterError:
        # Removed by hand, or a build of the same content has it under another version.
        return


def _forget_in_registry(target: str, *, tags: Sequence[str]) -> None:
    """Untag, then let the registry's own garbage collection remove what has no tag. Nothing is pushed meanwhile: the
    caller holds the lock of the images."""
    repository = layout.REGISTRY_DATA / "docker/registry/v2/repositories" / layout.IMAGE_PREFIX / target
    for tag in tags:
        shutil.rmtree(repository / "_manifests" / "tags" / tag, ignore_errors=True)
    run(
        [str(binary("registry")), "garbage-collect", "--delete-untagged", "--quiet", str(REGISTRY_CONFIGURATION)],
        environment={"OTEL_TRACES_EXPORTER": "none"},
    )


def _forget_in_containerd(digests: Sequence[str]) -> None:
    """Remove the images of these manifest digests, unless a container runs from one."""
    used = {line.split()[1] for line in node.ctr("containers", "list").splitlines()[1:] if len(line.split()) > 1}
    listed = [line.split()[:3] for line in node.ctr("images", "list").splitlines()[1:]]
    for digest in digests:
        names = [name for name, _, found in listed if found == digest]
        if names and not used.intersection(names):
            node.ctr("images", "remove", *names)
