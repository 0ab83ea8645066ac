"""One table: every error's status, and each dialect's words for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from embedding_runtime import errors
from embedding_runtime.errors import RequestError
from embedding_runtime.http.messages import Response, json_response


@dataclass(frozen=True)
class Row:
    """`openai_type` fits the status: LiteLLM maps errors by this text, and "invalid_request_error" in the body of a
    429 would make it a bad request that nobody retries."""

    status: int
    openai_type: str
    code: str | None = None
    retry: bool = True  # False: the OpenAI SDK would retry this status in vain


TABLE: dict[type[RequestError], Row] = {
    errors.InvalidRequest: Row(400, "invalid_request_error"),
    errors.Unauthorized: Row(401, "authentication_error", "invalid_api_key"),
    errors.UnknownModel: Row(404, "invalid_request_error", "model_not_found"),
    errors.WrongTask: Row(400, "invalid_request_error", "wrong_task"),
    errors.UnknownRoute: Row(404, "invalid_request_error", "unknown_url"),
    errors.MethodNotAllowed: Row(405, "invalid_request_error", "method_not_allowed"),
    errors.SpaceMismatch: Row(412, "precondition_failed_error", "space_mismatch", retry=False),
    errors.MalformedRequest: Row(400, "invalid_request_error", "malformed_request"),
    errors.HeadTimeout: Row(408, "invalid_request_error", "head_timeout"),
    errors.HeadTooLarge: Row(431, "invalid_request_error", "head_too_large"),
    errors.BodyTimeout: Row(408, "invalid_request_error", "body_timeout"),
    errors.BodyTooLarge: Row(413, "invalid_request_error", "body_too_large"),
    errors.Overloaded: Row(429, "rate_limit_error", "overloaded"),
    errors.NotReady: Row(503, "service_unavailable_error", "not_ready"),
    errors.DeviceFailed: Row(503, "service_unavailable_error", "device_failed"),
    errors.DeadlineExceeded: Row(503, "service_unavailable_error", "deadline_exceeded"),
    errors.MemoryExhausted: Row(503, "service_unavailable_error", "memory_exhausted"),
    errors.NonFiniteOutput: Row(500, "server_error", "non_finite_output", retry=False),
    errors.TokenizerFailed: Row(500, "server_error", "tokenizer_failed", retry=False),
    errors.UnknownToken: Row(500, "server_error", "unknown_token", retry=False),
    errors.MissingEndToken: Row(500, "server_error", "missing_end_token", retry=False),
    errors.InferenceFailed: Row(500, "server_error", "inference_failed"),
}

INTERNAL = errors.InferenceFailed("An internal error; the server's log has the details.")

ErrorBody = Callable[[RequestError, Row], Mapping[str, object]]


Statuses = Mapping[type[RequestError], int]
ONE_TABLE: Statuses = {}


def find_row(kind: type[RequestError]) -> Row:
    return next(TABLE[named] for named in kind.__mro__ if named in TABLE)


def find_status(kind: type[RequestError], *, statuses: Statuses) -> int:
    """The dialect's own status for the nearest class of the error that it names, else the table's."""
    return next((statuses[named] for named in kind.__mro__ if named in statuses), find_row(kind).status)


def render(error: RequestError, *, bodies: Sequence[ErrorBody], statuses: Statuses = ONE_TABLE) -> Response:
    """`bodies` are the forms of an error: the first is the dialect's own, the others add the keys that it lacks.

    `statuses` are those in which the dialect differs from the table.
    """
    row = find_row(type(error))
    document: dict[str, object] = {}
    for body in reversed(bodies):
        document = {**document, **body(error, row)}
    response = json_response(document, status=find_status(type(error), statuses=statuses))
    headers: list[tuple[bytes, bytes]] = []
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(1, error.retry_after)).encode()))
    if not row.retry:
        headers.append((b"x-should-retry", b"false"))
    if isinstance(error, errors.MethodNotAllowed) and error.allowed:
        headers.append((b"allow", ", ".join(error.allowed).encode()))  # RFC 9110, 15.5.6
    if isinstance(error, errors.Unauthorized):
        headers.append((b"www-authenticate", b"Bearer"))
    return Response(status=response.status, body=response.body, headers=tuple(headers))
