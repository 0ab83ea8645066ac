"""The seam to the Kubernetes API: dicts in, dicts out.

`kube.client` implements it over kubernetes.aio, `kube.memory` in memory for scenario tests, and a fault-scripting
wrapper interrupts either between any two calls.

GatewayError
    Conflict          409: somebody else was faster; come back at once
        FieldConflict     other field managers hold what we apply with another value
    Invalid           422: the API server rejects our manifest; a bug of ours or an input that validation let through
    Forbidden         403: an RBAC rule is missing, a quota is full, or the namespace is terminating
    TooManyRequests   429 or 503, with the seconds to wait
    Unreachable       no answer, or 5xx
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """A resource type: its API version, kind and the plural used in paths."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True


EMBEDDING_MODEL = Kind("embedding-operator.dev/v1alpha1", "EmbeddingModel", "embeddingmodels")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
SERVICE = Kind("v1", "Service", "services")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
POD = Kind("v1", "Pod", "pods")
PERSISTENT_VOLUME_CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
JOB = Kind("batch/v1", "Job", "jobs")
POD_DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")  # its subresource `token` alone
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
EVENT = Kind("events.k8s.io/v1", "Event", "events")

KINDS: Sequence[Kind] = (
    EMBEDDING_MODEL,
    DEPLOYMENT,
    SERVICE,
    CONFIG_MAP,
    POD,
    PERSISTENT_VOLUME_CLAIM,
    ENDPOINT_SLICE,
    JOB,
    POD_DISRUPTION_BUDGET,
    SERVICE_ACCOUNT,
    LEASE,
    EVENT,
)


class GatewayError(Exception):
    """Any failed call. `message` is the API server's own, without request bodies or credentials."""

    def __init__(self, message: str, *, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.retry_after = retry_after

    @property
    def is_undecided(self) -> bool:
        """For want of an answer or of capacity; the next call would fare no better now."""
        return self.status in (0, 429, 503, 504)

    @property
    def is_refusal(self) -> bool:
        """The API server, or a webhook behind it, said no: the call had no effect, and will have none until something
        else changes."""
        return 400 <= self.status < 500 and not self.is_undecided


class Conflict(GatewayError):
    pass


@dataclass(frozen=True)
class HeldField:
    """A field that another manager holds: its name, the subresource it writes through ("" for none), and the field's
    path as the API server writes it, such as `.spec.replicas`."""

    manager: str
    subresource: str
    field: str


class FieldConflict(Conflict):
    """An apply that was not forced would change what other managers hold; nothing of it was written."""

    def __init__(self, message: str, *, held: Sequence[HeldField]) -> None:
        super().__init__(message, status=409)
        self.held = tuple(held)


class Invalid(GatewayError):
    pass


class Forbidden(GatewayError):
    pass


class TooManyRequests(GatewayError):
    pass


class Unreachable(GatewayError):
    pass


class Gateway(Protocol):
    """Every call raises GatewayError; "not found" is None or an empty result, never an error, except for writes
    of status, which return None when the object is gone."""

    async def get(self, kind: Kind, *, namespace: str, name: str) -> Object | None: ...

    async def list(self, kind: Kind, *, namespace: str | None, labels: Mapping[str, str]) -> Sequence[Object]:
        """All objects with these labels; namespace None means every namespace. apiVersion and kind are filled in."""

    async def apply(self, manifest: Object, *, force: bool = False) -> Object:
        """Server-side apply with our field manager. FieldConflict when others hold what it would change; with `force`
        it is taken from them. Conflict when metadata names a uid or resourceVersion that is not the object's."""

    async def create(self, manifest: Object) -> Object:
        """Plain create (Jobs, Leases, Events); Conflict when the name is taken."""

    async def replace(self, manifest: Object) -> Object:
        """Plain update under metadata.resourceVersion (Leases); Conflict when it moved."""

    async def label(
        self, kind: Kind, *, namespace: str, name: str, uid: str, labels: Mapping[str, str]
    ) -> Object | None:
        """Set these labels on an object that somebody else made (a pod), and nothing else of it; None when it is gone,
        or another one of that name is there now."""

    async def delete(self, kind: Kind, *, namespace: str, name: str, uid: str | None = None) -> None:
        """Background deletion with a uid precondition; gone already is success."""

    async def apply_status(self, kind: Kind, *, namespace: str, name: str, uid: str, status: Object) -> Object | None:
        """Server-side apply of the status subresource; the uid guards against a namesake created since."""

    async def request_token(self, *, namespace: str, account: str, audience: str, seconds: int) -> str:
        """A token of this service account for this audience alone; nothing is stored. GatewayError with status 404
        when there is no such account."""

    async def get_path(self, path: str) -> Object:
        """GET of a non-resource path that answers JSON, such as /openid/v1/jwks."""
