"""The frozen picture of one EmbeddingModel that judge, children and plan work on.

Everything is read before anything is decided; nothing in here is read again later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from embedding_model.ports import GoldensReport, JobReport, Progress
from embedding_operator.api import names
from embedding_operator.api.spec import EmbeddingModelSpec, UpdatePolicy
from embedding_operator.api.status import EmbeddingModelStatus
from embedding_operator.observe.facts import (
    AuditReport,
    Head,
    Key,
    PodRef,
    QuarantineRecord,
    RefusedAnswer,
    Resolution,
    ResolutionRequest,
    UnmadeJob,
)
from embedding_operator.observe.stored_model import StoredModel
from embedding_operator.observe.stored_reference import Reference

Object = Mapping[str, Any]


@dataclass(frozen=True)
class ObservedPod:
    """A pod, with what it answered on its private port.

    `trials` holds the answers to trials by the name of the case set. `progress`: of its fetch, while it runs.
    `silence`: why it has not answered for half a minute, though it runs. `job_defect`: why what it answered is no
    report of a Job. `audit`: what wall two found of it.
    `is_retired`: it ends its clients' connections.
    """

    object: Object
    ref: PodRef
    report: GoldensReport | None = None
    trials: Mapping[str, GoldensReport] = field(default_factory=dict)
    job_report: JobReport | None = None
    progress: Progress | None = None
    silence: str | None = None
    job_defect: str | None = None
    audit: AuditReport | None = None
    is_retired: bool = False

    @property
    def name(self) -> str:
        return self.ref.name

    @property
    def has_ended(self) -> bool:
        """Evicted or run to its end: it serves nothing, and its address may be another pod's by now."""
        return has_ended(self.object)

    @property
    def is_ready(self) -> bool:
        return is_ready(self.object)


def is_tracked(spec: EmbeddingModelSpec) -> bool:
    hub = spec.model.hugging_face
    return hub is not None and hub.update_policy is UpdatePolicy.TRACK


def has_ended(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def is_fetching(pod: Object) -> bool:
    containers = (pod.get("status") or {}).get("initContainerStatuses") or ()
    return any(
        item.get("name") == names.CONTAINER_FETCH and "running" in (item.get("state") or {}) for item in containers
    )


@dataclass(frozen=True)
class Children:
    """Objects that carry our label for this model and that it controls, sorted by name."""

    deployments: Sequence[Object] = ()
    services: Sequence[Object] = ()
    config_maps: Sequence[Object] = ()
    jobs: Sequence[Object] = ()
    disruption_budgets: Sequence[Object] = ()

    def all(self) -> Sequence[Object]:
        return [*self.deployments, *self.services, *self.config_maps, *self.jobs, *self.disruption_budgets]


@dataclass(frozen=True)
class UserGoldens:
    """What spec.verification.goldensConfigMapRef points at; `text` is None when ConfigMap or key is missing, and when
    the key is under binaryData (`is_binary`)."""

    name: str
    exists: bool
    text: str | None
    is_binary: bool = False


@dataclass(frozen=True)
class Snapshot:
    """`spec` is None when it could not be parsed; `spec_error` then says why.

    `foreign` are objects that carry our label but are controlled by somebody else; `leftover` those of an earlier
    EmbeddingModel of the same name, which the garbage collector is about to delete. `planted` are ConfigMaps that claim
    to be controlled by it, with a content that we did not write: no child, and nothing in them is ever read.
    `endpoints` are the EndpointSlices of all its Services: the EndpointSlice controller copies our label to them.
    `request` is what the spec asks to resolve, `stored` the model that answers it already; without one `resolution` is
    what the resolver says. `models` are all stored models.
    `is_private`: the operator itself cannot ask the hub, for want of a token or of a way to it.
    `head`: where the branch stands, under updatePolicy Track. When that is another commit than the stored one,
    `candidate` is the request for it, and `resolution` the resolver's answer to that.
    `quarantine`: pods that were deleted lately because they failed their audits.
    `documents`: ConfigMaps as an earlier reconcile saw them, by name, of those that nothing could render anew.
    `refused_answers`: what Jobs answered lately and is not used, by the question that they were asked.
    `unmade_jobs`: Jobs that the API server does not take, by the question that they are to be asked.
    `references` are the stored sets of golden cases that the reference implementation computed, by space.
    `cache_exists` and `claim_exists` are None when no such claim is asked for.
    """

    key: Key
    now: datetime
    model: Object
    spec: EmbeddingModelSpec | None
    spec_error: str | None = None
    request: ResolutionRequest | None = None
    models: Sequence[StoredModel] = ()
    stored: StoredModel | None = None
    resolution: Resolution | None = None
    is_private: bool = False
    head: Head | None = None
    candidate: ResolutionRequest | None = None
    references: Sequence[Reference] = ()
    children: Children = field(default_factory=Children)
    foreign: Sequence[Object] = ()
    leftover: Sequence[Object] = ()
    planted: Sequence[Object] = ()
    pods: Sequence[ObservedPod] = ()
    endpoints: Sequence[Object] = ()
    user_goldens: UserGoldens | None = None
    claim_exists: bool | None = None
    cache_exists: bool | None = None
    keys: Mapping[str, str] | None = None
    quarantine: QuarantineRecord | None = None
    refused_answers: Mapping[str, RefusedAnswer] = field(default_factory=dict)
    unmade_jobs: Mapping[str, UnmadeJob] = field(default_factory=dict)
    documents: Mapping[str, Object] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        return str(self.model["metadata"]["uid"])

    @property
    def generation(self) -> int:
        return int(self.model["metadata"].get("generation", 0))

    @property
    def tracks(self) -> bool:
        """Whether a branch is followed (updatePolicy Track)."""
        return self.spec is not None and is_tracked(self.spec)

    @property
    def status(self) -> Object:
        """What we wrote last. Status is rebuilt from what is, with few exceptions: facts of the past that nothing else
        records (which commit a branch was, that a space served, what a source or a pod answered before we restarted).

        Reading those back is allowed because each of them only keeps things as they are until the world has answered
        anew: an operator without a status (a restored backup) ends in the same state, a moment later.
        """
        status: Object = self.model.get("status") or {}
        return status

    @cached_property
    def before(self) -> EmbeddingModelStatus:
        """The status, read."""
        return EmbeddingModelStatus.from_dict(self.status)
