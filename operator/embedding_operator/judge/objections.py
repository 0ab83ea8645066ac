"""Which spaces' pods go without golden cases of the reference implementation, and whether they must say so.

A pod serves without them where failurePolicy is, or was, Warn and they could not be computed. It stays unverified for
as long as it serves so, whatever is asked for meanwhile (`audits.list_audits`): only `reference: Off` has nothing to
be missed.
"""

from collections.abc import Mapping

from embedding_operator.api.verification_spec import ReferencePolicy
from embedding_operator.judge.judgement import Judgement
from embedding_operator.observe.snapshot import Snapshot


def list_objections(snapshot: Snapshot, *, judgement: Judgement) -> Mapping[str, bool]:
    """Of the spaces that the spec asks for: True where the set cannot be computed, False where none is asked for. Of
    any other nobody can say: there each pod keeps the verdict that it has."""
    spec = snapshot.spec
    found: dict[str, bool] = {}
    for part in judgement.all:
        if spec is None or part.target is None or part.reference is None:
            continue
        if spec.verification.reference is ReferencePolicy.OFF:
            found[part.target.space] = False
        elif part.reference.is_unavailable:
            found[part.target.space] = True
    return found
