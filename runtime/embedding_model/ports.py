"""The private port: route names, payloads and file names that operator and runtime agree on.

Routes STARTUP, READY, LIVE and METRICS are open; the others need `Authorization: Bearer` with the operator's
service-account token for the pod's namespace (`name_audience`).
"""

from enum import StrEnum
from typing import Final

from embedding_model.goldens.cases import GoldenCase
from embedding_model.refusal import RefusalDocument
from embedding_model.resolved import Document, InspectionResult, Quantization

HTTP_PORT = 8080
PRIVATE_PORT = 8081

STARTUP = "/startup"  # 200 once weights are loaded and warm-up has run
READY = "/ready"  # 200 while the pod may take traffic
LIVE = "/live"  # 503 when a worker hangs or the device is broken
METRICS = "/metrics"
GOLDENS = "/goldens"  # GET: GoldensReport of the mounted set; POST JSON lines: a trial, without effect on readiness
ANSWERS = "/answers"  # POST QuestionSheet: AnswerSheet, through the serving path, also while the pod is shut
VERDICT = "/verdict"  # POST Verdict: 204; 409 when it speaks of another process or another case set
RETIRE = "/retire"  # POST RetireOrder: 204; 409 when it speaks of another process
RESULT = "/result"  # GET on a Job's pod: JobReport, until the Job is deleted
PROGRESS = "/progress"  # GET on a pod that fetches: Progress

# Of one body of ANSWERS: what a pod answers in seconds, and an answer that both sides have memory for.
MAX_QUESTIONS = 1024
MAX_QUESTION_BYTES = 8 * 1024 * 1024

# Of tokens for pods whose runtime knows no audience of a namespace; a pod that is told of one refuses them.
TOKEN_AUDIENCE: Final = "embedding-runtime"  # noqa: S105 - the name of an audience

# Keys of the ConfigMap <name>-keys, mounted as a folder and re-read when they change. Without an audience, which an
# older operator does not write, it is TOKEN_AUDIENCE.
KEYS_ISSUER = "issuer"
KEYS_JWKS = "jwks.json"
KEYS_SUBJECT = "subject"
KEYS_AUDIENCE = "audience"

MODEL_FILE = "model.json"  # a ResolvedModel, in ConfigMap <name>-model-<hash10>
GOLDENS_FILE = "goldens.jsonl"  # golden cases, in ConfigMap <name>-goldens-<hash10>

# Exit status of a container that refused: trying again would give the same.
EXIT_REFUSED = 3

# The kubelet copies this file into the pod's status: a container that gives up leaves a RefusalDocument here.
TERMINATION_LOG = "/dev/termination-log"

SPACE_HEADER = "x-embedding-space"
REVISION_HEADER = "x-model-revision"
VERIFIED_HEADER = "x-embedding-verified"


def name_audience(namespace: str) -> str:
    """Of the tokens that open the private ports of this namespace's pods, and of no other's."""
    return f"{TOKEN_AUDIENCE}/{namespace}"


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

    `state` and `results` are wall one's: what the pod found of itself, built-in checks (kind "check") included.
    `checked_at`: when (RFC 3339, UTC). `verdict` is wall two's: Pending until the operator has judged this process.
    `quantization` is absent where nothing is quantised, `retired` where the pod does not end its connections.
    """

    boot_id: str
    case_set: str
    state: GateState
    results: tuple[CaseResult, ...] = ()
    checked_at: str | None = None
    verdict: GateState = GateState.PENDING
    space: str
    revision: str
    device: str
    dtype: str
    quantization: Quantization | None = None
    retired: bool | None = None


class RetireOrder(Document):
    """Whether every response of this process says Connection: close from now on: clients come back elsewhere."""

    boot_id: str
    retired: bool


class Verdict(Document):
    """What the operator found of a pod: of this process, with this case set. `reason` is empty when it passed, else in
    words, without user text, which case failed. `epoch` is that of its first sheet of answers: a pod takes no pass of
    another.
    """

    boot_id: str
    case_set: str
    passed: bool
    reason: str = ""
    epoch: int | None = None


class ReferenceSet(Document):
    """Golden cases computed by the reference implementation from the files of a vector space.

    `goldens` are mounted in the pods, `holdout` is known to the operator alone. `implementation` names the libraries
    and their versions.
    """

    space: str
    implementation: str
    goldens: tuple[GoldenCase, ...]
    holdout: tuple[GoldenCase, ...]


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
    """Exactly one of `result` (of an inspection or a conversion), `reference` and `refusal` once the state is Done or
    Refused; `progress` while files are fetched.
    """

    state: JobState
    progress: Progress | None = None
    result: InspectionResult | None = None
    reference: ReferenceSet | None = None
    refusal: RefusalDocument | None = None
