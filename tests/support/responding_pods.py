"""What a pod of ours is behind its private port: the runtime's own lifecycle and token check, around computed answers.

Nothing is loaded: a vector is made of the space and the text, so that every pod of a space, and its reference Job, have
the same one. The rest is what a real pod does: wall one judges the mounted golden cases, wall two is the operator's
word, and the runtime's Lifecycle says what follows.
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Any, Self

import jwt
import numpy as np

from embedding_model import ports
from embedding_model.goldens.cases import CaseSet, GoldenCase, VectorCase
from embedding_model.goldens.compare import encode_vector, judge_case
from embedding_model.goldens.questions import Answer, Question, QuestionKind, list_questions
from embedding_model.ports import CaseResult, GateState, GoldensReport, JobReport, JobState, ReferenceSet
from embedding_model.resolved import ResolvedModel, Side
from embedding_runtime.clock import name_now
from embedding_runtime.http.auth.signing_keys import SigningKeys, parse_jwks
from embedding_runtime.lifecycle import Lifecycle, Phase, judge
from embedding_runtime.settings import FailurePolicy

IMPLEMENTATION = "computed by the tests' responder"
# As many as the reference image computes.
GOLDENS = 12
HOLDOUT = 28


class Fault(StrEnum):
    """What is wrong with a pod's answers."""

    WRONG = "wrong"  # every vector is another one
    MEMORISED = "memorised"  # right for the texts of its own golden cases, and for nothing else
    SILENT = "silent"  # nothing of the private port answers but the probes


class Refused(Exception):
    """The caller is not the operator. `status` is 401 or 403."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Mounted:
    """What a pod has mounted. `cases` are in the order of its files."""

    model: ResolvedModel
    cases: CaseSet


@dataclass(frozen=True)
class Keys:
    """Content of the ConfigMap of keys."""

    issuer: str
    subject: str
    jwks: str
    audience: str

    @classmethod
    def read(cls, data: Mapping[str, str]) -> Self:
        audience = data.get(ports.KEYS_AUDIENCE, ports.TOKEN_AUDIENCE)
        return cls(data[ports.KEYS_ISSUER], data[ports.KEYS_SUBJECT], data[ports.KEYS_JWKS], audience)

    def check(self, authorization: str | None) -> None:
        """Raises Refused, as the runtime's TokenCheck."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused(401, f"This route needs a bearer token for the audience {self.audience}.")
        try:
            subject = _read_subject(token, self.issuer, self.jwks, self.audience)
        except jwt.PyJWTError as error:
            raise Refused(401, f"The token is not valid here: {type(error).__name__}.") from None
        if subject != self.subject:
            raise Refused(403, f"Only {self.subject} may use this route.")


@lru_cache(maxsize=64)
def _parse_keys(jwks: str) -> SigningKeys:
    return parse_jwks(jwks.encode())


@lru_cache(maxsize=64)
def _read_subject(token: str, issuer: str, jwks: str, audience: str) -> str:
    """The signature is checked once a token and key set: thousands of pods are asked with one token. The operator's
    own are valid for longer than a test takes, so that expiry need not be looked at again."""
    claims = _parse_keys(jwks).verify(token, audience=audience, issuer=issuer, require=("exp", "iss", "aud", "sub"))
    return str(claims["sub"])


@dataclass
class ServingPod:
    """One start of the container of a serving pod."""

    mounted: Mounted
    lifecycle: Lifecycle
    _memorised: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        asked = (question for case in self.mounted.cases.cases for question in list_questions(case))
        self._memorised = frozenset(question.text for question in asked)

    def load(self, fault: Fault | None) -> None:
        """Loaded and warm; wall one asks what is mounted."""
        self.lifecycle.phase = Phase.LOADED
        self.check(fault)

    def check(self, fault: Fault | None) -> None:
        """Wall one, as at the start and then again and again."""
        self.lifecycle.record_check(self.judge(self.mounted.cases.cases, fault=fault), at=name_now())

    def judge(self, cases: Sequence[GoldenCase], *, fault: Fault | None) -> tuple[CaseResult, ...]:
        return tuple(
            judge_case(case, [self.answer(question, fault=fault) for question in list_questions(case)])
            for case in cases
        )

    def answer(self, question: Question, *, fault: Fault | None) -> Answer:
        is_wrong = fault is Fault.WRONG or (fault is Fault.MEMORISED and question.text not in self._memorised)
        return answer_of(self.mounted.model, question, salt="wrong" if is_wrong else "")

    def report(self, cases: CaseSet, *, state: GateState, results: tuple[CaseResult, ...]) -> GoldensReport:
        lifecycle = self.lifecycle
        return GoldensReport(
            boot_id=lifecycle.boot_id,
            case_set=cases.name,
            state=state,
            results=results,
            checked_at=lifecycle.checked_at,
            verdict=lifecycle.verdict,
            space=self.mounted.model.space,
            revision=self.mounted.model.origin.revision or "",
            device="cpu",
            dtype="float32",
        )

    def report_mounted(self) -> GoldensReport:
        return self.report(self.mounted.cases, state=self.lifecycle.gate, results=self.lifecycle.results)

    def report_trial(self, data: bytes, *, fault: Fault | None) -> GoldensReport:
        cases = CaseSet.from_jsonl(data)
        results = self.judge(cases.cases, fault=fault)
        return self.report(cases, state=judge(results), results=results)


def start_serving(mounted: Mounted, *, arguments: Sequence[str], grace_seconds: float | None) -> ServingPod:
    """`arguments` are the container's; `grace_seconds` overrides what they say of it."""
    said = dict(pairwise(arguments))
    grace = float(said.get("--audit-grace-seconds", 0)) if grace_seconds is None else grace_seconds
    policy = FailurePolicy(said.get("--failure-policy", FailurePolicy.BLOCK))
    return ServingPod(mounted, Lifecycle(failure_policy=policy, audit_grace_seconds=grace))


def compute_reference(model: ResolvedModel) -> JobReport:
    """What the pod of a reference Job answers."""
    found = ReferenceSet(
        space=model.space,
        implementation=IMPLEMENTATION,
        goldens=_compute_half(model, prefix="reference.", count=GOLDENS),
        holdout=_compute_half(model, prefix="holdout.", count=HOLDOUT),
    )
    return JobReport(state=JobState.DONE, reference=found)


def _compute_half(model: ResolvedModel, *, prefix: str, count: int) -> tuple[VectorCase, ...]:
    cases = []
    for number in range(count):
        text = f"the text of case {prefix}{number}"
        answer = answer_of(model, Question(kind=QuestionKind.EMBED, text=text))
        assert answer.vector is not None
        cases.append(
            VectorCase(name=f"{prefix}{number}", input=text, vector=answer.vector, min_cosine_similarity="0.999")
        )
    return tuple(cases)


def answer_of(model: ResolvedModel, question: Question, *, salt: str = "") -> Answer:
    """Of an embedder. Truncation is by words, of which every one is a token."""
    serving = model.serving
    words = question.text.split(" ")
    longest = serving.max_input_tokens
    kept = words[-longest:] if serving.truncation_side is Side.LEFT else words[:longest]
    text = "\n".join((model.space, question.prompt or "", salt, *kept))
    with _COMPUTING:
        return Answer(vector=_embed(text, serving.dimensions or 1))


# The cache below is asked by the responder's thread and by tests.
_COMPUTING = threading.Lock()


@lru_cache(maxsize=4096)
def _embed(text: str, dimensions: int) -> str:
    """base64 of a unit vector that only this text has."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    values = np.random.default_rng(seed).standard_normal(dimensions)
    return encode_vector((values / np.linalg.norm(values)).tolist())


def find_volume(pod: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    return next((volume for volume in pod["spec"].get("volumes") or () if volume["name"] == name), None)
