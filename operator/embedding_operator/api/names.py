"""Group, kind, labels, annotations, ports and child names: the contract that users, charts and dashboards rely on."""

import hashlib
from typing import Final

import orjson

GROUP: Final = "embedding-operator.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "EmbeddingModel"
PLURAL: Final = "embeddingmodels"
FIELD_MANAGER: Final = "embedding-operator"

LABEL_MODEL: Final = f"{GROUP}/model"  # name of the EmbeddingModel
LABEL_SPACE: Final = f"{GROUP}/space"  # whole fingerprint, sp1-<32 hex>
LABEL_COMPONENT: Final = f"{GROUP}/component"  # a Component value
LABEL_TRAFFIC: Final = (
    f"{GROUP}/traffic"  # TRAFFIC_ON; in templates and Service selectors, never in a Deployment's selector
)
TRAFFIC_ON: Final = "on"
TRAFFIC_QUARANTINED: Final = "quarantined"  # of a pod that fails what others pass, until it is deleted
LABEL_TEMPLATE: Final = "pod-template-hash"  # set by the Deployment controller
LABEL_SERVICE_NAME: Final = "kubernetes.io/service-name"  # set by the EndpointSlice controller

COMPONENT_SERVER: Final = "server"  # Deployment, its pods, Service
COMPONENT_INSPECT: Final = "inspect"  # Job that resolves and inspects a source
COMPONENT_CONVERT: Final = "convert"  # Job that converts a pickle
COMPONENT_REFERENCE: Final = "reference"  # Job that computes golden cases with the reference implementation
COMPONENT_MODEL: Final = "model"  # ConfigMap of a resolved model
COMPONENT_GOLDENS: Final = "goldens"  # ConfigMap of golden cases that pods mount; a reference's has a space
COMPONENT_HOLDOUT: Final = "holdout"  # ConfigMap of golden cases that no pod mounts
COMPONENT_TEMPLATE: Final = "template"  # ConfigMap of a rendered Deployment template
COMPONENT_KEYS: Final = "keys"  # ConfigMap for the offline token check
JOB_COMPONENTS: Final = frozenset({COMPONENT_INSPECT, COMPONENT_CONVERT, COMPONENT_REFERENCE})

ANNOTATION_REQUESTED_AT: Final = f"{GROUP}/requestedAt"  # set by the user: resolve and verify anew
ANNOTATION_TEMPLATE: Final = f"{GROUP}/template"  # on a Deployment: name of its template ConfigMap
ANNOTATION_INPUTS: Final = f"{GROUP}/inputs"  # on a Deployment: hash of what the template was rendered from
ANNOTATION_APPLIED: Final = f"{GROUP}/applied"  # on every child: hash of the manifest that we applied last
ANNOTATION_REQUEST: Final = f"{GROUP}/request"  # on a model ConfigMap or a Job: what was asked (ResolutionRequest)
ANNOTATION_FOLLOWED: Final = f"{GROUP}/followed"  # on a model ConfigMap: when updatePolicy Track came to its commit
ANNOTATION_REFERENCE: Final = f"{GROUP}/reference"  # on a reference's ConfigMaps: the libraries that computed it
# On a pod: the runtime in it checks tokens for the audience of its namespace. Without it, one that all pods share.
ANNOTATION_AUDIENCE: Final = f"{GROUP}/token-audience"
AUDIENCE_NAMESPACE: Final = "Namespace"

CONTAINER_RUNTIME: Final = "runtime"
CONTAINER_FETCH: Final = "fetch"  # init container of models that are not mounted as they are
CONTAINER_INSPECT: Final = "inspect"  # of a Job
CONTAINER_REFERENCE: Final = "reference"  # of a Job

VOLUME_API_KEYS: Final = "api-keys"
VOLUME_JWKS: Final = "jwks"
VOLUME_TOKEN: Final = "token"  # noqa: S105 - a volume
VOLUME_CACHE: Final = "cache"
VOLUME_WORK: Final = "work"
VOLUME_GOLDENS: Final = "goldens"
API_KEYS_KEY: Final = "embedding-api-keys"  # the key of a Secret
JWKS_KEY: Final = "jwks.json"  # the key of a ConfigMap
TOKEN_KEY: Final = "HF_TOKEN"  # noqa: S105 - the key of a Secret

SERVICE_PORT: Final = 80
SERVICE_PORT_NAME: Final = "http"
PRIVATE_PORT_NAME: Final = "private"


def space10(fingerprint: str) -> str:
    """The first ten hex digits of a fingerprint `sp1-<32 hex>`, as used in names."""
    return fingerprint.removeprefix("sp1-")[:10]


def hash10(content: object) -> str:
    """Ten hex digits of the sha256 of bytes, or of the canonical JSON of anything else."""
    data = content if isinstance(content, bytes) else orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(data).hexdigest()[:10]


def deployment_name(model: str, *, fingerprint: str) -> str:
    return f"{model}-{space10(fingerprint)}"


def model_configmap_name(model: str, *, content: bytes) -> str:
    return f"{model}-model-{hash10(content)}"


def goldens_configmap_name(model: str, *, content: bytes) -> str:
    return f"{model}-goldens-{hash10(content)}"


def holdout_configmap_name(model: str, *, content: bytes) -> str:
    return f"{model}-holdout-{hash10(content)}"


def pending_service_name(model: str, *, fingerprint: str) -> str:
    """The Service of a space that is verified and not approved: named as the Deployment behind it."""
    return deployment_name(model, fingerprint=fingerprint)


def service_url(service: str, *, namespace: str) -> str:
    return f"http://{service}.{namespace}.svc:{SERVICE_PORT}"


def template_configmap_name(model: str, *, content: bytes) -> str:
    return f"{model}-template-{hash10(content)}"


def keys_configmap_name(model: str) -> str:
    return f"{model}-keys"


def job_name(model: str, *, component: str, inputs: object) -> str:
    return f"{model}-{component[0]}{hash10(inputs)}"
