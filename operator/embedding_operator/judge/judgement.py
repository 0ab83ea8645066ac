"""All verdicts on one snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from embedding_model.goldens.cases import CaseSet
from embedding_operator.judge.case_set import CaseSetJudgement
from embedding_operator.judge.gate import Gate
from embedding_operator.judge.generations import Generation
from embedding_operator.judge.model import ModelJudgement
from embedding_operator.judge.quarantine import Quarantine
from embedding_operator.judge.reference import ReferenceJudgement
from embedding_operator.judge.traffic import Traffic
from embedding_operator.judge.verdict import Verdict


@dataclass(frozen=True)
class Judgement:
    """`generations` are those that exist or can be restored; `target` is the one that the spec asks for, None while
    that is not known, or not approved.

    `inputs`, `gate` and `rollout` speak of the target. `case_set` is None without cases, and without a known model.
    `pending` is the same of the space that waits for approval: its `model`, its `target` and so on are those of a
    generation that the model's Service does not select. `quarantine` is of the pods of all generations.
    """

    model: ModelJudgement
    generations: Mapping[str, Generation]
    traffic: Traffic
    cases: CaseSetJudgement | None = None
    target: Generation | None = None
    inputs: str | None = None
    collision: Verdict | None = None
    reference: ReferenceJudgement | None = None
    gate: Gate | None = None
    rollout: Verdict | None = None
    pending: "Judgement | None" = None
    quarantine: Quarantine = field(default_factory=Quarantine)

    @property
    def case_set(self) -> CaseSet | None:
        return self.cases.case_set if self.cases else None

    @property
    def kept_jobs(self) -> frozenset[str]:
        """Names of Jobs that stay as they are, though none is wished as it would be rendered today."""
        reference = self.reference.job if self.reference else None
        return frozenset(job.kept for job in (self.model.job, reference) if job is not None and job.kept)

    @property
    def serving(self) -> Generation | None:
        """The generation that the Service selects."""
        return self.generations.get(self.traffic.selected) if self.traffic.selected else None

    @property
    def asked(self) -> "Judgement":
        """What speaks of the generation that the spec asks for, be it approved or not."""
        return self.pending if self.pending is not None and self.target is None else self

    @property
    def all(self) -> Sequence["Judgement"]:
        """This one, and that of the pending space: whatever is done for a target is done for both."""
        return [self] if self.pending is None else [self, self.pending]
