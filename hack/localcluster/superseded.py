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

# The current one and the one before: an upgrade on the running cluster needs both.
KEPT_VERSIONS = 2

Version = dict[str, str]


def forget(target: str, *, versions: Sequence[Version]) -> list[Version]:
    """Remove all but the newest versions of a target from everywhere; answers those that stay, newest first."""
    kept, dropped = list(versions[:KEPT_VERSIONS]), versions[KEPT_VERSIONS:]
    if dropped:
        for version in dropped:
            _forget_in_build_storage(version)
        _forget_in_registry(target, tags=[version["tag"] for version in dropped])
        if running_pid("containerd"):
            _forget_in_containerd([version["reference"].partition("@")[2] for version in dropped])
    return kept


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
