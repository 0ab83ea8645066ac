"""TEI's truncation_direction: from which side a text that is too long is cut."""

from enum import StrEnum

from embedding_model.resolved import Side
from embedding_runtime.errors import InvalidRequest


class Direction(StrEnum):
    LEFT = "Left"
    RIGHT = "Right"


def require_direction(asked: Direction | None, *, side: Side) -> None:
    """Raises InvalidRequest for a cut from the other side than the served one: other numbers than were asked for."""
    if asked is not None and asked.value != side.value:
        raise InvalidRequest(
            f"truncation_direction: {side.value} is what this model is served with, {asked.value} came; leave it out.",
            param="truncation_direction",
        )
