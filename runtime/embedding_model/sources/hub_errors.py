"""What the hub's error answers mean.

The hub names its errors in the header X-Error-Code (huggingface_hub `utils/_http.py: hf_raise_for_status`). Without a
token it answers 401 RepoNotFound for a repository that does not exist and for a private one alike, and it tells
everybody what files a gated repository has: only reading them gives 401 or 403 GatedRepo.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from embedding_model.refusal import Reason, Refusal, Unavailable

_RATE_LIMIT_RESET = re.compile(r"\bt=(\d+)")


@dataclass(frozen=True)
class Asked:
    """What a request asked for: named in every error."""

    hub: str
    repo: str
    revision: str
    path: str | None = None


def error_of(status: int, headers: Mapping[str, str], *, asked: Asked, now: datetime | None = None) -> Exception:
    """The exception for an answer of status >= 400: a Refusal, or an Unavailable where a later try may succeed."""
    code = headers.get("x-error-code", "")
    if status in (408, 425, 429) or status >= 500:
        return Unavailable(
            f"hub {asked.hub} answered {status} for {_subject(asked)}", retry_after=_retry_after(headers, now=now)
        )
    if code == "GatedRepo":
        return Refusal(
            Reason.ACCESS_DENIED,
            f"{asked.repo} is gated on {asked.hub}: reading it needs a token of an account that has accepted its terms"
            " there. The spec does not support tokens yet: serve the model from a volume, or from a mirror",
        )
    if status in (401, 403) and code != "RepoNotFound":
        return Refusal(
            Reason.ACCESS_DENIED,
            f"hub {asked.hub} denied access to {_subject(asked)} ({status}): it is private, disabled, or needs a token,"
            " and the spec does not support tokens yet; check the name, or serve the model from a volume or a mirror",
        )
    if code == "RevisionNotFound":
        return Refusal(
            Reason.REVISION_NOT_FOUND,
            f"{asked.repo} on {asked.hub} has no branch, tag or commit {asked.revision!r}; check the revision",
        )
    if code == "EntryNotFound" or (status in (404, 410) and asked.path is not None and code == ""):
        return Refusal(Reason.MISSING_FILE, f"hub {asked.hub} has no {_subject(asked)}")
    if status == 416:
        return Refusal(Reason.HASH_MISMATCH, f"hub {asked.hub} has fewer bytes of {_subject(asked)} than it listed")
    return Refusal(
        Reason.REPOSITORY_NOT_FOUND,
        f"hub {asked.hub} has no public model {asked.repo!r} (it answered {status}): check the name; a private"
        " repository looks the same from outside",
    )


def _subject(asked: Asked) -> str:
    file = f"/{asked.path}" if asked.path is not None else ""
    return f"{asked.repo}{file}@{asked.revision}"


def _retry_after(headers: Mapping[str, str], *, now: datetime | None) -> float | None:
    """Seconds to wait: Retry-After (RFC 9110 10.2.3, seconds or a date), else `t` of the hub's RateLimit header."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    if value:
        try:
            until = parsedate_to_datetime(value)
        except ValueError:
            return None
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
    reset = _RATE_LIMIT_RESET.search(headers.get("ratelimit", ""))
    return float(reset.group(1)) if reset else None
