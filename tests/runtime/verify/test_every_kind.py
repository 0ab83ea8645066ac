"""Golden cases of every kind, verified against a folder and against a server, told apart by one value.

What is expected comes from transformers or from the plain answers of the routes, never from the code that judges.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from click.testing import CliRunner
from runtime_under_test import AppUnderTest, app_under_test
from served_tasks import SERVED, fake_backend
from transformers import AutoModelForMaskedLM, AutoTokenizer

from embedding_model.goldens.parse import parse_cases
from embedding_model.ports import CaseResult
from embedding_model.resolved import Activation, Declared, Task
from embedding_runtime.commands.verify import verify
from embedding_runtime.core.vocabulary import Vocabulary
from embedding_runtime.folder_vocabulary import read_folder_vocabulary
from embedding_runtime.server_check import check_server
from localcluster.hub.demo_models import fetch_splade_tiny

QUERY, DOCUMENTS = "how do pods restart", ["a group of containers", "a whale in the sea", "the kubelet restarts a pod"]
TEXT = "the cat sat on the mat while the kettle boiled"
Written = Mapping[str, Any]


async def check(runtime: AppUnderTest, *written: Written, vocabulary: Vocabulary | None = None) -> Sequence[CaseResult]:
    cases = parse_cases(written, task=None, min_cosine_similarity="0.999", dimensions=None, prompt_names=None)
    transport = httpx.ASGITransport(app=runtime.app)
    return await check_server("http://runtime", cases=cases, name=None, vocabulary=vocabulary, transport=transport)


def test_scores_of_a_server_are_verified() -> None:
    async def scenario() -> None:
        async with app_under_test(
            fake_backend(Task.RERANKING), task=Task.RERANKING, **SERVED[Task.RERANKING]
        ) as runtime:
            found = (await runtime.client.post("/rerank", json={"query": QUERY, "texts": DOCUMENTS})).json()
            order, scores = [entry["index"] for entry in found], [entry["score"] for entry in found]
            gap = min(better - worse for better, worse in pairwise(scores)) / 2
            ranking = {"query": QUERY, "documents": DOCUMENTS, "order": order, "minGap": f"{gap:.9f}"}
            best = DOCUMENTS[order[0]]
            score = {"query": QUERY, "document": best, "expected": f"{scores[0]:.6f}", "tolerance": "0.0001"}
            right = await check(runtime, {"name": "order", "ranking": ranking}, {"name": "score", "score": score})
            wrong = await check(
                runtime,
                {"name": "order", "ranking": {**ranking, "order": order[::-1]}},
                {"name": "score", "score": {**score, "expected": f"{scores[0] + 0.001:.6f}"}},
            )
        assert [result.passed for result in right] == [True, True]
        assert [result.passed for result in wrong] == [False, False]
        assert "are in the wrong order" in wrong[0].detail

    asyncio.run(scenario())


def test_scores_through_another_activation_than_the_served_one_are_not_taken_for_it() -> None:
    """Clients get sigmoids of this runtime, golden cases hold what is served."""
    found: dict[Activation, CaseResult] = {}
    score = {"query": QUERY, "document": DOCUMENTS[0], "tolerance": "0.0001"}

    async def scenario(activation: Activation) -> None:
        task = Task.RERANKING
        inspection = {**SERVED[task]["inspection"], "activation": activation}
        async with app_under_test(
            fake_backend(task), task=task, activation=activation, inspection=inspection
        ) as runtime:
            body = {"query": QUERY, "texts": DOCUMENTS[:1], "raw_scores": True}
            [logit] = (await runtime.client.post("/rerank", json=body)).json()
            case = {"name": "score", "score": {**score, "expected": f"{logit['score']:.6f}"}}
            [found[activation]] = await check(runtime, case)

    for activation in (Activation.IDENTITY, Activation.TANH):
        asyncio.run(scenario(activation))
    assert found[Activation.IDENTITY].passed, found[Activation.IDENTITY].detail
    assert not found[Activation.TANH].passed
    assert "give --model, the folder, and leave --url out" in found[Activation.TANH].detail


def test_labels_of_a_server_are_verified() -> None:
    async def scenario() -> None:
        task = Task.CLASSIFICATION
        async with app_under_test(fake_backend(task), task=task, **SERVED[task]) as runtime:
            best, other, _ = (await runtime.client.post("/predict", json={"inputs": TEXT})).json()
            label = {"input": TEXT, "label": best["label"], "expected": f"{best['score']:.6f}", "tolerance": "0.0001"}
            [right] = await check(runtime, {"name": "mood", "label": label})
            [wrong] = await check(runtime, {"name": "mood", "label": {"input": TEXT, "label": other["label"]}})
        assert right.passed
        assert not wrong.passed
        assert wrong.detail.startswith(f'the best label is "{best["label"]}"')

    asyncio.run(scenario())


def test_a_prompt_of_a_server_is_asked_by_its_name() -> None:
    async def scenario() -> None:
        async with app_under_test() as runtime:
            answer = await runtime.embed(input=TEXT, encoding_format="base64", prompt_name="query")
            case = {"name": "prompted", "input": TEXT, "vector": answer.json()["data"][0]["embedding"]}
            [right] = await check(runtime, {**case, "prompt": "query"})
            [wrong] = await check(runtime, {**case, "prompt": "document"})
            [unknown] = await check(runtime, {**case, "prompt": "other"})
        assert right.passed
        assert "is below 0.999" in wrong.detail
        assert unknown.detail.startswith("answered with status 400")

    asyncio.run(scenario())


@pytest.fixture(scope="module")
def splade() -> Path:
    return fetch_splade_tiny()


@pytest.fixture(scope="module")
def terms(splade: Path) -> list[dict[str, str]]:
    """The heaviest terms by transformers: the largest log1p(relu(logit)) of any position (SPLADE)."""
    tokenizer, model = AutoTokenizer.from_pretrained(splade), AutoModelForMaskedLM.from_pretrained(splade)
    with torch.no_grad():
        logits = model(**tokenizer(TEXT, return_tensors="pt")).logits[0]
    heaviest = torch.log1p(torch.relu(logits)).amax(dim=0).topk(8)
    tokens = tokenizer.convert_ids_to_tokens(heaviest.indices.tolist())
    return [{"term": token, "weight": f"{weight:.6f}"} for token, weight in zip(tokens, heaviest.values, strict=True)]


def sparse_case(terms: Sequence[Mapping[str, str]]) -> Written:
    return {"name": "terms", "sparse": {"input": TEXT, "terms": terms, "tolerance": "0.001"}}


def test_terms_of_a_folder_are_verified(tmp_path: Path, splade: Path, terms: list[dict[str, str]]) -> None:
    goldens = tmp_path / "goldens"
    goldens.mkdir()
    (goldens / "0.jsonl").write_text(json.dumps(sparse_case(terms)))
    (goldens / "1.jsonl").write_text(json.dumps({**sparse_case(terms[1:]), "name": "lighter"}))
    options = ["--model", str(splade), "--task", "Sparse", "--goldens", str(goldens)]
    found = CliRunner().invoke(verify, options)
    assert found.exit_code == 1
    assert "passed  terms: the 8 heaviest terms are as expected" in found.output
    assert "FAILED  lighter: a term that is none of the 7 expected ones weighs" in found.output


def test_terms_of_a_server_are_named_by_the_tokenizer_of_a_folder(splade: Path, terms: list[dict[str, str]]) -> None:
    vocabulary = read_folder_vocabulary(splade, resolved=None, declared=Declared(task=Task.SPARSE))
    names = AutoTokenizer.from_pretrained(splade).convert_tokens_to_ids([item["term"] for item in terms])
    weights = [float(item["weight"]) for item in terms]

    class SparseServer(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path != "/embed_sparse":
                return httpx.Response(404)
            found = [{"index": index, "value": weight} for index, weight in zip(names, weights, strict=True)]
            return httpx.Response(200, json=[sorted(found, key=lambda entry: entry["index"])])

    cases = parse_cases(
        [sparse_case(terms)], task=None, min_cosine_similarity="0.999", dimensions=None, prompt_names=None
    )

    def ask(vocabulary: Vocabulary | None) -> CaseResult:
        asking = check_server("http://server", cases=cases, name=None, vocabulary=vocabulary, transport=SparseServer())
        [result] = asyncio.run(asking)
        return result

    assert ask(vocabulary).passed
    assert "give --model too, the folder whose tokenizer names them" in ask(None).detail
