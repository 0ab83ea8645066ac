"""Sparse models whose queries are weighted by a table: sentence-transformers' Router with SparseStaticEmbedding."""

import json
from pathlib import Path

import numpy as np
import pytest
from loaded_model import Loaded
from parity import TEXTS
from sparse_models import build_inference_free, encode_by_reference, load_sparse_reference, spread

from embedding_model.refusal import Reason, Refusal
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import Part

QUERY = frozenset({Part.QUERY_WEIGHTS})
# Texts of at least one token: one without any is refused before it reaches the model.
QUERIES = [text for text in TEXTS if text]


def test_queries_are_looked_up_and_documents_computed(tmp_path: Path) -> None:
    folder = build_inference_free(tmp_path)
    reference = load_sparse_reference(folder)
    queries = encode_by_reference(reference, QUERIES, task="query")
    documents = encode_by_reference(reference, TEXTS, task="document")
    size = documents.shape[1]

    found = Loaded(folder).compute([*(Text(text, wants=QUERY) for text in QUERIES), *map(Text, TEXTS)])

    np.testing.assert_allclose(spread(found[: len(QUERIES)], size=size), queries, atol=1e-6)
    np.testing.assert_allclose(spread(found[len(QUERIES) :], size=size), documents, atol=1e-4)
    assert np.abs(queries[0] - documents[0]).max() > 0.1, "the two ways must differ"


def test_a_query_is_the_same_alone_and_between_documents(tmp_path: Path) -> None:
    model = Loaded(build_inference_free(tmp_path))
    query = Text("capital of france", wants=QUERY)

    [alone] = model.compute([query])
    [_, between, _] = model.compute([Text("a man"), query, Text("the river " * 30)])

    assert alone.sparse is not None
    assert between.sparse is not None
    assert alone.sparse.indices.tolist() == between.sparse.indices.tolist()
    assert alone.sparse.values.tolist() == between.sparse.values.tolist()


def test_prompts_are_put_before_queries_and_before_documents(tmp_path: Path) -> None:
    folder = build_inference_free(tmp_path, prompts={"query": "find: ", "document": "text about "})
    reference = load_sparse_reference(folder)
    queries = encode_by_reference(reference, QUERIES, task="query", prompt_name="query")
    documents = encode_by_reference(reference, QUERIES, task="document", prompt_name="document")

    found = Loaded(folder).compute(
        [
            *(Text(text, prompt="find: ", wants=QUERY) for text in QUERIES),
            *(Text(text, prompt="text about ") for text in QUERIES),
        ]
    )

    wanted = np.concatenate([queries, documents])
    np.testing.assert_allclose(spread(found, size=wanted.shape[1]), wanted, atol=1e-4)


@pytest.mark.parametrize(("key", "differs"), [("normalizer", True), ("truncation", False), ("padding", False)])
def test_a_tokenizer_of_its_own_for_queries_is_refused(key: str, differs: bool, tmp_path: Path) -> None:
    folder = build_inference_free(tmp_path)
    path = folder / "query_0_SparseStaticEmbedding" / "tokenizer.json"
    left_behind = {
        "normalizer": None,
        "truncation": {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": "BatchLongest",
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
    }
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: left_behind[key]}))

    if differs:
        with pytest.raises(Refusal, match="tokenizers in document_0_MLMTransformer and query_0") as refused:
            Loaded(folder)
        assert refused.value.reason is Reason.UNSUPPORTED_ARCHITECTURE
    else:
        assert Loaded(folder).compute([Text("river", wants=QUERY)])[0].sparse is not None
