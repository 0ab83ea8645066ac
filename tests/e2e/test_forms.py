"""Further forms of the tasks, through the operator: language models that rerank, and an embedder with three heads.

Minutes: `make soak`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import seeded_models
from loaded_model import Loaded
from models_under_test import Served, cosine
from multi_head_models import build_multi_head, compute_by_rule
from parity import EXACT, SCORE_TOLERANCE
from seeded_models import ByteLevel

from embedding_model.inspection.families.heads import Head
from embedding_model.resolved import Declared, Task
from embedding_model.serving import Overrides
from embedding_runtime.core.inputs import Pair
from embedding_runtime.core.reranking import activate, read_logits

pytestmark = pytest.mark.soak

QUERY = "what is the capital of france"
DOCUMENTS = ("Paris is the capital of France.", "a man is eating food", "the weather is lovely today")
INSTRUCTION = "Find what the query is about"
TEXTS = ("What is the capital of France?", "the quick brown fox jumps over the lazy dog", "weather")


@pytest.mark.parametrize("instruction", [None, INSTRUCTION], ids=["the template's own instruction", "the spec's"])
def test_a_language_model_reranks_under_its_template(
    serve_folder: Callable[..., Served], tmp_path: Path, instruction: str | None
) -> None:
    """Its scores are those of the runtime in this process, which the parity tests hold to the published formula."""
    folder = seeded_models.build(
        tmp_path / "model",
        family="qwen3",
        head=Head.CAUSAL_LANGUAGE_MODEL,
        max_length=480,
        tokenizer=ByteLevel(end=None),
    )
    model = Loaded(folder, declared=Declared(task=Task.RERANKING), overrides=Overrides(instruction=instruction))
    outputs = model.compute([Pair(QUERY, document) for document in DOCUMENTS])
    assert model.serving.activation is not None
    expected = activate(read_logits(outputs), activation=model.serving.activation)

    spec = {"reranking": {"instruction": instruction}} if instruction else {}
    # The name is how the template is known: the files of the published model do not say it.
    served = serve_folder(folder, "llm-reranker", repo="acme/Qwen3-Reranker-0.6B", task="Reranking", **spec)

    answer = served.ask("/rerank", query=QUERY, texts=list(DOCUMENTS))
    scores = [row["score"] for row in sorted(answer, key=lambda row: row["index"])]
    np.testing.assert_allclose(scores, expected, atol=SCORE_TOLERANCE)
    told = served.status["model"]
    assert (told["scoring"]["rule"], told["scoring"]["template"]) == ("TokenLogits", "qwen3-reranker")
    assert told.get("instruction") == instruction


def test_three_heads_of_pickled_layers_answer_from_one_model(
    serve_folder: Callable[..., Served], tmp_path: Path
) -> None:
    folder = build_multi_head(tmp_path / "model", pickles=True)
    expected = compute_by_rule(folder, TEXTS)

    model = {"huggingFace": {"repo": "acme/three-heads"}, "conversion": "Isolated"}
    served = serve_folder(folder, "three-heads", model=model)

    for vector, wanted in zip(served.embed(TEXTS), expected, strict=True):
        assert cosine(vector, wanted.dense.astype(np.float32)) >= EXACT
    for row, wanted in zip(served.ask("/embed_sparse", inputs=list(TEXTS)), expected, strict=True):
        found = {item["index"]: item["value"] for item in row}
        assert found == pytest.approx(wanted.weights, abs=SCORE_TOLERANCE)
    assert {head["kind"] for head in served.status["model"]["tokenHeads"]} == {"Sparse", "MultiVector"}
