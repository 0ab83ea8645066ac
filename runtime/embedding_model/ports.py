"""The private port: route names, payloads and file names that operator and runtime agree on.

Routes STARTUP, READY, LIVE and METRICS are open; the others need `Authorization: Bearer` with the operator's
service-account token (audience TOKEN_AUDIENCE).
"""

from enum import StrEnum

from embedding_model.refusal import RefusalDocument
from embedding_model.resolved import Document, InspectionResult, Quantization

HTTP_PORT = 8080
PRIVATE_PORT = 8081

STARTUP = "/startup"  # 200 once weights are loaded and warm-up has run
READY = "/ready"  # 200 while the pod may take traffic
LIVE = "/live"  # 503 when a worker hangs or the device is broken
METRICS = "/metrics"
GOLDENS = "/goldens"  # GET: GoldensReport of the mounted set; POST JSON lines: a trial, without effect on readiness
RETIRE = "/retire"  # POST: from now on every response says Connection: close; 204
RESULT = "/result"  # GET on a Job's pod: JobReport, until the Job is deleted
PROGRESS = "/progress"  # GET on a pod that fetches: Progress

TOKEN_AUDIENCE = "embedding-runtime"  # noqa: S105 - the name of an audience

# Keys of the ConfigMap <name>-keys, mounted as a folder and re-read when they change.
KEYS_ISSUER = "issuer"
KEYS_JWKS = "jwks.json"
KEYS_SUBJECT = "subject"

MODEL_FILE = "model.json"  # a ResolvedModel, in ConfigMap <name>-model-<hash10>
GOLDENS_FILE = "goldens.jsonl"  # golden cases, in ConfigMap <name>-goldens-<hash10>

# The kubelet copies this file into the pod's status: a container that gives up leaves a RefusalDocument here.
TERMINATION_LOG = "/dev/termination-log"

SPACE_HEADER = "x-embedding-space"
REVISION_HEADER = "x-model-revision"
VERIFIED_HEADER = "x-embedding-verified"


class GateState(StrEnum):
    PENDING = "Pending"
    PASSED = "Passed"
    FAILED = "Failed"


class CaseResult(Document):
    """One golden case as answered by a pod.

    `measured` and `threshold` are decimal strings (absent when the case could not be compared at all);
    `detail` says in words what was expected and what came. No user text in any of them.
    """

    name: str
    kind: str
    passed: bool
    measured: str | None = None
    threshold: str | None = None
    detail: str = ""


class GoldensReport(Document):
    """`boot_id` is random per process start; `case_set` names the set by its content (`goldens.CaseSet.name`).

    `quantization` is absent where nothing is quantised.
    """

    boot_id: str
    case_set: str
    state: GateState
    results: tuple[CaseResult, ...] = ()
    space: str
    revision: str
    device: str
    dtype: str
    quantization: Quantization | None = None


class Progress(Document):
    """How far a fetch is. Bytes are of the files as they are stored, whatever was there before included."""

    files: int
    files_done: int
    bytes: int
    bytes_done: int


class JobState(StrEnum):
    RUNNING = "Running"
    DONE = "Done"
    REFUSED = "Refused"


class JobReport(Document):
    """Exactly one of `result` and `refusal` once the state is Done or Refused; `progress` while files are fetched."""

    state: JobState
    progress: Progress | None = None
    result: InspectionResult | None = None
    refusal: RefusalDocument | None = None
