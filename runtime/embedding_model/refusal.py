"""The one exception for "this model cannot be served as asked", with a reason that programs can read.

Refusal          a model, a file or an override that cannot be served; retrying does not help
Unavailable      a source that could not be asked just now; retrying may help
"""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class Reason(StrEnum):
    """Why a model is refused. Stable: used in conditions, exit messages and Job results."""

    MISSING_FILE = "MissingFile"
    INVALID_FILE = "InvalidFile"
    UNSAFE_PATH = "UnsafePath"
    TOO_LARGE = "TooLarge"
    HASH_MISMATCH = "HashMismatch"
    UNSUPPORTED_FORMAT = "UnsupportedFormat"
    PICKLE_ONLY = "PickleOnly"
    ADAPTER_ONLY = "AdapterOnly"
    UNSUPPORTED_ARCHITECTURE = "UnsupportedArchitecture"
    REMOTE_CODE_REQUIRED = "RemoteCodeRequired"
    NOT_AN_EMBEDDING_MODEL = "NotAnEmbeddingModel"
    INCOMPLETE_WEIGHTS = "IncompleteWeights"
    UNEXPECTED_WEIGHTS = "UnexpectedWeights"
    CONTRADICTORY_EVIDENCE = "ContradictoryEvidence"
    AMBIGUOUS_TASK = "AmbiguousTask"
    TASK_MISMATCH = "TaskMismatch"
    INVALID_OVERRIDE = "InvalidOverride"
    INVALID_GOLDEN = "InvalidGolden"
    INVALID_AUTH = "InvalidAuth"
    REPOSITORY_NOT_FOUND = "RepositoryNotFound"
    REVISION_NOT_FOUND = "RevisionNotFound"
    ACCESS_DENIED = "AccessDenied"
    MIRROR_NOT_FOUND = "MirrorNotFound"
    IMAGE_NOT_FOUND = "ImageNotFound"
    REGISTRY_NOT_ALLOWED = "RegistryNotAllowed"
    CONVERSION_FAILED = "ConversionFailed"
    DEVICE_UNAVAILABLE = "DeviceUnavailable"


class RefusalDocument(BaseModel):
    """The JSON form of a refusal: a Job's result, a container's termination message, `inspect -o json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason
    message: str
    field: str | None = None


class Refusal(Exception):
    """A model that cannot be served as asked.

    `message` says what was expected, what was found and what to do; `field` is the spec field that settles it.
    """

    def __init__(self, reason: Reason, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field

    def document(self) -> RefusalDocument:
        return RefusalDocument(reason=self.reason, message=self.message, field=self.field)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self.reason, self.message, self.field))


def _rebuild(reason: Reason, message: str, field: str | None) -> Refusal:
    return Refusal(reason, message, field=field)


class Unavailable(Exception):
    """A source that could not be asked just now (hub down, timeout, 429, 5xx).

    `retry_after` is in seconds, when the source named one.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
