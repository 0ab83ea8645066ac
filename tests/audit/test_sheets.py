"""Questions in sheets, and what is drawn from a holdout set."""

from random import Random

from audited_pods import SERVING, cases
from hypothesis import given
from hypothesis import strategies as st

from embedding_model.goldens.questions import Question, QuestionKind
from embedding_model.ports import MAX_QUESTION_BYTES, MAX_QUESTIONS
from embedding_model.resolved import Serving, Task
from embedding_operator.audit.checks import list_checks
from embedding_operator.audit.client import MAX_SHEET_BYTES
from embedding_operator.audit.sheets import (
    HOLDOUT_CASES,
    SHEET_ANSWER_BYTES,
    SHEET_QUESTION_BYTES,
    SHEET_QUESTIONS,
    draw_holdout,
    split_sheets,
)
from embedding_runtime.reference.texts import choose_texts

HOLDOUT = cases(*(f"held.{number}" for number in range(20)))


def question(text: str) -> Question:
    return Question(kind=QuestionKind.EMBED, text=text)


@given(st.lists(st.integers(0, 300_000), max_size=60))
def test_sheets_hold_every_question_once_in_order_and_within_bounds(sizes: list[int]) -> None:
    questions = [question("x" * size) for size in sizes]
    sheets = list(split_sheets(questions, serving=SERVING))
    assert [item for sheet in sheets for item in sheet.questions] == questions
    for sheet in sheets:
        assert 0 < len(sheet.questions) <= SHEET_QUESTIONS
        size = sum(len(item.text) for item in sheet.questions)
        assert size <= SHEET_QUESTION_BYTES or len(sheet.questions) == 1


def test_wide_vectors_share_a_sheet_only_as_far_as_the_answer_is_read() -> None:
    wide = Serving(task=Task.EMBEDDING, dimensions=100_000, max_input_tokens=512, lowercase=False)
    sheets = list(split_sheets([question(str(number)) for number in range(20)], serving=wide))
    assert {len(sheet.questions) for sheet in sheets} == {6, 2}
    assert SHEET_ANSWER_BYTES < MAX_SHEET_BYTES


def test_what_a_reference_set_has_asked_is_one_sheet() -> None:
    serving = SERVING.model_copy(update={"max_input_tokens": 512})
    goldens, holdout = choose_texts(max_input_tokens=512)
    texts = [item.text for item in (*goldens, *holdout[:HOLDOUT_CASES])]
    questions = [*list_checks(serving).together, *map(question, texts)]
    assert len(list(split_sheets(questions, serving=serving))) == 1


def test_a_pod_takes_a_sheet_of_the_largest_size() -> None:
    assert SHEET_QUESTIONS <= MAX_QUESTIONS
    assert SHEET_QUESTION_BYTES < MAX_QUESTION_BYTES


@given(st.integers(0, 2**32), st.sets(st.sampled_from([case.name for case in HOLDOUT.cases]), max_size=12))
def test_a_draw_has_six_cases_by_chance_and_up_to_six_that_failed_before(seed: int, suspects: set[str]) -> None:
    drawn = [case.name for case in draw_holdout(HOLDOUT, suspects=suspects, rng=Random(seed))]
    asked_again = min(len(suspects), HOLDOUT_CASES)
    assert len(drawn) == len(set(drawn)) == HOLDOUT_CASES + asked_again
    assert len(suspects & set(drawn)) >= asked_again
    assert drawn == [case.name for case in HOLDOUT.cases if case.name in drawn]


def test_every_case_comes_up_in_time() -> None:
    rng = Random(1)
    seen = {case.name for _ in range(30) for case in draw_holdout(HOLDOUT, suspects=(), rng=rng)}
    assert seen == {case.name for case in HOLDOUT.cases}


def test_a_small_holdout_is_drawn_whole_and_none_gives_none() -> None:
    assert len(draw_holdout(cases("a", "b"), suspects=(), rng=Random(1))) == 2
    assert draw_holdout(cases(), suspects=(), rng=Random(1)) == ()
