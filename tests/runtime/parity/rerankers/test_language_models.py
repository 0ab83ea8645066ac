"""Language models that rerank give the scores of their reference formula, computed with transformers.

The formulas are written here once more, as the model card of Qwen3-Reranker, FlagEmbedding and mxbai-rerank compute
them: the pieces tokenised one by one, one pair at a time, the logits of the last position over the whole vocabulary.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import seeded_models
from parity import assert_scores_equal
from seeded_models import ByteLevel

from embedding_model.inspection.families.heads import Head
from embedding_model.resolved import Declared, Task
from embedding_model.serving import Overrides
from embedding_runtime.core.inputs import Pair
from embedding_runtime.core.reranking import read_logits
from embedding_runtime.settings import Dtype

RERANKS = Declared(task=Task.RERANKING)
LONGEST = 320
PAIRS = (
    ("what is the capital of france", "Paris is the capital of France."),
    ("what is the capital of france?", "a man is eating food"),
    ("which pod restarts", "the kubernetes node restarts a pod " * 40),
    ("weather", "It's so sunny outside! naïve café 東京 🚀"),
    ("", "the weather"),
    ("weather", ""),
)

Ids = list[int]
Tokenize = Callable[[str], Ids]


def qwen3_ids(tokenize: Tokenize, query: str, document: str, *, longest: int, instruction: str | None) -> Ids:
    """format_instruction, then prefix and suffix around what is cut to the rest of the length."""
    system = (
        "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
        'Note that the answer can only be "yes" or "no".'
    )
    task = instruction or "Given a web search query, retrieve relevant passages that answer the query"
    before = tokenize(f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n")
    behind = tokenize("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
    body = tokenize(f"<Instruct>: {task}\n<Query>: {query}\n<Document>: {document}")
    return before + body[: longest - len(before) - len(behind)] + behind


def gemma_ids(tokenize: Tokenize, query: str, document: str, *, longest: int, instruction: str | None) -> Ids:
    prompt = instruction or (
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
        "prediction of either 'Yes' or 'No'."
    )
    head = tokenize("<bos>") + tokenize(f"A: {query}") + tokenize("\n")
    tail = tokenize("\n") + tokenize(prompt)
    return head + tokenize(f"B: {document}")[: longest - len(head) - len(tail)] + tail


def mxbai_ids(tokenize: Tokenize, query: str, document: str, *, longest: int, instruction: str | None) -> Ids:
    asked = f"instruction: {instruction}\nquery: {query}" if instruction else f"query: {query}"
    system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    task = (
        "You are a search relevance expert who evaluates how well documents match search queries. For each "
        "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
        "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:"
    )
    head = tokenize(f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n") + tokenize(asked) + tokenize("\n")
    tail = tokenize("\n") + tokenize(task) + tokenize("<|im_end|>\n<|im_start|>assistant\n")
    return head + tokenize(f"document: {document}")[: longest - len(head) - len(tail)] + tail


GEMMA = ByteLevel(first="<bos>", end="<eos>", pad="<pad>", specials=("<pad>", "<eos>", "<bos>", "<spare1>", "<spare2>"))

# family, tokenizer, the reference's ids, its words for relevant and not
MODELS: dict[str, tuple[str, ByteLevel, Callable[..., Ids], str, str | None, int]] = {
    "Qwen3-Reranker": ("qwen3", ByteLevel(end=None), qwen3_ids, "yes", "no", 480),
    "bge-reranker-v2-gemma": ("gemma", GEMMA, gemma_ids, "Yes", None, LONGEST),
    "mxbai-rerank-v2": ("qwen2", ByteLevel(end=None), mxbai_ids, "1", "0", 640),
}


@pytest.fixture(scope="module", params=sorted(MODELS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("models") / name, name=name)


def build(folder: Path, *, name: str, head: Head = Head.CAUSAL_LANGUAGE_MODEL) -> Path:
    family, tokenizer, _, _, _, longest = MODELS[name]
    seeded_models.build(folder, family=family, head=head, max_length=longest, tokenizer=tokenizer)
    if tokenizer is GEMMA:
        add_yes(folder / "tokenizer.json")
    return folder


def add_yes(path: Path) -> None:
    """The word "Yes" in place of two special tokens that nothing uses."""
    document = json.loads(path.read_text())
    spare = {token["content"]: token["id"] for token in document["added_tokens"] if "spare" in token["content"]}
    document["added_tokens"] = [token for token in document["added_tokens"] if token["content"] not in spare]
    document["model"]["vocab"] |= {"Ye": spare["<spare1>"], "Yes": spare["<spare2>"]}
    document["model"]["merges"] += [["Y", "e"], ["Ye", "s"]]
    path.write_text(json.dumps(document))


def score(
    folder: Path, pairs: Sequence[tuple[str, str]], *, name: str, instruction: str | None = None
) -> npt.NDArray[np.float32]:
    """The reference formula. float32 [pairs]."""
    import torch
    from transformers import AutoModelForCausalLM

    _, _, write, true, false, longest = MODELS[name]
    tokenizer, model = load(folder, AutoModelForCausalLM)
    scores = []
    for query, document in pairs:
        ids = write(tokenizer_of(tokenizer), query, document, longest=longest, instruction=instruction)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids])).logits[0, -1].float()
        other = 0.0 if false is None else logits[tokenizer.convert_tokens_to_ids(false)]
        scores.append(float(logits[tokenizer.convert_tokens_to_ids(true)] - other))
    return np.array(scores, dtype=np.float32)


def load(folder: Path, kind: Any) -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own deprecations
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder), kind.from_pretrained(folder).eval()


def tokenizer_of(tokenizer: Any) -> Tokenize:
    return lambda text: list(tokenizer(text, add_special_tokens=False)["input_ids"])


def test_scores_equal_the_reference_formula_in_every_arrangement(folder: Path, name: str) -> None:
    expected = score(folder, PAIRS, name=name)
    assert np.ptp(expected) > 0.1, "the pairs must be told apart"
    model = assert_scores_equal(folder, PAIRS, expected=expected, declared=RERANKS)
    assert model.resolved.inspection.scoring is not None
    assert model.resolved.inspection.scoring.template == name.lower()


def test_an_instruction_takes_its_place_in_the_template(folder: Path, name: str) -> None:
    instruction = "find the text that answers the question"
    expected = score(folder, PAIRS, name=name, instruction=instruction)
    assert np.abs(expected - score(folder, PAIRS, name=name)).max() > 0.1
    served = Overrides(instruction=instruction)
    assert_scores_equal(folder, PAIRS, expected=expected, declared=RERANKS, overrides=served)
    assert_scores_equal(folder, PAIRS, expected=expected, declared=RERANKS, instruction=instruction)


def test_bfloat16_keeps_the_score_in_float32(folder: Path, name: str) -> None:
    """Scores near each other would fall on the same number of bfloat16, and documents would change places."""
    import torch

    expected = score(folder, PAIRS, name=name)
    model = assert_scores_equal(
        folder, PAIRS, expected=expected, declared=RERANKS, dtype=Dtype.BFLOAT16, tolerance=np.ptp(expected) / 4
    )
    assert model.backend.dtype == "bfloat16"
    outputs = model.compute([Pair(query, document) for query, document in PAIRS])
    found = read_logits(outputs)
    assert (torch.from_numpy(found).bfloat16().float().numpy() != found).all()


def test_a_converted_head_still_gets_the_template(tmp_path: Path) -> None:
    """tomaarsen/Qwen3-Reranker-*-seq-cls: one logit of a ForSequenceClassification, and the texts in the template."""
    import torch
    from transformers import AutoModelForSequenceClassification

    folder = build(tmp_path, name="Qwen3-Reranker", head=Head.SEQUENCE_CLASSIFICATION)
    longest = MODELS["Qwen3-Reranker"][-1]
    tokenizer, model = load(folder, AutoModelForSequenceClassification)
    expected = []
    for query, document in PAIRS:
        ids = qwen3_ids(tokenizer_of(tokenizer), query, document, longest=longest, instruction=None)
        with torch.inference_mode():
            expected.append(float(model(input_ids=torch.tensor([ids])).logits[0, 0]))
    assert np.ptp(expected) > 0.1
    assert_scores_equal(folder, PAIRS, expected=np.array(expected, dtype=np.float32), declared=RERANKS)


def test_the_instruction_of_the_files_takes_its_place_unless_the_spec_has_another(tmp_path: Path) -> None:
    """As sentence-transformers saves it: LogitScore names the tokens, the default prompt is the instruction."""
    folder = build(tmp_path, name="Qwen3-Reranker")
    own, other = "find the text that answers the question", "find what the man is eating"
    save_logit_score(folder, instruction=own)
    expected = score(folder, PAIRS, name="Qwen3-Reranker", instruction=own)
    model = assert_scores_equal(folder, PAIRS, expected=expected)
    assert model.serving.instruction == own
    overruled = score(folder, PAIRS, name="Qwen3-Reranker", instruction=other)
    assert np.abs(overruled - expected).max() > 0.1
    assert_scores_equal(folder, PAIRS, expected=overruled, overrides=Overrides(instruction=other))


def save_logit_score(folder: Path, *, instruction: str) -> None:
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    kinds = {"": "base.modules.transformer.Transformer", "1_LogitScore": "cross_encoder.modules.logit_score.LogitScore"}
    files: dict[str, Any] = {
        "modules.json": [
            {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.{kind}"}
            for index, (path, kind) in enumerate(kinds.items())
        ],
        "1_LogitScore/config.json": {"true_token_id": vocabulary["yes"], "false_token_id": vocabulary["no"]},
        "sentence_bert_config.json": {"transformer_task": "text-generation", "module_output_name": "causal_logits"},
        "config_sentence_transformers.json": {
            "model_type": "CrossEncoder",
            "prompts": {"query": instruction},
            "default_prompt_name": "query",
        },
    }
    for path, content in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(json.dumps(content))
