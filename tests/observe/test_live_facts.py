"""What a running operator remembers of models ends with them: it serves thousands that come and go."""

import gc
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from types import FunctionType, ModuleType
from typing import Any

import pytest
from audited_pods import AuditedPods
from auditor_under_test import NOW, ORDER, serving_pod
from fixed_tokens import FixedTokens
from manual_clock import ManualClock, settle
from model_samples import resolved

from embedding_model.refusal import Unavailable
from embedding_model.resolved import Origin, SourceKind
from embedding_model.sources.polling import Polled
from embedding_operator.audit.auditor import Auditor
from embedding_operator.audit.key_data import KeyData
from embedding_operator.audit.quarantine_log import QuarantineLog
from embedding_operator.audit.retirement import Retirement
from embedding_operator.kube.memory import MemoryGateway
from embedding_operator.live_facts import LiveFacts
from embedding_operator.observe.facts import (
    Claim,
    Key,
    PodRef,
    RefusedAnswer,
    ResolutionRequest,
    RestorationRecord,
    UnmadeJob,
)
from embedding_operator.reconcile.restorations import RestorationLog
from embedding_operator.resolve.resolver import Resolver
from embedding_operator.resolve.tracker import BranchQuestion, Tracker

MARK = "here-and-gone"
GONE, STAYS = Key("search", MARK), Key("search", "stays")
DAY = timedelta(days=1)


class Pods(AuditedPods):
    """All of them answer, but for trials and orders to retire."""

    async def retire(self, pod: PodRef, *, order: Any) -> None:
        await super().trial(pod, case_set=ORDER.case_set)


async def resolve(request: ResolutionRequest) -> Any:
    if request.origin.repo == f"acme/{MARK}-private":
        raise Unavailable("no answer")
    return resolved()


async def poll(question: BranchQuestion) -> Polled:
    return Polled(commit="a" * 40, etag=None)


def tell(key: Key) -> None:
    """Nobody wants to know."""


@pytest.fixture
async def facts() -> AsyncIterator[LiveFacts]:
    """Everything that a leader assembles, on a clock that stands still."""
    clock = ManualClock()
    pods = Pods(**{address: serving_pod() for address in ("10.0.0.1", "10.0.0.2")})
    found = LiveFacts(
        resolver=Resolver(resolve, on_change=tell, clock=clock),
        tracker=Tracker(poll, on_change=tell, poll_seconds=60.0, clock=clock, jitter=lambda: 0.0),
        auditor=Auditor(pods, on_change=tell, audit_seconds=60.0, clock=clock),
        key_data=KeyData(MemoryGateway(), tokens=FixedTokens(), namespace="system", on_change=lambda: None),
        quarantine_log=QuarantineLog(),
        restoration_log=RestorationLog(),
        retirement=Retirement(pods, on_change=tell, clock=clock),
    )
    yield found
    for part in list_parts(found):
        await part.close()


def list_parts(facts: LiveFacts) -> Sequence[Resolver | Tracker | Auditor | Retirement]:
    """Those that are told of each reconcile."""
    assert facts.auditor is not None
    assert facts.retirement is not None
    return facts.resolver, facts.tracker, facts.auditor, facts.retirement


@contextmanager
def round_of(facts: LiveFacts, key: Key) -> Iterator[None]:
    """One reconcile, as the operator marks it."""
    with ExitStack() as stack:
        for part in list_parts(facts):
            stack.enter_context(part.round_of(key))
        yield


def ask_all(facts: LiveFacts, key: Key, *, address: str) -> None:
    """Everything that a reconcile may ask and note."""
    for repo in (f"acme/{key.name}", f"acme/{key.name}-private"):
        origin = Origin(kind=SourceKind.HUGGING_FACE, repo=repo, requested="main")
        facts.resolution(key, request=ResolutionRequest(origin=origin))
    facts.head(key, request=ResolutionRequest(origin=origin), at_once=True)
    server = PodRef(key=key, name=f"{key.name}-1", uid=f"{key.name}-uid-1", ip=address, starts=0)
    job = PodRef(key=key, name=f"{key.name}-2", uid=f"{key.name}-uid-2", ip=address, starts=0)
    starting = PodRef(key=key, name=f"{key.name}-3", uid=f"{key.name}-uid-3", ip="", starts=0)
    for pod in (server, starting):
        facts.goldens(pod)
        facts.progress(pod)
        facts.request_audit(pod, order=ORDER)
        facts.request_trial(pod, case_set=ORDER.holdout)
        facts.request_retirement(pod, boot_id="boot-1")
    facts.job_report(job)
    facts.note_documents(key, documents={f"{key.name}-template": {"kind": "ConfigMap"}})


def record_all(facts: LiveFacts, key: Key, *, at: Any) -> None:
    """What happens rarely, and is remembered for a while whoever asks."""
    facts.record_quarantine(key, at=at)
    facts.record_refused_answer(
        key, question="q", answer=RefusedAnswer(model="u", job=f"{key.name}-i1", words="no", at=at)
    )
    unmade = UnmadeJob(model="u", reason="QuotaExceeded", words="no", is_denied=False, since=at, at=at)
    facts.note_unmade_job(key, question="q", job=unmade)
    claim = Claim(child=f"{key.name}-uid", manager="hpa", field=".spec.replicas")
    facts.record_restoration(claim, record=RestorationRecord(at=at, count=1, asked="1@"))


def find_mark(root: object) -> list[str]:
    """Every text with the mark that can be reached from `root`."""
    seen, left, found = {id(root)}, [root], []
    while left:
        for item in gc.get_referents(left.pop()):
            if id(item) in seen or isinstance(item, ModuleType | type | FunctionType | AuditedPods):
                continue
            seen.add(id(item))
            left.append(item)
            if isinstance(item, str) and MARK in item:
                found.append(item)
    return found


async def test_nothing_of_a_deleted_model_is_kept(facts: LiveFacts) -> None:
    with round_of(facts, STAYS):
        ask_all(facts, STAYS, address="10.0.0.1")
    with round_of(facts, GONE):
        ask_all(facts, GONE, address="10.0.0.2")
    record_all(facts, GONE, at=NOW)
    await settle()
    assert find_mark(facts)

    with round_of(facts, GONE):
        facts.note_documents(GONE, documents={})
    record_all(facts, STAYS, at=NOW + DAY)
    await settle()
    gc.collect()
    assert find_mark(facts) == []
    assert facts.goldens(PodRef(key=STAYS, name="stays-1", uid="stays-uid-1", ip="10.0.0.1", starts=0)) is not None
