"""Jina's `task`: what the texts are for, and so which prompt is put before them."""

import re
from collections.abc import Mapping

from embedding_model.resolved import Serving
from embedding_runtime.core.prompts import AskedPrompt, InputType, choose_prompt
from embedding_runtime.errors import InvalidRequest

# Tasks of the vendor's models, and what they mean to a model that has no prompt of the task's own name.
_TASKS: Mapping[str, InputType | None] = {
    "retrieval.query": InputType.QUERY,
    "retrieval.passage": InputType.DOCUMENT,
    "text-matching": None,
    "classification": None,
    "clustering": None,
    "separation": None,
}

# Tasks of its models for code.
_CODE = re.compile(r"(code|nl2code|code2code|code2nl|code2completion|qa)\.(query|passage)")


def find_prompt(task: str, *, serving: Serving) -> str:
    """The text of the model's prompt of that name; else for retrieval its prompt for queries or documents, else none.

    Raises InvalidRequest for a task that neither the vendor nor the model knows.
    """
    named = serving.prompt(task)
    if named is not None:
        return named.text
    if task not in _TASKS and not _CODE.fullmatch(task):
        raise InvalidRequest(
            f"task: one of {', '.join(_TASKS)}, code.query, code.passage or the name of one of the model's prompts "
            "expected.",
            param="task",
        )
    input_type = _TASKS.get(task)
    return "" if input_type is None else choose_prompt(AskedPrompt(input_type=input_type), serving=serving)
