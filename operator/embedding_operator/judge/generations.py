"""The generations of a model: one Deployment per vector space, with its pods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from embedding_operator.api import names
from embedding_operator.api.rollout_spec import RolloutStrategy
from embedding_operator.observe.snapshot import Object, ObservedPod, Snapshot

ALL_UNAVAILABLE: Final = "100%"  # a Deployment's maxUnavailable in a rollout from pods that have not served


@dataclass(frozen=True)
class Generation:
    """`deployment` is None for a space whose Deployment does not exist (yet, or any more).

    `pods` are neither ending nor ended; `ended` are those that were evicted or ran to their end and still linger.
    `was_served`: the status says that the Service served this space. `is_stored`: its template is there, from which a
    Deployment that a hand deleted is made again.
    """

    space: str
    deployment: Object | None
    pods: Sequence[ObservedPod] = ()
    ended: Sequence[ObservedPod] = ()
    was_served: bool = False
    is_stored: bool = False

    @property
    def is_kept(self) -> bool:
        return self.deployment is not None or self.is_stored

    @property
    def inputs(self) -> str | None:
        return self._annotation(names.ANNOTATION_INPUTS)

    @property
    def template(self) -> str | None:
        return self._annotation(names.ANNOTATION_TEMPLATE)

    @property
    def created(self) -> str:
        return str(self.deployment["metadata"].get("creationTimestamp", "")) if self.deployment else ""

    @property
    def replicas(self) -> int:
        """What the live Deployment asks for."""
        return int(self.deployment["spec"].get("replicas", 1)) if self.deployment else 0

    @property
    def strategy(self) -> RolloutStrategy:
        """What the live Deployment was last applied with."""
        rolling = self._rolling_update
        return RolloutStrategy.REPLACE if rolling.get("maxSurge") == 0 else RolloutStrategy.SURGE

    @property
    def status(self) -> Mapping[str, Any]:
        status: Mapping[str, Any] = (self.deployment or {}).get("status") or {}
        return status

    @property
    def is_observed(self) -> bool:
        """Whether the Deployment's status speaks of its present spec."""
        if self.deployment is None:
            return False
        return int(self.status.get("observedGeneration", 0)) >= int(self.deployment["metadata"].get("generation", 0))

    @property
    def goldens_config_maps(self) -> Sequence[str]:
        """Names of the ConfigMaps whose golden cases its template mounts, in the order of the cases."""
        return list_mounted(pod_spec(self.deployment), volume=names.VOLUME_GOLDENS) if self.deployment else ()

    @property
    def ready_pods(self) -> Sequence[ObservedPod]:
        """Those that a Service which selects this generation sends requests to: not what was taken out of it."""
        return [pod for pod in self.pods if pod.is_ready and not is_quarantined(pod)]

    def updated_pods(self, inputs: str) -> Sequence[ObservedPod]:
        """Pods of a template that was rendered from these inputs."""
        return [pod for pod in self.pods if _has_inputs(pod, inputs)]

    def updated_ended(self, inputs: str) -> Sequence[ObservedPod]:
        """As `updated_pods`, of those that have ended."""
        return [pod for pod in self.ended if _has_inputs(pod, inputs)]

    def is_rolled_out(self, *, replicas: int) -> bool:
        """Whether exactly `replicas` pods exist, all of the present template, all ready.

        The Deployment's status may tell of a ready pod before the pod itself does: both have to.
        """
        if not self.is_observed or self.replicas != replicas or len(self.ready_pods) < replicas:
            return False
        counts = [int(self.status.get(name, 0)) for name in ("replicas", "updatedReplicas", "readyReplicas")]
        return counts == [replicas] * 3

    @property
    def has_served(self) -> bool:
        """Whether there is traffic to protect, even while no pod is ready for a moment.

        The Deployment's own status does not tell: Progressing says NewReplicaSetAvailable of a Deployment that was
        scaled to 0 without ever having had a ready pod, and not of one that serves during a rollout.
        """
        return self.was_served or bool(self.ready_pods)

    def protects_pods(self, *, replicas: int, template: str) -> bool:
        """Whether a rollout to `template` must wait for new ready pods before it takes old ones away.

        From the first ready pod on, until the generation is scaled to 0: a pod that is unready for a moment changes
        nothing, but in a rollout of a space that the Service does not serve. The strategy of the live Deployment is the
        record that none was ready. A new Deployment has no old pods: it is made as one that serves, so as not to be
        written again once it does, and its first pods are left to the next template.
        """
        if self.ready_pods:
            return True
        if replicas == 0:
            return False
        if self.deployment is None:
            return not self.pods  # those that a deleted Deployment left behind are adopted
        if self._rolling_update.get("maxUnavailable") in (None, ALL_UNAVAILABLE):
            return False
        return self.has_served or self._was_complete or (self.template == template and not self._has_old_pods)

    @property
    def _was_complete(self) -> bool:
        """Whether a rollout has ended with all pods ready, and no other one has begun since."""
        return bool(find_condition(self.status, kind="Progressing").get("reason") == "NewReplicaSetAvailable")

    @property
    def _has_old_pods(self) -> bool:
        """Whether there are pods of another template, such as a restart by hand leaves."""
        return self.is_observed and int(self.status.get("replicas", 0)) > int(self.status.get("updatedReplicas", 0))

    @property
    def _rolling_update(self) -> Mapping[str, Any]:
        strategy: Mapping[str, Any] = (self.deployment or {"spec": {}})["spec"].get("strategy") or {}
        return strategy.get("rollingUpdate") or {}

    def _annotation(self, name: str) -> str | None:
        return (self.deployment["metadata"].get("annotations") or {}).get(name) if self.deployment else None


def read_generations(snapshot: Snapshot) -> Mapping[str, Generation]:
    """By space, for every space that a Deployment or a server pod exists of, and for those that the Service selects or
    served, as long as their template is stored.
    """
    deployments = {_space(item): item for item in snapshot.children.deployments if _space(item)}
    served = snapshot.before.space.fingerprint if snapshot.before.space else None
    stored = {_space(item) for item in snapshot.children.config_maps if is_template(item)}
    restorable = {space for space in (served, read_selected_space(snapshot)) if space in stored}
    pods: dict[str, list[ObservedPod]] = {}
    for pod in snapshot.pods:
        component = (pod.object["metadata"].get("labels") or {}).get(names.LABEL_COMPONENT)
        if component == names.COMPONENT_SERVER and not pod.object["metadata"].get("deletionTimestamp"):
            pods.setdefault(_space(pod.object), []).append(pod)
    return {
        space: Generation(
            space=space,
            deployment=deployments.get(space),
            pods=tuple(pod for pod in pods.get(space, ()) if not pod.has_ended),
            ended=tuple(pod for pod in pods.get(space, ()) if pod.has_ended),
            was_served=served == space,
            is_stored=space in stored,
        )
        for space in sorted({*deployments, *pods, *restorable})
    }


def read_selected_space(snapshot: Snapshot) -> str | None:
    """The space that the live Service selects; None without a Service, or with a selector that is not ours."""
    for item in snapshot.children.services:
        if item["metadata"]["name"] == snapshot.key.name:
            space = ((item.get("spec") or {}).get("selector") or {}).get(names.LABEL_SPACE)
            return str(space) if space else None
    return None


def read_served_spaces(snapshot: Snapshot) -> Sequence[str]:
    """Those that the Service has served and whose generations were kept, by the status, the last first."""
    space = snapshot.before.space
    if space is None:
        return ()
    return [*([space.fingerprint] if space.fingerprint else []), *(space.previous or ())]


def is_template(config_map: Object) -> bool:
    labels = config_map["metadata"].get("labels") or {}
    return bool(labels.get(names.LABEL_COMPONENT) == names.COMPONENT_TEMPLATE)


def _has_inputs(pod: ObservedPod, inputs: str) -> bool:
    return (pod.object["metadata"].get("annotations") or {}).get(names.ANNOTATION_INPUTS) == inputs


def is_quarantined(pod: ObservedPod) -> bool:
    """Whether it was taken out of the Service, for good: it may be ready all the same."""
    labels = pod.object["metadata"].get("labels") or {}
    return bool(labels.get(names.LABEL_TRAFFIC) == names.TRAFFIC_QUARANTINED)


def is_started(pod: ObservedPod) -> bool:
    """Whether the server in it has loaded its model: the kubelet has seen its startup probe succeed."""
    containers = (pod.object.get("status") or {}).get("containerStatuses") or ()
    return bool(pod.ref.ip) and any(
        item.get("started") and "running" in (item.get("state") or {}) for item in containers
    )


def find_condition(status: Mapping[str, Any], *, kind: str) -> Mapping[str, Any]:
    """The condition of that type, empty when there is none."""
    return next((item for item in status.get("conditions") or () if item.get("type") == kind), {})


def pod_spec(deployment: Mapping[str, Any]) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def list_config_maps(spec: Mapping[str, Any]) -> frozenset[str]:
    """Names of the ConfigMaps that a pod of this spec mounts."""
    return frozenset(name for item in spec.get("volumes") or () for name in _config_maps_of(item))


def list_mounted(spec: Mapping[str, Any], *, volume: str) -> Sequence[str]:
    """Names of the ConfigMaps behind a pod's volume, in the order in which it projects them."""
    return tuple(
        name for item in spec.get("volumes") or () if item.get("name") == volume for name in _config_maps_of(item)
    )


def mounted_config_map(spec: Mapping[str, Any], *, volume: str) -> str | None:
    """Name of the only ConfigMap behind a pod's volume."""
    return next(iter(list_mounted(spec, volume=volume)), None)


def _config_maps_of(volume: Mapping[str, Any]) -> Sequence[str]:
    sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
    return [source["configMap"]["name"] for source in sources if source.get("configMap")]


def _space(item: Object) -> str:
    return str((item["metadata"].get("labels") or {}).get(names.LABEL_SPACE, ""))
