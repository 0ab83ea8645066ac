"""What the child says when it is done. What it read may have taken it over, so this is hostile input too."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from embedding_model.resolved import Document

REPORT_BYTES = 64 * 1024
MOST_NAMES = 20
NAME_CHARACTERS = 200

Name = Annotated[str, StringConstraints(max_length=NAME_CHARACTERS)]


class Problem(StrEnum):
    """Why there is no result."""

    UNPROTECTED = "Unprotected"  # the process could not be shut in
    NOT_ONLY_TENSORS = "NotOnlyTensors"  # the pickle names something that weights_only does not load
    DAMAGED = "Damaged"
    NO_STATE_DICT = "NoStateDict"
    UNSUPPORTED_TENSOR = "UnsupportedTensor"  # a dtype or layout that safetensors does not hold
    TOO_MUCH_MEMORY = "TooMuchMemory"
    TOO_LARGE = "TooLarge"  # the tensors are larger than the pickle can justify
    BROKEN = "Broken"  # an error of ours


class ChildReport(Document):
    """Either `problem` (with `detail`, in the pickle's own words) or what was left out of the result.

    `tied` names tensors that are the same memory as another that was kept, `dropped` values that are no tensors, each
    at most MOST_NAMES of them; the counts are whole. `unwrapped` is the key under which the tensors were found.
    """

    problem: Problem | None = None
    detail: Annotated[str, StringConstraints(max_length=1000)] = ""
    tensors: int = Field(default=0, ge=0)
    tied: tuple[Name, ...] = Field(default=(), max_length=MOST_NAMES)
    tied_count: int = Field(default=0, ge=0)
    dropped: tuple[Name, ...] = Field(default=(), max_length=MOST_NAMES)
    dropped_count: int = Field(default=0, ge=0)
    unwrapped: Name | None = None

    @model_validator(mode="after")
    def _has_something(self) -> Self:
        if self.problem is None and self.tensors == 0:
            raise ValueError("a report without a problem counts at least one tensor")
        return self
