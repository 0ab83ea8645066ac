"""What a registry's error answers mean (OCI distribution specification, "Error Codes")."""

from collections.abc import Mapping

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.sources.answers import retry_after
from embedding_model.sources.registry.reference import FIELD, Reference


def error_of(status: int, headers: Mapping[str, str], *, reference: Reference, what: str) -> Exception:
    """The exception for an answer of status >= 400: a Refusal, or an Unavailable where a later try may succeed."""
    if status in (408, 425, 429) or status >= 500:
        return Unavailable(
            f"registry {reference.registry} answered {status} for {what} of {reference.repository}",
            retry_after=retry_after(headers),
        )
    if status in (401, 403):
        return access_denied(reference, f"it answered {status}")
    if status == 416:
        return Refusal(
            Reason.HASH_MISMATCH, f"registry {reference.registry} has fewer bytes of {what} than its manifest says"
        )
    return Refusal(
        Reason.IMAGE_NOT_FOUND,
        f"registry {reference.registry} has no {what} of {reference.repository} (it answered {status}); check"
        f" repository and digest: {reference}",
        field=FIELD,
    )


def access_denied(reference: Reference, detail: str) -> Refusal:
    return Refusal(
        Reason.ACCESS_DENIED,
        f"registry {reference.registry} denied access to {reference.repository} ({detail}): it does not exist, or"
        " needs credentials; name a pull secret with an entry for this registry whose account may read it",
    )
