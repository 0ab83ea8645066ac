"""Other pods of the same model and vector space: do most of them answer as one does?

Each pod that passes all else has a voice: what it answered to the built-in checks' fixed texts. Pods on the same
hardware whose answers are the same are a group, whose answers are kept once. A pod whose group is the largest, itself
counted, is right. What it answered before it failed counts as a voice too: of two pods the one is wrong that has
changed.

Where groups are equally large nobody knows which is wrong. Then one of them serves, that whose pods passed first: those
of the other fail `check.tie`. Nobody is said to pass that, so that no pod is deleted for it. Who has failed so stays
shut while another pod has not answered yet: otherwise the one that is asked first after a restart would win.

A pod has its voice as long as it is audited, and until it can neither be asked nor serves.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from embedding_model.ports import CaseResult, GateState
from embedding_model.resolved import Task
from embedding_operator.audit.answer_values import AnswerValues
from embedding_operator.audit.checks import KIND, compare_answers
from embedding_operator.audit.kept_answers import KeptAnswer
from embedding_operator.audit.pod_record import PodRecord, Topic, Voice

# Of a space, on the same hardware. One is kept of each, tens of KiB of a large model; a pod that answers otherwise than
# all of them has no voice.
MAX_GROUPS: Final = 16

REPLICAS: Final = "replicas"
COMPARISON: Final = f"check.{REPLICAS}"
TIE: Final = "check.tie"


@dataclass
class _Group:
    """`voices`: pods other than the one that is judged, the first of them `name`. `was_own`: it answered so before."""

    answers: Sequence[KeptAnswer]
    name: str
    voices: int = 0
    was_own: bool = False
    is_trusted: bool = False  # by one of them: it passed when it was compared last

    @property
    def size(self) -> int:
        return self.voices + self.was_own


def list_colleagues(pods: Iterable[PodRecord], *, pod: PodRecord) -> Sequence[PodRecord]:
    """Those of `pods`, which are of one model, that are audited for the same space, but for `pod`."""
    space = pod.order.space if pod.order else None
    audited = (other for other in pods if other is not pod and Topic.AUDIT in other.tasks)
    return [other for other in audited if other.order is not None and other.order.space == space]


def list_awaited(pods: Iterable[PodRecord], *, pod: PodRecord) -> Sequence[PodRecord]:
    """Those of the same space that were audited, and load their model anew."""
    space = pod.order.space if pod.order else None
    return [other for other in pods if other is not pod and other.awaited == space and Topic.AUDIT not in other.tasks]


def list_overruled(pods: Iterable[PodRecord]) -> Sequence[PodRecord]:
    """Those of `pods`, which are of one space, whose last result is not what the voices of today say."""
    voiced = [pod for pod in pods if pod.voice is not None and _has_voice(pod)]
    return [pod for pod in voiced if _is_overruled(pod, others=[other for other in voiced if other is not pod])]


def compare_replicas(
    colleagues: Iterable[PodRecord], *, pod: PodRecord, answers: Sequence[AnswerValues], task: Task
) -> CaseResult | None:
    """`answers`, which are to the fixed texts, beside those of other pods; None where nobody else answers as `pod`
    does, and it need not fail for that. It has a voice from now on."""
    others = list(colleagues)
    groups = _list_groups(others, pod=pod)
    compared = [(group, _compare(answers, group=group, task=task)) for group in groups]
    unheard = _list_unheard(others)
    found = _judge(compared, awaits=any(other.ref.is_ready for other in unheard))
    if (found is None or found.passed) and not _is_settled(compared, unheard=len(unheard)):
        found = _wait_for_others(others, pod=pod) or found
    passed = found is None or found.passed
    said = pod.voice.answers if pod.voice is not None and not passed else None
    same = said or next((group.answers for group, result in compared if result.passed), None)
    if same is None and len(groups) < MAX_GROUPS:
        same = tuple(map(KeptAnswer.keep, answers))
    pod.voice = Voice(same, is_trusted=passed) if same is not None else None
    return found


def _judge(compared: Sequence[tuple[_Group, CaseResult]], *, awaits: bool) -> CaseResult | None:
    """Whether the group that the pod belongs to is the largest. `awaits`: whether a pod that serves is still to be
    heard. Until it is, a larger group that nobody trusts proves nothing."""
    same = [(group, result) for group, result in compared if result.passed]
    others = [(group, result) for group, result in compared if not result.passed]
    agreement = next((result for group, result in same if group.voices), None)
    if not others:
        return agreement
    size = 1 + sum(group.voices for group, _ in same)
    rival, difference = max(others, key=lambda pair: (pair[0].size, pair[0].is_trusted))
    if rival.size > size and (rival.is_trusted or not awaits):
        return difference
    if rival.size != size:
        return agreement
    return _describe_tie(difference) if rival.is_trusted else None


def _is_settled(compared: Sequence[tuple[_Group, CaseResult]], *, unheard: int) -> bool:
    """Whether the pod answers like a trusted group that those who are not heard yet cannot outnumber."""
    same = [group for group, result in compared if result.passed]
    rival = max((group.size for group, result in compared if not result.passed), default=0)
    is_trusted = any(group.is_trusted for group in same)
    return is_trusted and 1 + sum(group.voices for group in same) > rival + unheard


def _list_groups(colleagues: Iterable[PodRecord], *, pod: PodRecord) -> Sequence[_Group]:
    """The largest first."""
    groups: dict[int, _Group] = {}  # by the identity of what they share
    for other in colleagues:
        if other.voice is not None and _is_comparable(other, pod=pod):
            shared = other.voice.answers
            group = groups.setdefault(id(shared), _Group(shared, name=other.ref.name))
            group.voices += 1
            group.is_trusted |= other.voice.is_trusted
    if pod.voice is not None:
        shared = pod.voice.answers
        groups.setdefault(id(shared), _Group(shared, name=pod.ref.name)).was_own = True
    return sorted(groups.values(), key=lambda group: -group.size)


def _is_comparable(other: PodRecord, *, pod: PodRecord) -> bool:
    return other.hardware is not None and other.hardware == pod.hardware and _has_voice(other)


def _has_voice(pod: PodRecord) -> bool:
    """A pod that fails by itself says nothing about others, nor does one that is gone."""
    silence = pod.failures.get(Topic.AUDIT)
    is_gone = silence is not None and silence.is_told and not pod.ref.is_ready
    return pod.failed_cases <= {COMPARISON, TIE} and not is_gone


def _is_overruled(pod: PodRecord, *, others: Sequence[PodRecord]) -> bool:
    """Whether it passed and is outnumbered now, or failed a tie that is decided for it."""
    assert pod.voice is not None
    sizes: dict[int, int] = {}
    for other in others:
        if other.voice is not None and _is_comparable(other, pod=pod):
            sizes[id(other.voice.answers)] = sizes.get(id(other.voice.answers), 0) + 1
    own = 1 + sizes.pop(id(pod.voice.answers), 0)
    rival = max(sizes.values(), default=0)
    return rival > own if pod.voice.is_trusted else TIE in pod.failed_cases and own > rival


def _wait_for_others(others: Sequence[PodRecord], *, pod: PodRecord) -> CaseResult | None:
    """A tie for a pod that failed a comparison, or that another leader shut, while one that can tell is not heard."""
    if pod.audit_report is not None:
        unheard = _list_unheard(others) if pod.failed_cases & {COMPARISON, TIE} else []
    else:
        was_shut = pod.report is not None and pod.report.verdict is GateState.FAILED and not pod.ref.is_ready
        unheard = [other for other in _list_unheard(others) if was_shut and other.ref.is_ready]
    for other in unheard:
        words = f"it failed before, and pod {other.ref.name}, which it is compared with, has not answered yet"
        return CaseResult(name=TIE, kind=KIND, passed=False, detail=words)
    return None


def _list_unheard(others: Iterable[PodRecord]) -> Sequence[PodRecord]:
    """Those that have not answered yet, and may: one answer that is lost is no silence."""
    return [other for other in others if other.audit_report is None and not _is_silent(other)]


def _is_silent(pod: PodRecord) -> bool:
    silence = pod.failures.get(Topic.AUDIT)
    return silence is not None and silence.is_told


def _compare(answers: Sequence[AnswerValues], *, group: _Group, task: Task) -> CaseResult:
    """The first that differs, else the first."""
    what = f"pod {group.name} and this one"
    pairs = zip(answers, group.answers, strict=True)
    results = [compare_answers(REPLICAS, mine, theirs.read(), task=task, what=what) for mine, theirs in pairs]
    return min(results, key=lambda result: result.passed)


def _describe_tie(difference: CaseResult) -> CaseResult:
    words = "as many pods answer like the one as like the other, so a golden case or one more replica has to tell"
    return difference.model_copy(update={"name": TIE, "detail": f"{difference.detail}; {words}"})
