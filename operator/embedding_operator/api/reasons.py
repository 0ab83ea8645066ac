"""Condition types and reasons: part of the API. The reference in docs/reference/conditions.md is generated from here.

Each member carries its one-line documentation as `.doc`. A condition's reason is either a `Reason`, or the reason of a
refusal (`embedding_model.refusal.Reason`) when the model, a file or an override cannot be served as asked.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final

from embedding_model.refusal import Reason as RefusalReason


class _Documented(StrEnum):
    doc: str

    def __new__(cls, value: str, doc: str) -> "_Documented":
        member = str.__new__(cls, value)
        member._value_ = value
        member.doc = doc
        return member


class ConditionType(_Documented):
    """The conditions of an EmbeddingModel. Reconciling and Stalled exist only while they are true."""

    READY = "Ready", "This generation of the spec is resolved, verified and served by every replica that it asks for."
    AVAILABLE = "Available", "At least one verified pod takes requests, be it of this generation or of an earlier one."
    VERIFIED = "Verified", "The pods' answers match the golden cases of this generation. Unknown without golden cases."
    RESOLVED = "Resolved", "The model's source is pinned to exact bytes, and its files say what the model is."
    RECONCILING = "Reconciling", "The operator is at work, or waits for something that may come by itself."
    STALLED = "Stalled", "Waiting does not help: the message says what to change."


class Reason(_Documented):
    """Why a condition has its status. The same name serves as the reason of the event that goes with it."""

    # All is well
    SERVING = "Serving", "Every replica is verified and takes requests."
    SCALED_TO_ZERO = "ScaledToZero", "The spec asks for 0 replicas: everything but the pods is there."
    UPDATE_AVAILABLE = (
        "UpdateAvailable",
        "Serving; a newer runtime image or chart default is there and comes with the next change of spec.",
    )
    RESOLVED = "Resolved", "The source is pinned to a commit or to the hashes of its files."
    GOLDENS_PASSED = "GoldensPassed", "Every golden case passed on every pod asked."
    NO_GOLDENS = "NoGoldens", "There are no golden cases: outputs are not compared with anything."
    MINIMUM_AVAILABLE = "MinimumAvailable", "At least one pod of this generation takes requests."
    PREVIOUS_GENERATION_SERVING = (
        "PreviousGenerationServing",
        "What was asked for last is not served; the generation before still is.",
    )
    SERVICE_MOVED = "ServiceMoved", "The Service moved to another vector space as a whole."

    # At work
    RESOLVING = "Resolving", "The source is being asked for its commit, its files and what they say."
    INSPECTING_VOLUME = "InspectingVolume", "A Job reads and hashes the files of the volume."
    CONVERTING = "Converting", "A Job converts weights that exist only as pickle, in isolation."
    PROGRESSING = "Progressing", "Children are being created, or pods are starting."
    DOWNLOADING = "Downloading", "Pods fetch and verify the model's files."
    VERIFYING = "Verifying", "Pods have loaded the model and answer the golden cases."
    COMPUTING_REFERENCE = (
        "ComputingReference",
        "A Job computes golden cases with the reference implementation, before new pods are made.",
    )
    REPLACING = "Replacing", "spec.rollout.strategy is Replace: the pods before are gone and new ones come; a gap."
    ROLLING_OUT = "RollingOut", "New pods replace old ones within the same vector space."
    MOVING_SERVICE = "MovingService", "A new vector space is verified; the Service is moving to it as a whole."
    SUSPENDED = "Suspended", "spec.suspend is true: nothing is written but status; pods that serve go on serving."
    TERMINATING = "Terminating", "The object, one of its children or its namespace is being deleted."

    # Waiting may help: Reconciling
    HUB_UNAVAILABLE = (
        "HubUnavailable",
        "The hub or mirror cannot be reached, or answers with errors; retried with backoff.",
    )
    INSUFFICIENT_CAPACITY = (
        "InsufficientCapacity",
        "No node has enough free CPU, memory or devices for a pod; the message has the scheduler's words.",
    )
    UNSCHEDULABLE = (
        "Unschedulable",
        "The scheduler places a pod nowhere for another cause, such as selectors or taints, in its words.",
    )
    VOLUME_NOT_FOUND = "VolumeNotFound", "The PersistentVolumeClaim does not exist in the namespace, or is not bound."
    SLOW_START = (
        "SlowStart",
        "A pod loads its model for longer than most; spec.rollout.startupTimeoutSeconds bounds it.",
    )
    NODE_LOST = "NodeLost", "A pod's node answers no more; Kubernetes makes another pod once it gives the node up."
    FIELD_CONFLICT = (
        "FieldConflict",
        "Another manager applies a field of a child that is the operator's; the message names both. It is not fought.",
    )
    SECRET_NOT_FOUND = (
        "SecretNotFound",
        "A pod that mounts a Secret of the spec does not start, as when the Secret or its key does not exist.",
    )
    JWKS_CONFIG_MAP_NOT_FOUND = (
        "JwksConfigMapNotFound",
        "A pod that mounts the ConfigMap of jwksConfigMapRef does not start, as when it or its key does not exist.",
    )
    QUOTA_EXCEEDED = "QuotaExceeded", "A quota, a limit range or an admission rule of the namespace refuses pods."
    IMAGE_UNAVAILABLE = "ImageUnavailable", "The runtime image cannot be pulled; the message has the kubelet's words."
    DOWNLOAD_FAILED = "DownloadFailed", "A pod could not fetch the model's files; it tries again."
    CRASH_LOOPING = "CrashLooping", "A container ends again and again; the message has its last words."
    OUT_OF_MEMORY = "OutOfMemory", "A container was killed for using more memory than its limit."
    POD_FAILED = "PodFailed", "A pod was evicted, or lost its node, before it was ready."
    NOT_AVAILABLE = "NotAvailable", "No pod takes requests."
    API_FORBIDDEN = "APIForbidden", "The API server refuses a call of the operator; a permission is missing."

    # Waiting does not help: Stalled
    INVALID_SPEC = "InvalidSpec", "The spec contradicts itself or cannot be read; the message names the field."
    GOLDEN_MISMATCH = (
        "GoldenMismatch",
        "An answer does not match its golden case; the message names case, measured value and threshold.",
    )
    REFERENCE_UNAVAILABLE = (
        "ReferenceUnavailable",
        "The reference implementation could not compute golden cases; the message says why. verification.reference: "
        "Off goes on without them.",
    )
    AUDIT_FAILED = (
        "AuditFailed",
        "The operator asked a pod cases that the pod does not know, and the answers do not match; the message names "
        "case, measured value and threshold.",
    )
    QUARANTINED = (
        "Quarantined",
        "Of an event: a pod gave wrong answers while it served, is out of the Service, and is deleted.",
    )
    STARTUP_TIMEOUT = (
        "StartupTimeout",
        "A pod was not ready within spec.rollout.startupTimeoutSeconds; what served before still does.",
    )
    GOLDENS_CONFIG_MAP_NOT_FOUND = (
        "GoldensConfigMapNotFound",
        "The ConfigMap of goldensConfigMapRef, or its key goldens.jsonl, does not exist.",
    )
    SPACE_CHANGE_NOT_APPROVED = (
        "SpaceChangeNotApproved",
        "What is asked for, or the commit that a tracked branch moved to, gives another vector space than the approved "
        "one; the message names both. Nothing moves until spec.space names the new one.",
    )
    PROFILE_NOT_FOUND = "ProfileNotFound", "The runtime profile is none of those in the operator's Helm values."
    CONFLICT = "Conflict", "An object with the name of a child exists and is not ours; it is never touched."
    CHILD_REJECTED = "ChildRejected", "The API server rejects a child as invalid; the message has its words."


REFUSALS: Final = MappingProxyType(
    {
        RefusalReason.MISSING_FILE: "A file that the model needs is not in the source.",
        RefusalReason.INVALID_FILE: "A file of the model cannot be read as what its name says.",
        RefusalReason.UNSAFE_PATH: "A file's path leaves the model's folder.",
        RefusalReason.TOO_LARGE: "A file is larger than any such file should be.",
        RefusalReason.HASH_MISMATCH: "A file's bytes are not those that were resolved; the message has both hashes.",
        RefusalReason.UNSUPPORTED_FORMAT: "The weights are in a format that is not served.",
        RefusalReason.PICKLE_ONLY: "The weights exist only as pickle, which can execute code; safetensors are needed.",
        RefusalReason.ADAPTER_ONLY: "The source holds an adapter without its base model.",
        RefusalReason.UNSUPPORTED_ARCHITECTURE: "The model's architecture is not served.",
        RefusalReason.REMOTE_CODE_REQUIRED: "The model needs Python code of its repository, which is never executed.",
        RefusalReason.NOT_AN_EMBEDDING_MODEL: "The files say that the model makes no embeddings.",
        RefusalReason.INCOMPLETE_WEIGHTS: "Tensors that the architecture needs are missing in the weights.",
        RefusalReason.UNEXPECTED_WEIGHTS: "The weights hold tensors that the architecture does not know.",
        RefusalReason.CONTRADICTORY_EVIDENCE: "Two files of the model say different things; an override can decide.",
        RefusalReason.AMBIGUOUS_TASK: "The files do not say what the model is for.",
        RefusalReason.TASK_MISMATCH: "The model is for another task than the one asked for.",
        RefusalReason.INVALID_OVERRIDE: "A field of the spec does not fit the model; the message names the field.",
        RefusalReason.INVALID_GOLDEN: "A golden case cannot be used; the message names the case and what is wrong.",
        RefusalReason.INVALID_AUTH: (
            "The API keys or the JWKS that requests are checked with are malformed or empty; the message names the "
            "file and the line."
        ),
        RefusalReason.REPOSITORY_NOT_FOUND: "The hub knows no such repository, or hides it from anonymous requests.",
        RefusalReason.REVISION_NOT_FOUND: "The repository has no such branch, tag or commit.",
        RefusalReason.ACCESS_DENIED: "The repository is gated or private.",
        RefusalReason.MIRROR_NOT_FOUND: "The mirror is none of those in the operator's Helm values.",
        RefusalReason.IMAGE_NOT_FOUND: "The registry has no image of that digest, or the image has no such folder.",
        RefusalReason.REGISTRY_NOT_ALLOWED: "The image's registry is none of those in the operator's Helm values.",
        RefusalReason.CONVERSION_FAILED: "A pickle could not be converted, or gave other bytes than before.",
        RefusalReason.DEVICE_UNAVAILABLE: "The pod found no device of the kind that its profile promises.",
    }
)
"""One line for each reason that `embedding_model` refuses with."""
