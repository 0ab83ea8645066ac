"""What a decision about the task consists of, and the refusals that all deciding rules share."""

from collections.abc import Container
from dataclasses import dataclass
from typing import NoReturn

from embedding_model.inspection.card import CARD_FILE, Card
from embedding_model.inspection.identified import Head
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence, Task

RANKING_TAG = "text-ranking"


@dataclass(frozen=True)
class Decision:
    """`head` is the one that serves the task; None for an embedder, which has none."""

    task: Task
    head: Head | None
    evidence: Evidence


def contradict_declared(task: Task | None, *, found: str, hint: str = "") -> NoReturn:
    """Raises Refusal(TASK_MISMATCH): the spec says one task, the files another."""
    raise Refusal(
        Reason.TASK_MISMATCH,
        f"task is {task}, but {found}{hint}. Set task to what the model is, or leave it out",
        field="task",
    )


def tag_overruled(card: Card, *, expected: Container[str]) -> tuple[str, ...]:
    """The card's pipeline_tag as a reading that lost, where it says something else."""
    if card.pipeline_tag is None or card.pipeline_tag in expected:
        return ()
    return (f"{card.pipeline_tag} ({CARD_FILE} pipeline_tag, weak)",)
