"""TEI's /embed_sparse: weights by index, queries of inference-free models, prompts, errors."""

from typing import Any

import numpy as np
import pytest
from runtime_under_test import PROMPTS, AppUnderTest, WordTokenizer, app_under_test, settings

from embedding_model.resolved import Pooling, Prompt, SparseHead, Task, TokenHead, TokenHeadKind
from embedding_runtime.backends.fake import FakeBackend, sparse_of
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import Output, SparseVector

SPLADE = SparseHead(pooling=Pooling.MAX, activation="relu")
TABLE = SPLADE.model_copy(update={"query_weights": "query/model.safetensors"})


def sparse_model(*, head: SparseHead = SPLADE, **changes: Any) -> Any:
    values = {"task": Task.SPARSE, "inspection": {"sparse": head}, "pooling": None, "normalize": None, **changes}
    return app_under_test(**values)


async def ask(runtime: AppUnderTest, inputs: Any, **more: Any) -> Any:
    return await runtime.client.post("/embed_sparse", json={"inputs": inputs, **more})


def expected(text: str, *, by_table: bool = False) -> list[dict[str, Any]]:
    [tokens] = WordTokenizer().encode([Text(text)])
    found = sparse_of(tokens.ids, by_table=by_table)
    pairs = zip(found.indices.tolist(), found.values.tolist(), strict=True)
    return [{"index": index, "value": value} for index, value in pairs]


async def test_a_text_and_a_list_are_lists_of_indices_with_their_weights() -> None:
    async with sparse_model() as runtime:
        single = (await ask(runtime, "hello hello world")).json()
        several = (await ask(runtime, ["other", "hello hello world"])).json()

    assert single == [expected("hello hello world")]
    assert several == [expected("other"), expected("hello hello world")]


async def test_a_prompt_is_chosen_by_its_name_or_by_the_kind_of_input() -> None:
    async with sparse_model() as runtime:
        by_name = (await ask(runtime, "hello", prompt_name="query")).json()
        by_type = (await ask(runtime, "hello", input_type="query")).json()
        unknown = await ask(runtime, "hello", prompt_name="nobody")

    assert by_name == by_type == [expected("query: hello")]
    assert (unknown.status_code, unknown.json()["error_type"]) == (422, "Validation")
    assert "query, document" in unknown.json()["error"]


async def test_the_default_prompt_applies_where_the_request_names_none() -> None:
    async with sparse_model(default_prompt="document") as runtime:
        assert (await ask(runtime, "hello")).json() == [expected("document: hello")]


@pytest.mark.parametrize("more", [{"prompt_name": "query"}, {"input_type": "query"}], ids=["name", "type"])
@pytest.mark.parametrize("prompts", [PROMPTS, ()], ids=["with prompts", "without"])
async def test_queries_of_an_inference_free_model_come_from_its_table(
    more: dict[str, str], prompts: tuple[Prompt, ...]
) -> None:
    async with sparse_model(head=TABLE, prompts=prompts, serve=settings(served_names=("words",))) as runtime:
        query = (await ask(runtime, "hello hello", **more)).json()
        document = (await ask(runtime, "hello hello", input_type="document")).json()
        neither = (await ask(runtime, "hello hello")).json()

    before = ("query: ", "document: ") if prompts else ("", "")
    assert query == [expected(f"{before[0]}hello hello", by_table=True)]
    assert document == [expected(f"{before[1]}hello hello")]
    assert neither == [expected("hello hello")]


async def test_queries_of_a_model_without_a_table_are_computed() -> None:
    async with sparse_model() as runtime:
        assert (await ask(runtime, "hello", input_type="query")).json() == [expected("query: hello")]


async def test_an_embedder_with_a_sparse_head_answers_too() -> None:
    head = TokenHead(kind=TokenHeadKind.SPARSE, file="sparse_linear.safetensors", output_dimensions=1)
    async with app_under_test(inspection={"token_heads": (head,)}) as runtime:
        answer = await ask(runtime, "hello hello")
    assert answer.json() == [expected("hello hello")]


async def test_an_embedder_without_one_is_asked_elsewhere() -> None:
    async with app_under_test() as runtime:
        response = await ask(runtime, "hello")
    assert (response.status_code, response.json()["error_type"]) == (424, "Backend")
    assert "POST /v1/embeddings" in response.json()["error"]


async def test_a_sparse_model_says_where_it_is_asked() -> None:
    async with sparse_model() as runtime:
        response = await runtime.embed(input="hello")
    assert response.status_code == 400
    assert "POST /embed_sparse" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("inputs", "status", "kind"),
    [
        pytest.param([], 400, "Empty", id="no input"),
        pytest.param([1], 422, "Validation", id="a number"),
        pytest.param([["secret"]], 422, "Validation", id="a nested list"),
        pytest.param({"text": "secret"}, 422, "Validation", id="an object"),
    ],
)
async def test_other_forms_are_refused_without_repeating_them(inputs: Any, status: int, kind: str) -> None:
    async with sparse_model() as runtime:
        response = await ask(runtime, inputs)
    assert (response.status_code, response.json()["error_type"]) == (status, kind)
    assert "secret" not in response.json()["error"]


async def test_what_is_too_long_is_cut_or_refused_as_the_request_says() -> None:
    async with sparse_model(tokenizer=WordTokenizer(max_tokens=2)) as runtime:
        cut = await ask(runtime, "one two three")
        refused = await ask(runtime, "one two three", truncate=False)
    assert cut.json() == [expected("one two")]
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")


class BrokenBackend(FakeBackend):
    def compute(self, batch: Any) -> list[Output]:
        broken = SparseVector(indices=np.array([3], dtype=np.int32), values=np.array([np.inf], dtype=np.float32))
        return [Output(sparse=broken) for _ in batch]


async def test_a_weight_that_is_no_number_is_an_error_and_no_answer() -> None:
    async with sparse_model(backend=BrokenBackend()) as runtime:
        response = await ask(runtime, "hello")
    assert (response.status_code, response.json()["error_type"]) == (424, "Backend")
    assert "NaN or infinity" in response.json()["error"]


class DenseBackend(FakeBackend):
    """Of a vocabulary whose every token has a weight."""

    def compute(self, batch: Any) -> list[Output]:
        indices = np.arange(2**22, dtype=np.int32)
        return [Output(sparse=SparseVector(indices=indices, values=np.ones(2**22, dtype=np.float32))) for _ in batch]


async def test_an_answer_that_would_fill_the_memory_is_refused() -> None:
    async with app_under_test(DenseBackend(), task=Task.SPARSE, inspection={"sparse": SPLADE}) as runtime:
        refused = await ask(runtime, ["one"] * 5)
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")
    assert "20971520 weights together" in refused.json()["error"]
