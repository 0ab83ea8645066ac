"""Two vector spaces whose names would be the same: only ten of a fingerprint's hex digits fit into a name."""

from embedding_operator.api import names
from embedding_operator.api.reasons import Reason
from embedding_operator.judge.verdict import Verdict, stalled
from embedding_operator.observe.snapshot import Snapshot


def find_collision(snapshot: Snapshot, *, space: str) -> Verdict | None:
    """A Deployment or Service of another space with the name that one of `space` would have; it is never touched."""
    name = names.deployment_name(snapshot.key.name, fingerprint=space)
    for item in [*snapshot.children.deployments, *snapshot.children.services]:
        other = (item["metadata"].get("labels") or {}).get(names.LABEL_SPACE)
        if item["metadata"]["name"] == name and other is not None and other != space:
            kind = item["kind"]
            message = (
                f"{kind} {name} is of vector space {other}, and what is asked for gives {space}, whose name begins "
                f"with the same ten digits: it is not touched. Delete it if that space is needed no more (kubectl "
                f"delete {kind.lower()} {name}), or serve the new space from an EmbeddingModel of another name"
            )
            return stalled(Reason.CONFLICT, message)
    return None
