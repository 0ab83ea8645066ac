"""The Job that resolves what the operator cannot: a claim, an image, a private hub, a pickle to convert.

It reads the files, says what they are and which bytes they are, and serves the answer until it is deleted. Same code
as the operator's own resolution, same result.
"""

from typing import Any, Final

from embedding_model.resolved import SourceKind
from embedding_operator.api import names
from embedding_operator.api.spec import ConversionPolicy, EmbeddingModelSpec
from embedding_operator.children.metadata import Owner, build_child, child_labels
from embedding_operator.children.mounts import (
    CACHE_MOUNT,
    KEYS_MOUNT,
    MODEL_MOUNT,
    WORK_MOUNT,
    cache_volume,
    empty_volume,
    folder_below,
    keys_volume,
    mount,
    mounted_volume,
    temporary_mount,
    temporary_volume,
)
from embedding_operator.children.pod_template import (
    LAST_WORDS,
    LOG_ARGUMENTS,
    audience_annotation,
    container_ports,
    environment,
    place_pod,
    pod_basics,
)
from embedding_operator.children.profile import RenderSettings, choose_profile
from embedding_operator.children.reach import is_mounted, reach_source
from embedding_operator.children.resources import raise_memory
from embedding_operator.children.security import container_security
from embedding_operator.observe.facts import ResolutionRequest

# Hashing reads every byte once: an hour is a terabyte from a slow disk. It counts only once the pod is scheduled.
READING_SECONDS: Final = 3600
# Pulling layers, or fetching and converting a pickle, comes before.
FETCHING_SECONDS: Final = 3600
# How large image or pickle are is what the Job is to find out. Until then nodes are protected by limits that all but
# the largest models keep, unless spec.resources.limits has the user's own (memory, ephemeral-storage).
WORK_LIMIT: Final = "100Gi"  # image, or pickle and result
CONVERTING_MEMORY: Final = "16Gi"  # a shard, as read and as written; most have 5 to 10 GB at most
READING_MEMORY: Final = "1Gi"


def resolve_job(
    owner: Owner,
    *,
    request: ResolutionRequest,
    spec: EmbeddingModelSpec,
    settings: RenderSettings,
    component: str = names.COMPONENT_INSPECT,
) -> dict[str, Any]:
    """Named by the request and its pod: asked again or corrected, it is another Job. Raises Unrenderable."""
    profile = choose_profile(settings, name=spec.runtime.profile)
    origin, reach = request.origin, reach_source(request.origin, spec=spec, settings=settings)
    converts = request.conversion is ConversionPolicy.ISOLATED
    fetches = converts or (origin.kind is SourceKind.IMAGE and not is_mounted(origin, settings=settings))
    arguments = ["resolve", "--origin", origin.to_json().decode(), "--declared", request.declared.to_json().decode()]
    arguments += ["--conversion", request.conversion.value, "--keys", KEYS_MOUNT, *reach.arguments, *LOG_ARGUMENTS]
    mounts = [mount("keys", path=KEYS_MOUNT), temporary_mount(), *reach.mounts]
    volumes = [keys_volume(owner.name), temporary_volume(), *reach.volumes]
    if is_mounted(origin, settings=settings):
        arguments += ["--folder", folder_below(MODEL_MOUNT, origin=origin)]
        mounts.append(mount("model", path=MODEL_MOUNT))
        volumes.append(mounted_volume("model", origin=origin))
    if fetches:
        arguments += ["--work", WORK_MOUNT]
        mounts.append(mount(names.VOLUME_WORK, path=WORK_MOUNT, read_only=False))
        volumes.append(
            empty_volume(names.VOLUME_WORK, limit=spec.resources.limits.get("ephemeral-storage", WORK_LIMIT))
        )
    if fetches and spec.cache is not None:
        arguments += ["--cache", CACHE_MOUNT]
        mounts.append(mount(names.VOLUME_CACHE, path=CACHE_MOUNT, read_only=False))
        volumes.append(cache_volume(spec.cache.persistent_volume_claim.claim_name))
    # Reading files needs no device, and must not wait for a node that has one free.
    pod: dict[str, Any] = {
        **pod_basics(profile, settings=settings, has_cache=fetches and spec.cache is not None),
        "restartPolicy": "Never",
        "activeDeadlineSeconds": READING_SECONDS + (FETCHING_SECONDS if fetches else 0),
        "containers": [
            {
                "name": names.CONTAINER_INSPECT,
                "image": profile.image,
                "imagePullPolicy": profile.image_pull_policy,
                "args": arguments,
                "terminationMessagePolicy": LAST_WORDS,
                "env": [*environment(), *reach.environment],
                "ports": container_ports()[1:],
                "resources": _size(spec, converts=converts),
                "securityContext": container_security(),
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }
    place_pod(pod, spec=spec, profile=profile)
    return build_child(
        owner,
        api_version="batch/v1",
        kind="Job",
        name=names.job_name(owner.name, component=component, inputs={"request": request.question, "pod": pod}),
        component=component,
        annotations={names.ANNOTATION_REQUEST: request.question},
        spec={
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "template": {
                "metadata": {
                    "labels": child_labels(owner.name, component=component),
                    "annotations": audience_annotation(),
                },
                "spec": pod,
            },
        },
    )


def _size(spec: EmbeddingModelSpec, *, converts: bool) -> dict[str, dict[str, str]]:
    asked = spec.resources.limits
    limit = asked.get("memory", CONVERTING_MEMORY) if converts else raise_memory(READING_MEMORY, asked=asked)
    return {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": limit}}
