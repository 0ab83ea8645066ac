"""The statuses and bodies of Cohere's errors."""

import pytest

from embedding_runtime import errors
from embedding_runtime.http.cohere.routes import STATUSES, describe_error
from embedding_runtime.http.errors import TABLE, find_row, find_status

# Those that its SDKs have a class for, and those that they raise as a bare ApiError with the body.
_OF_THE_SDKS = {400, 401, 403, 404, 422, 429, 498, 499, 500, 501, 503, 504}
_BARE = {405, 408, 412, 413, 431}


@pytest.mark.parametrize("kind", sorted(TABLE, key=lambda kind: kind.__name__))
def test_every_error_has_a_message_an_id_and_a_status_of_this_dialect(kind: type[errors.RequestError]) -> None:
    error = kind("what went wrong")
    first, second = (describe_error(error, find_row(kind)) for _ in range(2))
    assert first["message"] == "what went wrong"
    assert set(first) == {"id", "message"}
    assert first["id"] != second["id"]
    assert find_status(kind, statuses=STATUSES) in _OF_THE_SDKS | _BARE


def test_a_deadline_is_a_gateways_timeout() -> None:
    assert find_status(errors.DeadlineExceeded, statuses=STATUSES) == 504
