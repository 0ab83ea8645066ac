"""The Job that reads a volume: hashes its files, says what they are, and serves the answer until it is deleted."""

from typing import Any, Final

from embedding_operator.api import names
from embedding_operator.api.spec import EmbeddingModelSpec
from embedding_operator.children.metadata import Owner, build_child, child_labels
from embedding_operator.children.pod_template import (
    KEYS_MOUNT,
    LAST_WORDS,
    MODEL_MOUNT,
    claim_volume,
    container_ports,
    environment,
    keys_volume,
    model_folder,
    mount,
    place_pod,
    pod_basics,
    temporary_volume,
)
from embedding_operator.children.profile import RenderSettings, choose_profile
from embedding_operator.children.security import container_security
from embedding_operator.observe.facts import ResolutionRequest

# Hashing reads every byte once: an hour is a terabyte from a slow disk. It counts only once the pod is scheduled.
DEADLINE_SECONDS: Final = 3600


def inspect_job(
    owner: Owner, *, request: ResolutionRequest, spec: EmbeddingModelSpec, settings: RenderSettings
) -> dict[str, Any]:
    """Named by the request and its pod: asked again or corrected, it is another Job. Raises Unrenderable."""
    profile = choose_profile(settings, name=spec.runtime.profile)
    # Reading files needs no device, and must not wait for a node that has one free.
    pod: dict[str, Any] = {
        **pod_basics(profile, settings=settings),
        "restartPolicy": "Never",
        "activeDeadlineSeconds": DEADLINE_SECONDS,
        "containers": [
            {
                "name": names.CONTAINER_INSPECT,
                "image": profile.image,
                "imagePullPolicy": profile.image_pull_policy,
                "args": ["inspect", model_folder(request.origin), "--report", "--keys", KEYS_MOUNT],
                "terminationMessagePolicy": LAST_WORDS,
                "env": environment(),
                "ports": container_ports()[1:],
                "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
                "securityContext": container_security(),
                "volumeMounts": [
                    mount("model", path=MODEL_MOUNT),
                    mount("keys", path=KEYS_MOUNT),
                    mount("tmp", path="/tmp", read_only=False),  # noqa: S108 - an emptyDir
                ],
            }
        ],
        "volumes": [claim_volume(str(request.origin.claim)), keys_volume(owner.name), temporary_volume()],
    }
    place_pod(pod, spec=spec, profile=profile)
    return build_child(
        owner,
        api_version="batch/v1",
        kind="Job",
        name=names.inspect_job_name(owner.name, inputs={"request": request.token, "pod": pod}),
        component=names.COMPONENT_INSPECT,
        annotations={names.ANNOTATION_REQUEST: request.token},
        spec={
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "template": {
                "metadata": {"labels": child_labels(owner.name, component=names.COMPONENT_INSPECT)},
                "spec": pod,
            },
        },
    )
