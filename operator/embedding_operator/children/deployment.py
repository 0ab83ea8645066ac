"""The Deployment of a generation: one per vector space.

Its body (the spec without replicas) is kept word for word in a template ConfigMap; what runs is always applied from
there, so that an operator upgrade changes no Deployment, and what was edited by hand comes back as it was.

A Deployment carries three hashes, each as an annotation:

    annotation  made in              of                                   says
    inputs      judge/inputs         what the user asked for, the files   which template answers the spec; on pods, too
    template    children/config_maps the stored body, in its ConfigMap's  what the Deployment must hold, word for word
                                     name
    applied     children/metadata    the whole manifest                   that the manifest is no longer what we applied

    a change of                                       moves
    golden cases, embedding, runtime, resources, pod  inputs, template, applied
    the commit                                        inputs, template, applied; other files are another Deployment
    replicas, or the strategy that follows them       applied
    image or another chart value                      none; template and applied under upgradePolicy Rolling, and
                                                      where pods never served and cannot start
    what somebody edits by hand in the live object    none: comparing the live object finds it
"""

from collections.abc import Mapping
from typing import Any, Final

from embedding_operator.api import names
from embedding_operator.api.rollout_spec import RolloutStrategy
from embedding_operator.api.spec import EmbeddingModelSpec
from embedding_operator.children.metadata import Owner, build_child
from embedding_operator.children.pod_template import Rendering, pod_template
from embedding_operator.children.profile import RenderSettings
from embedding_operator.children.service import server_selector
from embedding_operator.judge.generations import ALL_UNAVAILABLE

DOWNLOAD_TIMEOUT_SECONDS: Final = 3600  # before startup: pulling the image and the model
SURGING: Final[Mapping[str, Any]] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
REVISION_HISTORY: Final = 2  # old ReplicaSets say what ran before; rolling back is the spec's business


def deployment_body(rendering: Rendering, *, spec: EmbeddingModelSpec, settings: RenderSettings) -> dict[str, Any]:
    """Spec of a Deployment without replicas. Raises Unrenderable."""
    return {
        "selector": {"matchLabels": server_selector(rendering.model, space=rendering.resolved.space)},
        "strategy": SURGING,
        "progressDeadlineSeconds": DOWNLOAD_TIMEOUT_SECONDS + spec.rollout.startup_timeout_seconds,
        "revisionHistoryLimit": REVISION_HISTORY,
        "template": pod_template(rendering, spec=spec, settings=settings),
    }


def deployment(
    owner: Owner,
    *,
    body: Mapping[str, Any],
    space: str,
    replicas: int,
    inputs: str,
    template: str,
    protects_pods: bool,
    strategy: RolloutStrategy = RolloutStrategy.SURGE,
) -> dict[str, Any]:
    """`body` from a rendering or from the ConfigMap `template`; `inputs` is the hash that it was rendered from.

    `protects_pods`: what is there serves, or there is nothing yet. Like replicas and `strategy`, this is no part of
    what is stored.
    """
    return build_child(
        owner,
        api_version="apps/v1",
        kind="Deployment",
        name=names.deployment_name(owner.name, fingerprint=space),
        component=names.COMPONENT_SERVER,
        space=space,
        annotations={names.ANNOTATION_INPUTS: inputs, names.ANNOTATION_TEMPLATE: template},
        spec={**body, "replicas": replicas, "strategy": rolling_update(strategy, protects_pods=protects_pods)},
    )


def rolling_update(strategy: RolloutStrategy, *, protects_pods: bool) -> Mapping[str, Any]:
    """How the Deployment controller goes from old pods to new ones within a generation.

    Surge adds a pod, and takes an old one away once the new one is ready. Replace takes one away first. Where nothing
    serves, every old pod may go at once: the controller never takes an unready pod away for a new one otherwise, not
    even one that can never become ready, and where that pod holds the only device a correction would wait for ever.
    """
    surge = 0 if strategy is RolloutStrategy.REPLACE else 1
    unavailable: int | str = 1 - surge if protects_pods else ALL_UNAVAILABLE
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
