"""TEI's /predict: what its clients send, and what they need back."""

from typing import Any

import numpy as np
import pytest
from runtime_under_test import AppUnderTest, WordTokenizer, app_under_test

from embedding_model.resolved import Activation, Task
from embedding_runtime.backends.fake import FakeBackend, vector_of
from embedding_runtime.core.classification import activate
from embedding_runtime.core.inputs import Pair, Text
from embedding_runtime.core.jobs import Output

LABELS = ("anger", "joy", "sadness")
CLASSIFIER = {
    "task": Task.CLASSIFICATION,
    "activation": Activation.SOFTMAX,
    "inspection": {"labels": LABELS, "activation": Activation.SOFTMAX},
}


def classifier(**changes: Any) -> Any:
    return app_under_test(FakeBackend(dimensions=3), **{**CLASSIFIER, **changes})


async def predict(runtime: AppUnderTest, inputs: Any, **more: Any) -> Any:
    return await runtime.client.post("/predict", json={"inputs": inputs, **more})


def logits(*texts: str) -> np.ndarray:
    item = Text(texts[0]) if len(texts) == 1 else Pair(*texts)
    [tokens] = WordTokenizer().encode([item])
    return vector_of(tokens.ids, dimensions=3)


async def test_one_text_is_one_list_of_labels_best_first() -> None:
    async with classifier() as runtime:
        answer = (await predict(runtime, "hello world")).json()

    scores = activate(logits("hello world")[None], activation=Activation.SOFTMAX)[0]
    assert [entry["label"] for entry in answer] == [LABELS[index] for index in np.argsort(-scores)]
    np.testing.assert_allclose([entry["score"] for entry in answer], np.sort(scores)[::-1], rtol=1e-6)
    assert sum(entry["score"] for entry in answer) == pytest.approx(1)


async def test_a_flat_list_of_two_is_a_pair_and_nested_lists_are_several() -> None:
    async with classifier() as runtime:
        single = (await predict(runtime, ["hello"])).json()
        pair = (await predict(runtime, ["hello", "world"], raw_scores=True)).json()
        nested = (await predict(runtime, [["hello"], ["hello", "world"]], raw_scores=True)).json()

    assert {entry["label"] for entry in single} == set(LABELS)
    assert nested[1] == pair
    assert len(nested) == 2
    np.testing.assert_allclose([entry["score"] for entry in pair], np.sort(logits("hello", "world"))[::-1], rtol=1e-6)


async def test_several_labels_at_once_do_not_compete() -> None:
    async with classifier(activation=Activation.SIGMOID) as runtime:
        answer = (await predict(runtime, "hello world")).json()

    expected = 1 / (1 + np.exp(-logits("hello world")))
    assert {entry["label"]: entry["score"] for entry in answer} == pytest.approx(
        dict(zip(LABELS, expected.tolist(), strict=True)), rel=1e-5
    )


async def test_outputs_without_names_are_numbered_as_transformers_numbers_them() -> None:
    async with classifier(inspection={"labels": ()}) as runtime:
        answer = (await predict(runtime, "hello")).json()
    assert {entry["label"] for entry in answer} == {"LABEL_0", "LABEL_1", "LABEL_2"}


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(["a", "b", "secret"], id="three texts in a row"),
        pytest.param([["a"], ["a", "b", "secret"]], id="three texts in an entry"),
        pytest.param([["a"], []], id="an empty entry"),
        pytest.param([["a"], "secret"], id="a text between lists"),
        pytest.param([1, 2], id="numbers"),
        pytest.param([[True]], id="a boolean"),
        pytest.param({"text": "secret"}, id="an object"),
    ],
)
async def test_other_forms_are_refused_without_repeating_them(inputs: Any) -> None:
    async with classifier() as runtime:
        response = await predict(runtime, inputs)
    assert response.status_code == 422
    body = response.json()
    assert set(body) >= {"error", "error_type"}
    assert body["error_type"] == "Validation"
    assert "pair" in body["error"]
    assert "secret" not in body["error"]


async def test_no_input_is_teis_error_of_its_own() -> None:
    async with classifier() as runtime:
        response = await predict(runtime, [])
    assert (response.status_code, response.json()["error_type"]) == (400, "Empty")


async def test_what_is_too_long_is_cut_or_refused_as_the_request_says() -> None:
    async with classifier(tokenizer=WordTokenizer(max_tokens=2)) as runtime:
        cut = await predict(runtime, "one two three")
        refused = await predict(runtime, "one two three", truncate=False)
    assert cut.status_code == 200
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")


async def test_an_embedder_is_asked_elsewhere() -> None:
    async with app_under_test() as runtime:
        response = await predict(runtime, "hello")
    assert response.status_code == 424
    assert "POST /v1/embeddings" in response.json()["error"]


class BrokenBackend(FakeBackend):
    def compute(self, batch: Any) -> list[Output]:
        return [Output(dense=np.array([1, np.nan, 0], dtype=np.float32)) for _ in batch]


async def test_a_score_that_is_no_number_is_an_error_and_no_answer() -> None:
    async with app_under_test(BrokenBackend(dimensions=3), **CLASSIFIER) as runtime:
        response = await predict(runtime, "hello")
    assert (response.status_code, response.json()["error_type"]) == (424, "Backend")
    assert "NaN" in response.json()["error"]
