"""Why pods must not be called verified, whatever they answer: they serve without golden cases that are asked for.

Only under failurePolicy Warn: under Block such pods are not made, and those of before keep the verdict that they have.
"""

from collections.abc import Mapping

from embedding_operator.api.spec import FailurePolicy
from embedding_operator.judge.judgement import Judgement
from embedding_operator.observe.snapshot import Snapshot


def list_objections(snapshot: Snapshot, *, judgement: Judgement) -> Mapping[str, str] | None:
    """By space; None while the spec cannot be judged: then each pod keeps the verdict that it has."""
    spec = snapshot.spec
    if spec is not None and spec.verification.failure_policy is FailurePolicy.BLOCK:
        return {}
    found: dict[str, str] = {}
    judged = [part for part in judgement.all if part.target is not None]
    for part in judged:
        reference = part.reference
        if part.target and reference and reference.is_unavailable and reference.verdict:
            found[part.target.space] = reference.verdict.message
    return found if judged else None
