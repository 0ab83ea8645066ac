"""What every HTTP client of a source needs: bounded bodies, failures of the network in words, and when to come back."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from embedding_model.refusal import Unavailable

_LONGEST_WAIT = 86_400.0  # seconds; what a server asks beyond a day is no rate limit
_RATE_LIMIT_RESET = re.compile(r"\bt=(\d+)")


def read_body(response: httpx.Response, *, limit: int) -> bytes:
    """At most `limit` bytes of the body, whose encoding was checked."""
    data = bytearray()
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) >= limit:
            break
    del data[limit:]
    return bytes(data)


def check_encoding(response: httpx.Response, *, server: str) -> None:
    """A compressed body was not asked for, and a few bytes of it can unpack to more than memory holds."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise Unavailable(
            f"{server} answered with the content encoding {encoding[:40]!r}; expected none, as was asked for. Is there"
            " a proxy in between that compresses?"
        )


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds to wait: Retry-After (RFC 9110 10.2.3, seconds or a date), else `t` of a hub's RateLimit header."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return min(float(value), _LONGEST_WAIT)
    if value:
        try:
            until = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return min(max(0.0, (until - (now or datetime.now(UTC))).total_seconds()), _LONGEST_WAIT)
    reset = _RATE_LIMIT_RESET.search(headers.get("ratelimit", ""))
    return min(float(reset.group(1)), _LONGEST_WAIT) if reset else None


@contextmanager
def network_errors(server: str) -> Iterator[None]:
    """Everything that keeps an answer from being read as Unavailable; `server` says in messages whose it is."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise Unavailable(f"{server} did not answer in time ({type(error).__name__})") from error
    except httpx.RequestError as error:
        raise Unavailable(f"{server} could not be read: {_cause(error)}") from error


@contextmanager
def redirect_errors(server: str) -> Iterator[None]:
    """A redirect to what is no URL, or to no possible host, as Unavailable: httpx raises these only when asked."""
    try:
        yield
    except (httpx.InvalidURL, UnicodeError) as error:
        raise Unavailable(f"{server} redirected to something that is no URL") from error


def _cause(error: httpx.RequestError) -> str:
    """The kind of failure and the operating system's words for it, never the URL (a signed URL is a credential)."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"{type(error).__name__}: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
