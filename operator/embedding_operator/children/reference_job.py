"""The Job that computes golden cases with the reference implementation, from the files that are served.

Its pod asks for what a serving pod asks for: it is scheduled where one can be, and where it fits the pods that come
after it do. It takes the files as they do, too, so that with a cache they are fetched once.
"""

from typing import Any, Final

from embedding_model import ports
from embedding_model.resolved import Quantization, ResolvedModel
from embedding_operator.api import names
from embedding_operator.api.spec import DtypeChoice, EmbeddingModelSpec
from embedding_operator.children.deployment import DOWNLOAD_TIMEOUT_SECONDS
from embedding_operator.children.metadata import Owner, build_child, child_labels
from embedding_operator.children.mounts import KEYS_MOUNT
from embedding_operator.children.pod_template import (
    LAST_WORDS,
    LOG_ARGUMENTS,
    Layout,
    Rendering,
    audience_annotation,
    container_ports,
    environment,
    fetch_container,
    lay_out,
    name_files,
    place_pod,
    pod_basics,
    pod_mounts,
    pod_volumes,
)
from embedding_operator.children.profile import Profile, RenderSettings, choose_profile
from embedding_operator.children.reach import reach_source
from embedding_operator.children.resources import size_resources
from embedding_operator.children.security import container_security

# Forty texts, of which the longest fill the model's context: minutes of a model of some billion parameters on a few
# cores. Loading may take as long as a serving pod's (spec.rollout.startupTimeoutSeconds), fetching as long as its.
COMPUTING_SECONDS: Final = 1800
# Two more attempts, 10 and 20 seconds later, of what failed by itself: a hub that hiccups, a node that runs full.
RETRIES: Final = 2


def reference_job(
    owner: Owner,
    *,
    question: str,
    resolved: ResolvedModel,
    model_config_map: str,
    spec: EmbeddingModelSpec,
    settings: RenderSettings,
) -> dict[str, Any]:
    """Named by the question and its pod: asked again or corrected, it is another Job. Raises Unrenderable."""
    profile = choose_profile(settings, name=spec.runtime.profile)
    rendering = Rendering(
        model=owner.name, resolved=resolved, model_config_map=model_config_map, goldens_config_maps=(), inputs=""
    )
    layout = lay_out(resolved, spec=spec, settings=settings)
    reach = reach_source(resolved.origin, spec=spec, settings=settings)
    fetching = DOWNLOAD_TIMEOUT_SECONDS if layout.fetches else 0
    pod: dict[str, Any] = {
        **pod_basics(profile, settings=settings, has_cache=layout.cache is not None),
        "restartPolicy": "Never",
        "activeDeadlineSeconds": fetching + spec.rollout.startup_timeout_seconds + COMPUTING_SECONDS,
        "containers": [_container(rendering, spec=spec, profile=profile, layout=layout)],
        "volumes": [*pod_volumes(rendering, layout=layout), *reach.volumes],
    }
    if layout.fetches:
        pod["initContainers"] = [fetch_container(rendering, spec=spec, profile=profile, layout=layout, reach=reach)]
    place_pod(pod, spec=spec, profile=profile)
    component = names.COMPONENT_REFERENCE
    return build_child(
        owner,
        api_version="batch/v1",
        kind="Job",
        name=names.job_name(owner.name, component=component, inputs={"request": question, "pod": pod}),
        component=component,
        space=resolved.space,
        annotations={names.ANNOTATION_REQUEST: question},
        spec={
            "backoffLimit": RETRIES,
            "completions": 1,
            "parallelism": 1,
            "podFailurePolicy": _failure_policy(),
            "template": {
                "metadata": {
                    "labels": child_labels(owner.name, component=component, space=resolved.space),
                    "annotations": audience_annotation(),
                },
                "spec": pod,
            },
        },
    )


def _container(rendering: Rendering, *, spec: EmbeddingModelSpec, profile: Profile, layout: Layout) -> dict[str, Any]:
    """The threshold of its vectors stays at its default: what the spec says of that is read into the stored set."""
    arguments = ["goldens", *name_files(rendering, layout=layout)]
    arguments += ["--keys", KEYS_MOUNT, "--private-port", str(ports.PRIVATE_PORT), "--device", profile.device]
    return {
        "name": names.CONTAINER_REFERENCE,
        "image": profile.reference_image,
        "imagePullPolicy": profile.image_pull_policy,
        "args": [*arguments, *LOG_ARGUMENTS],
        "terminationMessagePolicy": LAST_WORDS,
        "env": environment(),
        "ports": container_ports()[1:],
        "resources": _size(rendering.resolved, spec=spec, profile=profile),
        "securityContext": container_security(),
        "volumeMounts": pod_mounts(layout),
    }


def _size(resolved: ResolvedModel, *, spec: EmbeddingModelSpec, profile: Profile) -> dict[str, dict[str, str]]:
    """The requests of a serving pod; limits as of one that serves float32, which the reference computes in."""
    weights, asked = resolved.inspection.weights, spec.resources.model_dump()
    exact = spec.runtime.model_copy(update={"dtype": DtypeChoice.FLOAT32, "quantization": Quantization.NONE})
    sized = size_resources(asked, profile=profile.resources, weights=weights, runtime=spec.runtime)
    limits = size_resources(asked, profile=profile.resources, weights=weights, runtime=exact).get("limits")
    return {**sized, "limits": limits} if limits else sized


def _failure_policy() -> dict[str, Any]:
    """A refusal is not tried again, and no attempt is counted that a drain or a preemption ended."""
    refused = {
        "containerName": names.CONTAINER_REFERENCE,
        "operator": "In",
        "values": [ports.EXIT_REFUSED],
    }
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    return {
        "rules": [
            {"action": "FailJob", "onExitCodes": refused},
            {"action": "Ignore", "onPodConditions": [disrupted]},
        ]
    }
