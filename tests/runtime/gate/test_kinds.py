"""Golden cases of every kind, asked through the serving path of a model of their task."""

from collections.abc import Sequence

import pytest
from runtime_under_test import AppUnderTest, app_under_test, settings
from served_tasks import SERVED, fake_backend

from embedding_model.goldens.cases import GoldenCase, LabelCase, RankingCase, ScoreCase, SparseCase, Term
from embedding_model.goldens.questions import Question, QuestionKind
from embedding_model.resolved import Pooling, SparseHead, Task
from embedding_runtime.gate import answer_cases, ask_app

QUERY, DOCUMENTS = "hello", ("world", "hello world", "another text")
TEXT = "hello world hello"


async def judge(runtime: AppUnderTest, *cases: GoldenCase) -> list[bool]:
    return [result.passed for result in await answer_cases(cases, ask=ask_app(runtime.app))]


async def scores_of(runtime: AppUnderTest) -> Sequence[float]:
    """As a client of the server reads them, in the order of the documents."""
    answer = await runtime.client.post("/rerank", json={"query": QUERY, "texts": list(DOCUMENTS)})
    return [entry["score"] for entry in sorted(answer.json(), key=lambda entry: entry["index"])]


async def test_the_order_of_documents() -> None:
    async with app_under_test(fake_backend(Task.RERANKING), task=Task.RERANKING, **SERVED[Task.RERANKING]) as runtime:
        scores = await scores_of(runtime)
        order = tuple(sorted(range(3), key=lambda number: -scores[number]))
        case = RankingCase(name="order", query=QUERY, documents=DOCUMENTS, order=order, min_gap="0")
        turned = case.model_copy(update={"order": order[::-1]})
        gap = min(scores[order[0]] - scores[order[1]], scores[order[1]] - scores[order[2]])
        wide = case.model_copy(update={"min_gap": f"{gap + 0.01:.6f}"})
        assert await judge(runtime, case, turned, wide) == [True, False, False]


async def test_the_score_of_a_document_behind_the_served_activation() -> None:
    async with app_under_test(fake_backend(Task.RERANKING), task=Task.RERANKING, **SERVED[Task.RERANKING]) as runtime:
        score = (await scores_of(runtime))[1]
        case = ScoreCase(
            name="score", query=QUERY, document=DOCUMENTS[1], expected=f"{score:.6f}", tolerance="0.000002"
        )
        off = case.model_copy(update={"expected": f"{score + 0.01:.6f}"})
        assert 0 < score < 1
        assert await judge(runtime, case, off) == [True, False]


async def test_the_best_label_and_its_score() -> None:
    served = SERVED[Task.CLASSIFICATION]
    async with app_under_test(fake_backend(Task.CLASSIFICATION), task=Task.CLASSIFICATION, **served) as runtime:
        best, second, _ = (await runtime.client.post("/predict", json={"inputs": TEXT})).json()
        case = LabelCase(name="best", input=TEXT, label=best["label"])
        wrong = case.model_copy(update={"label": second["label"]})
        scored = case.model_copy(update={"expected": f"{best['score']:.6f}", "tolerance": "0.000002"})
        off = scored.model_copy(update={"expected": f"{best['score'] - 0.01:.6f}"})
        assert await judge(runtime, case, wrong, scored, off) == [True, False, True, False]


async def terms_of(runtime: AppUnderTest, *, prompt: str | None = None) -> dict[str, float]:
    answer = await ask_app(runtime.app)(Question(kind=QuestionKind.SPARSE, text=TEXT, prompt=prompt))
    assert answer.error is None
    assert answer.terms is not None
    return {entry.term: entry.weight for entry in answer.terms}


async def test_the_heaviest_terms_by_the_tokenizers_own_writing() -> None:
    async with app_under_test(fake_backend(Task.SPARSE), task=Task.SPARSE, **SERVED[Task.SPARSE]) as runtime:
        found = await terms_of(runtime)
        terms = tuple(Term(term=name, weight=f"{weight:.6f}") for name, weight in found.items())
        case = SparseCase(name="terms", input=TEXT, terms=terms, tolerance="0.001")
        heavier = case.model_copy(update={"terms": (terms[0].model_copy(update={"weight": "9"}), *terms[1:])})
        renamed = case.model_copy(update={"terms": (terms[0].model_copy(update={"term": "goodbye"}), *terms[1:])})
        assert list(found.values()) == [2.5, 1.5]
        assert await judge(runtime, case, heavier, renamed) == [True, False, False]
        assert runtime.app.loaded.tokenizer.name_ids([0, 1, 2, 7]) == ["[UNK]", "hello", "world", "[7]"]


async def test_a_prompt_of_a_sparse_case_is_put_before_its_text() -> None:
    async with app_under_test(fake_backend(Task.SPARSE), task=Task.SPARSE, **SERVED[Task.SPARSE]) as runtime:
        plain, prompted = await terms_of(runtime), await terms_of(runtime, prompt="query")
        unknown = await ask_app(runtime.app)(Question(kind=QuestionKind.SPARSE, text=TEXT, prompt="none"))
    assert len(prompted) == len(plain) + 1
    assert "no prompt of that name" in str(unknown.error)


async def test_a_query_of_a_model_with_a_table_is_weighted_by_it() -> None:
    head = SparseHead(pooling=Pooling.MAX, activation="relu", query_weights="table.json")
    served = {**SERVED[Task.SPARSE], "inspection": {"sparse": head}}
    backend, serve = fake_backend(Task.SPARSE), settings(served_names=("words",))
    async with app_under_test(backend, serve=serve, task=Task.SPARSE, prompts=(), **served) as runtime:
        assert set((await terms_of(runtime, prompt="query")).values()) == {1.0}
        assert set((await terms_of(runtime)).values()) == {1.5, 2.5}


@pytest.mark.parametrize("case", [RankingCase(name="r", query="q", documents=("a", "b"), order=(0, 1), min_gap="0")])
async def test_a_case_of_another_task_fails_with_the_path_that_the_task_has(case: GoldenCase) -> None:
    async with app_under_test() as runtime:
        [result] = await answer_cases([case], ask=ask_app(runtime.app))
    assert not result.passed
    assert "POST /v1/embeddings" in result.detail
