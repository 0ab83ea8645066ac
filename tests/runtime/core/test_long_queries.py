"""A query is tokenised with each of its documents, so of a long one only as much as the model may take of it."""

from collections.abc import Sequence
from typing import Any

import pytest
from real_tokenizer import tokenizer_files
from rerankers import reranker
from runtime_under_test import WordTokenizer

from embedding_model.rerank_templates import RerankTemplate, Slot
from embedding_model.resolved import Side
from embedding_runtime.core.inputs import Input, Pair
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.pair_tokenizer import PairTokenizer
from embedding_runtime.core.pair_truncation import keep_query
from embedding_runtime.core.template_tokenizer import TemplateTokenizer
from embedding_runtime.core.tokenizer import load_backend
from embedding_runtime.core.tokenizing import CHARACTERS_PER_TOKEN, CUT_MARGIN, Tokenizer, TokenizerThreads
from embedding_runtime.http.ranking import MOST_QUERY_CHARACTERS

LONGEST = 40
LOOK = CHARACTERS_PER_TOKEN * (LONGEST + CUT_MARGIN)
TEMPLATE = RerankTemplate(
    source="this test",
    specials=("[CLS]", "[SEP]"),
    segments=(("[CLS] hello",), ("query: ", Slot.QUERY, " . ", Slot.DOCUMENT), (" [SEP] hello",)),
    instruction=None,
)
QUERIES = {
    "words": "hello world pods über . " * 1000,
    "one word": "hello" * 5000,
    "letters that no vocabulary has": "ω" * 20_000,
    "many unknown words": "zebra " * 5000,
    "spaces": "hello" + " " * 20_000 + "world " * 50,
    "a short one": "hello pods?",
}


def pairs() -> Tokenizer:
    backend = load_backend(tokenizer_files(), family="bert")
    return PairTokenizer(backend, max_tokens=LONGEST, side=Side.RIGHT, rule=keep_query, has_types=True)


def template() -> Tokenizer:
    backend = load_backend(tokenizer_files(), family="bert")
    return TemplateTokenizer(backend, template=TEMPLATE, instruction=None, max_tokens=LONGEST, side=Side.RIGHT)


@pytest.mark.parametrize("make", [pairs, template])
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
async def test_what_is_read_of_a_long_query_leaves_the_tokens_as_they_are(make: Any, query: str) -> None:
    tokenizer = make()
    threads = TokenizerThreads(tokenizer, threads=1, max_characters=2**20, side=Side.RIGHT)
    short = await threads.shorten(query)
    threads.close()
    for document in ("", "hello", "world pods . " * 8, "über " * 400):
        for most in (None, 3):
            [whole] = tokenizer.encode([Pair(query, document, max_document_tokens=most)])
            [found] = tokenizer.encode([Pair(short, document, max_document_tokens=most)])
            assert found == whole
    assert query.startswith(short)


async def test_of_a_long_query_no_more_is_read_than_could_be_taken() -> None:
    threads = TokenizerThreads(pairs(), threads=1, max_characters=2**20, side=Side.RIGHT)
    assert len(await threads.shorten(QUERIES["words"])) <= LOOK
    assert await threads.shorten(QUERIES["spaces"]) == QUERIES["spaces"]
    threads.close()


class Counting(WordTokenizer):
    def __init__(self) -> None:
        super().__init__(max_tokens=LONGEST)
        self.characters = 0

    def encode(self, inputs: Sequence[Input]) -> list[Tokens]:
        self.characters += sum(item.characters for item in inputs)
        return super().encode(inputs)


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank", "/jina/v1/rerank"])
async def test_many_documents_do_not_multiply_a_long_query(path: str) -> None:
    tokenizer = Counting()
    documents = ["hello"] * 50
    body = {"model": "words", "query": QUERIES["words"], "texts" if path == "/rerank" else "documents": documents}
    async with reranker(tokenizer=tokenizer) as runtime:
        tokenizer.characters = 0
        response = await runtime.client.post(path, json=body)
    assert response.status_code == 200
    assert tokenizer.characters <= len(documents) * (LOOK + len("hello"))


async def test_a_query_that_cannot_be_cut_is_refused_with_many_documents_and_taken_with_few() -> None:
    query = "hello" + " " * 40_000
    most = MOST_QUERY_CHARACTERS // len(query)
    async with reranker(tokenizer=Counting()) as runtime:
        refused = await runtime.client.post("/rerank", json={"query": query, "texts": ["hello"] * (most + 1)})
        taken = await runtime.client.post("/rerank", json={"query": query, "texts": ["hello"] * 2})
    assert (refused.status_code, taken.status_code) == (422, 200)
    assert "query: 40005 characters are too long" in refused.json()["error"]
