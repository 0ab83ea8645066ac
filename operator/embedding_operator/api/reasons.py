"""Condition types and reasons: part of the API. The reference in docs/reference/conditions.md is generated from here.

Each member carries its one-line documentation as `.doc`, and a reason also what to do as `.remedy`. A condition's
reason is either a `Reason`, or the reason of a refusal when the model, a file or an override cannot be served as asked:
see `api.refusals`.
"""

from enum import StrEnum


class _Documented(StrEnum):
    doc: str

    def __new__(cls, value: str, doc: str) -> "_Documented":
        member = str.__new__(cls, value)
        member._value_ = value
        member.doc = doc
        return member


class _Explained(_Documented):
    remedy: str

    def __new__(cls, value: str, doc: str, remedy: str) -> "_Explained":
        member = str.__new__(cls, value)
        member._value_ = value
        member.doc = doc
        member.remedy = remedy
        return member


class ConditionType(_Documented):
    """The conditions of an EmbeddingModel. Reconciling and Stalled exist only while they are true."""

    READY = (
        "Ready",
        "This generation of the spec is resolved and served by every replica that it asks for; under failurePolicy "
        "Block each of them has passed the golden cases, if there are any.",
    )
    AVAILABLE = (
        "Available",
        "At least one pod behind the Service is ready, be it of this generation or of an earlier one.",
    )
    VERIFIED = "Verified", "The pods' answers match the golden cases of this generation. Unknown without golden cases."
    RESOLVED = "Resolved", "The model's source is pinned to exact bytes, and its files say what the model is."
    RECONCILING = "Reconciling", "The operator is at work, or waits for something that may come by itself."
    STALLED = "Stalled", "Waiting does not help: the message says what to change."


class Reason(_Explained):
    """Why a condition has its status. The same name serves as the reason of the event that goes with it."""

    # All is well
    SERVING = (
        "Serving",
        "Every replica takes requests. Verified says whether they match golden cases; under Block Ready waits for it.",
        "Nothing.",
    )
    SCALED_TO_ZERO = (
        "ScaledToZero",
        "The spec asks for 0 replicas: everything but the pods is there.",
        "Raise spec.replicas to serve.",
    )
    UPDATE_AVAILABLE = (
        "UpdateAvailable",
        "Serving; a newer runtime image or chart default is there and comes with the next change of spec.",
        "Nothing; to take it now, change the spec, or set runtime.upgradePolicy: Rolling in the chart.",
    )
    RESOLVED = (
        "Resolved",
        "The source is pinned to a commit or to the hashes of its files.",
        "Nothing.",
    )
    GOLDENS_PASSED = (
        "GoldensPassed",
        "Every golden case passed on every pod asked.",
        "Nothing.",
    )
    NO_GOLDENS = (
        "NoGoldens",
        "There are no golden cases: outputs are not compared with anything.",
        "To have outputs compared, add golden cases, or leave spec.verification.reference at Auto.",
    )
    MINIMUM_AVAILABLE = (
        "MinimumAvailable",
        "At least one pod of this generation is ready.",
        "Nothing.",
    )
    PREVIOUS_GENERATION_SERVING = (
        "PreviousGenerationServing",
        "What was asked for last is not served; the generation before still is.",
        "Read the reason of Ready: it says what holds the new one up.",
    )
    SERVICE_MOVED = (
        "ServiceMoved",
        "The Service moved to another vector space as a whole.",
        "Stored vectors of the space before do not compare with those of the new one: index them anew.",
    )

    # At work
    RESOLVING = (
        "Resolving",
        "The source is being asked for its commit, its files and what they say.",
        "Wait.",
    )
    INSPECTING_VOLUME = (
        "InspectingVolume",
        "A Job reads and hashes the files of the volume.",
        "Wait: a volume is read once, at the speed of its disk.",
    )
    CONVERTING = (
        "Converting",
        "A Job converts weights that exist only as pickle, in isolation.",
        "Wait.",
    )
    PROGRESSING = (
        "Progressing",
        "Children are being created, or pods are starting.",
        "Wait; when it lasts, the message has the counts and the Deployment's own words.",
    )
    DOWNLOADING = (
        "Downloading",
        "Pods fetch and verify the model's files.",
        "Wait; the message tells how far it is.",
    )
    VERIFYING = (
        "Verifying",
        "Pods have loaded the model and answer the golden cases.",
        "Wait; when it lasts, the message names the pods that the operator cannot ask.",
    )
    COMPUTING_REFERENCE = (
        "ComputingReference",
        "A Job computes golden cases with the reference implementation, before new pods are made.",
        'Wait; spec.verification.reference: "Off", in quotes, goes on without.',
    )
    REPLACING = (
        "Replacing",
        "spec.rollout.strategy is Replace: the pods before are gone and new ones come; a gap.",
        "Wait; spec.rollout.strategy: Surge has no gap, and needs room for one pod more.",
    )
    ROLLING_OUT = (
        "RollingOut",
        "New pods replace old ones within the same vector space.",
        "Wait.",
    )
    MOVING_SERVICE = (
        "MovingService",
        "A new vector space is verified; the Service is moving to it as a whole.",
        "Wait; clients that pin a space get 412 from the other one.",
    )
    NO_ENDPOINTS = (
        "NoEndpoints",
        "Pods are ready and verified, and no EndpointSlice of the Service lists one as ready: requests are refused.",
        "Wait a moment. If it lasts, compare the Service's selector with the pods' labels: somebody changed either, or "
        "the cluster's EndpointSlice controller does not work.",
    )
    SUSPENDED = (
        "Suspended",
        "spec.suspend is true: nothing is written but status; pods that serve go on serving.",
        "Set spec.suspend to false to go on.",
    )
    TERMINATING = (
        "Terminating",
        "A child, or the namespace, is being deleted; a child is made anew once it is gone.",
        "Wait; when it lasts, look for finalizers on the object that the message names.",
    )

    # Waiting may help: Reconciling
    HUB_UNAVAILABLE = (
        "HubUnavailable",
        "The hub or mirror cannot be reached, or answers with errors; retried with backoff.",
        "Check that the operator reaches the hub or mirror, through its proxy if there is one.",
    )
    INSUFFICIENT_CAPACITY = (
        "InsufficientCapacity",
        "No node has enough free CPU, memory or devices for a pod; the message has the scheduler's words.",
        "Add nodes or free some; lower spec.resources; with no spare device, set spec.rollout.strategy: Replace.",
    )
    UNSCHEDULABLE = (
        "Unschedulable",
        "The scheduler places a pod nowhere for another cause, such as selectors or taints, in its words.",
        "Correct spec.pod.nodeSelector and spec.pod.tolerations, or the nodes' labels and taints.",
    )
    VOLUME_NOT_FOUND = (
        "VolumeNotFound",
        "The PersistentVolumeClaim does not exist in the namespace, or is not bound.",
        "Create the PersistentVolumeClaim in this namespace, or correct its name; see what keeps it from being bound.",
    )
    SLOW_START = (
        "SlowStart",
        "A pod loads its model for longer than most; spec.rollout.startupTimeoutSeconds bounds it.",
        "Wait; if starts take this long always, raise spec.rollout.startupTimeoutSeconds before they reach it.",
    )
    NODE_LOST = (
        "NodeLost",
        "A pod's node answers no more; Kubernetes makes another pod once it gives the node up.",
        "Bring the node back or delete it; with two replicas or more the others serve meanwhile.",
    )
    FIELD_CONFLICT = (
        "FieldConflict",
        "Another manager applies a field of a child that is the operator's, or updates it again and again; the message "
        "names both. It is not fought.",
        "Take the field out of what the other manager writes; ask for it in the EmbeddingModel. An autoscaler has to "
        "scale the EmbeddingModel, not its Deployment.",
    )
    SECRET_NOT_FOUND = (
        "SecretNotFound",
        "A pod that mounts a Secret of the spec does not start, as when the Secret or its key does not exist.",
        "Create the Secret with the key that the message names, or correct the spec.",
    )
    JWKS_CONFIG_MAP_NOT_FOUND = (
        "JwksConfigMapNotFound",
        "A pod that mounts the ConfigMap of jwksConfigMapRef does not start, as when it or its key does not exist.",
        "Create the ConfigMap with the key that the message names, or correct the spec.",
    )
    QUOTA_EXCEEDED = (
        "QuotaExceeded",
        "A quota, a limit range or an admission rule of the namespace refuses pods, or a quota another child.",
        "Raise the quota or limit that the message names, or ask for less in spec.resources or spec.replicas.",
    )
    IMAGE_UNAVAILABLE = (
        "ImageUnavailable",
        "An image cannot be pulled: the runtime's, the reference's, or a mounted one; the message has the kubelet's "
        "words.",
        "Check the image's name (the chart's values, spec.model.image), the registry, and spec.pod.imagePullSecrets.",
    )
    DOWNLOAD_FAILED = (
        "DownloadFailed",
        "A pod could not fetch the model's files; it tries again.",
        "Read the message: a hub out of reach, a token that expired, or a disk that is full.",
    )
    CRASH_LOOPING = (
        "CrashLooping",
        "A container ends again and again; the message has its last words.",
        "Read the last words in the message, and `kubectl logs --previous` of the pod.",
    )
    OUT_OF_MEMORY = (
        "OutOfMemory",
        "A container was killed for using more memory than its limit.",
        "Raise spec.resources.limits.memory.",
    )
    POD_FAILED = (
        "PodFailed",
        "A pod was evicted, its container could not be created, or a Job got no pod or ended without an answer.",
        "Read the message; raise the limit that it names, or take away what evicts or refuses the pod.",
    )
    NOT_AVAILABLE = (
        "NotAvailable",
        "No pod is ready.",
        "Read the reason of Ready.",
    )
    API_FORBIDDEN = (
        "APIForbidden",
        "The API server refuses a call of the operator; a permission is missing.",
        "Grant the permission that the message names: install the chart's roles of this operator's version.",
    )

    # Waiting does not help: Stalled
    INVALID_SPEC = (
        "InvalidSpec",
        "The spec contradicts itself or cannot be read; the message names the field.",
        "Correct the field that the message names.",
    )
    GOLDEN_MISMATCH = (
        "GoldenMismatch",
        "An answer does not match its golden case; the message names case, measured value and threshold.",
        "If the model changed on purpose, correct the case; if not, correct what changed its answers.",
    )
    REFERENCE_UNAVAILABLE = (
        "ReferenceUnavailable",
        "The reference implementation could not compute golden cases, or for half an hour its Job could not be made or "
        "its pod not start; the message says why. What failed is tried again every half hour; what waits goes on once "
        "it can.",
        "Cure what the message names; the annotation embedding-operator.dev/requestedAt has it tried at once, and the "
        'source resolved anew. Or set spec.verification.reference: "Off", in quotes, to go on without.',
    )
    AUDIT_FAILED = (
        "AuditFailed",
        "The operator asked a pod cases that the pod does not know, and the answers do not match; the message names "
        "case, measured value and threshold.",
        "Compare device, driver and dtype with those that work; a pod that fails alone is replaced by itself.",
    )
    QUARANTINED = (
        "Quarantined",
        "Of an event: a pod gave wrong answers where others give right ones, is out of the Service, and is deleted.",
        "Nothing; when it recurs on one node, take that node out.",
    )
    STARTUP_TIMEOUT = (
        "StartupTimeout",
        "A pod was not ready within spec.rollout.startupTimeoutSeconds; what served before still does.",
        "Raise spec.rollout.startupTimeoutSeconds, or correct what the message says the pod did last.",
    )
    GOLDENS_CONFIG_MAP_NOT_FOUND = (
        "GoldensConfigMapNotFound",
        "The ConfigMap of goldensConfigMapRef, or its key goldens.jsonl, does not exist or holds no case.",
        "Create the ConfigMap with golden cases under the key goldens.jsonl, or correct its name.",
    )
    SPACE_CHANGE_NOT_APPROVED = (
        "SpaceChangeNotApproved",
        "What is asked for, or the commit that a tracked branch moved to, gives another vector space than the "
        "approved one; the message names both. Nothing moves until spec.space names the new one.",
        "Index anew through the pending Service, then write the new fingerprint into spec.space; or take the change "
        "back.",
    )
    PROFILE_NOT_FOUND = (
        "ProfileNotFound",
        "The runtime profile is none of those in the operator's Helm values.",
        "Write one of the profiles that the message names, or add it to the chart's values.",
    )
    CONFLICT = (
        "Conflict",
        "An object with the name of a child exists and is not ours, or of another vector space; it is never touched.",
        "Delete or rename that object, or rename the EmbeddingModel.",
    )
    CHILD_REJECTED = (
        "ChildRejected",
        "The API server, an admission policy or a webhook rejects a child; the message has its words.",
        "Correct the field that the message speaks of, have the policy admit it, or bring the webhook back.",
    )
