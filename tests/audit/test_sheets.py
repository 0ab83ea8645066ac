"""Questions in sheets, and what is drawn from a holdout set."""

from collections import Counter
from collections.abc import Sequence
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
    MAX_DRAWN,
    SHEET_ANSWER_BYTES,
    SHEET_QUESTION_BYTES,
    SHEET_QUESTIONS,
    draw_holdout,
    split_sheets,
)
from embedding_runtime.reference.texts import choose_texts

HOLDOUT = cases(*(f"held.{number}" for number in range(20)))
HELD = [case.name for case in HOLDOUT.cases]


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


failures = st.sets(st.sampled_from(HELD), max_size=MAX_DRAWN)


@given(st.integers(0, 2**32), failures, st.lists(failures, max_size=8))
def test_a_draw_has_all_that_the_pod_failed_some_that_others_failed_and_some_by_chance(
    seed: int, failed: set[str], suspects: list[set[str]]
) -> None:
    drawn = draw(failed=failed, suspects=suspects, rng=Random(seed))
    asked_again = max(len(failed), min(HOLDOUT_CASES, len(failed.union(*suspects))))
    assert len(drawn) == len(set(drawn)) == min(MAX_DRAWN, asked_again + HOLDOUT_CASES)
    assert failed <= set(drawn)
    assert len(failed.union(*suspects) & set(drawn)) >= asked_again
    assert drawn == [name for name in HELD if name in drawn]


def test_what_a_pod_goes_on_failing_is_never_more_than_a_draw() -> None:
    """A pod that fails everything is asked no more from audit to audit, and always all that it failed."""
    rng, failed = Random(1), set[str]()
    for _ in range(10):
        drawn = set(draw(failed=failed, suspects=[set(HELD)], rng=rng))
        assert failed <= drawn
        assert len(drawn) <= MAX_DRAWN
        failed = drawn


@given(st.integers(0, 2**32), st.lists(st.sampled_from(HELD), max_size=HOLDOUT_CASES - 1))
def test_of_each_pod_that_failed_a_case_is_asked_however_much_the_others_fail(seed: int, single: list[str]) -> None:
    suspects = [set(HELD), *({name} for name in single)]
    drawn = draw(failed=set(), suspects=suspects, rng=Random(seed))
    assert set(single) <= set(drawn)


def test_what_another_pod_failed_comes_up_as_often_wherever_it_stands_in_the_set() -> None:
    rng, draws, suspected = Random(1), 300, set(HELD[:12])
    seen = Counter(name for _ in range(draws) for name in draw(failed=set(), suspects=[suspected], rng=rng))
    shares = [seen[name] / draws for name in sorted(suspected)]
    assert min(shares) > 0.6
    assert max(shares) < 0.8


def test_every_case_comes_up_in_time() -> None:
    rng = Random(1)
    seen = {name for _ in range(30) for name in draw(failed=set(), suspects=(), rng=rng)}
    assert seen == set(HELD)


def test_a_small_holdout_is_drawn_whole_and_none_gives_none() -> None:
    assert len(draw_holdout(cases("a", "b"), failed=(), suspects=(), rng=Random(1))) == 2
    assert draw_holdout(cases(), failed={"gone"}, suspects=[{"check.norm"}], rng=Random(1)) == ()


def draw(*, failed: set[str], suspects: Sequence[set[str]], rng: Random) -> list[str]:
    return [case.name for case in draw_holdout(HOLDOUT, failed=failed, suspects=suspects, rng=rng)]
