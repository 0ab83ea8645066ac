"""What the hub's error answers mean.

The hub names its errors in the header X-Error-Code (huggingface_hub `utils/_http.py: hf_raise_for_status`). Without a
token it answers 401 RepoNotFound for a repository that does not exist and for a private one alike, and it tells
everybody what files a gated repository has: only reading them gives 401 or 403 GatedRepo.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.sources.answers import retry_after

TOKEN_FIELD = "model.huggingFace.tokenSecretRef"  # noqa: S105 - a field's name, not a secret

_GIVE_TOKEN = f"for one that needs a token set {TOKEN_FIELD}"
_ACCEPT = "the account of the token that was given has not"
_DENIED_TOKEN = "the token is unknown there, has ended, or may not read this repository; renew the Secret's token"  # noqa: S105


@dataclass(frozen=True)
class Asked:
    """What a request asked for: named in every error."""

    hub: str
    repo: str
    revision: str
    path: str | None = None


def error_of(
    status: int,
    headers: Mapping[str, str],
    *,
    asked: Asked,
    authenticated: bool = False,
    now: datetime | None = None,
) -> Exception:
    """The exception for an answer of status >= 400: a Refusal, or an Unavailable where a later try may succeed.

    `authenticated` says whether a token was sent: it decides what the reader is told to do.
    """
    code = headers.get("x-error-code", "")
    if status in (408, 425, 429) or status >= 500:
        return Unavailable(
            f"hub {asked.hub} answered {status} for {_subject(asked)}", retry_after=retry_after(headers, now=now)
        )
    if code == "GatedRepo":
        return Refusal(
            Reason.ACCESS_DENIED,
            f"{asked.repo} is gated on {asked.hub}: reading it needs a token of an account that has accepted its terms"
            f" there; {_ACCEPT if authenticated else _GIVE_TOKEN}",
            field=TOKEN_FIELD,
        )
    if status in (401, 403) and code != "RepoNotFound":
        return Refusal(
            Reason.ACCESS_DENIED,
            f"hub {asked.hub} denied access to {_subject(asked)} ({status}):"
            f" {_DENIED_TOKEN if authenticated else f'it is private, disabled, or needs a token; {_GIVE_TOKEN}'}",
            field=TOKEN_FIELD,
        )
    if code == "RevisionNotFound":
        return Refusal(
            Reason.REVISION_NOT_FOUND,
            f"{asked.repo} on {asked.hub} has no branch, tag or commit {asked.revision!r}; check the revision",
            field="model.huggingFace.revision",
        )
    if code == "EntryNotFound" or (status in (404, 410) and asked.path is not None and code == ""):
        return Refusal(Reason.MISSING_FILE, f"hub {asked.hub} has no {_subject(asked)}")
    if status == 416:
        return Refusal(Reason.HASH_MISMATCH, f"hub {asked.hub} has fewer bytes of {_subject(asked)} than it listed")
    return Refusal(
        Reason.REPOSITORY_NOT_FOUND,
        f"hub {asked.hub} has no model {asked.repo!r} that {'this token' if authenticated else 'everybody'} may see (it"
        f" answered {status}): check the name; a private repository looks the same"
        f"{'' if authenticated else f', and {_GIVE_TOKEN}'}",
        field="model.huggingFace.repo",
    )


def _subject(asked: Asked) -> str:
    file = f"/{asked.path}" if asked.path is not None else ""
    return f"{asked.repo}{file}@{asked.revision}"
