"""Many questions at once, and golden cases with their judgement."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from embedding_model.goldens.cases import GoldenCase
from embedding_model.goldens.compare import judge_case
from embedding_model.goldens.questions import Answer, Question, list_questions
from embedding_model.ports import CaseResult
from embedding_runtime.gate.asking import Ask

CONCURRENCY = 16  # cases under way at once: enough for batches to form, as they do in service

Asked = TypeVar("Asked")
Found = TypeVar("Found")


async def answer_cases(cases: Sequence[GoldenCase], *, ask: Ask) -> tuple[CaseResult, ...]:
    """One result per case, in their order. A case that has an error for an answer has failed, with the reason.

    Raises what `ask` raises.
    """

    async def answer(case: GoldenCase) -> CaseResult:
        return judge_case(case, await asyncio.gather(*(ask(question) for question in list_questions(case))))

    return await _answer_all(cases, answer=answer)


async def answer_questions(questions: Sequence[Question], *, ask: Ask) -> tuple[Answer, ...]:
    """One answer per question, in their order. Raises what `ask` raises."""
    return await _answer_all(questions, answer=ask)


async def _answer_all(asked: Sequence[Asked], *, answer: Callable[[Asked], Awaitable[Found]]) -> tuple[Found, ...]:
    limit = asyncio.Semaphore(CONCURRENCY)

    async def answer_one(one: Asked) -> Found:
        async with limit:
            return await answer(one)

    try:
        async with asyncio.TaskGroup() as group:  # what nobody waits for any more is not computed
            tasks = [group.create_task(answer_one(one)) for one in asked]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return tuple(task.result() for task in tasks)
