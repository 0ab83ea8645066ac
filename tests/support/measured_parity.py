"""How far the product's numbers are from those of the reference, family by family: the figures of docs/parity.json.

Every figure is the worst of all inputs in all the arrangements of `parity.arranged`. Models are those of seeded_models.
"""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import seeded_models
from jina_bert_formula import Formula
from loaded_model import Loaded
from parity import TEXTS, arranged, cosines, load_reference
from seeded_models.jina_bert import build_jina_bert
from seeded_models.tokenizers import ByteLevel
from sparse_models import build_splade, encode_by_reference, load_sparse_reference, spread

from embedding_model.inspection.families import FAMILIES
from embedding_model.inspection.families.heads import Head
from embedding_model.resolved import Declared, Task
from embedding_runtime.core.inputs import Input, Pair, Text
from embedding_runtime.core.jobs import Output, Part
from embedding_runtime.core.vectors import finish
from embedding_runtime.settings import Dtype

Array = npt.NDArray[np.float32]

# Tokens. Those with a table of positions, as long as it is in published models; xlm-roberta's has 8192 in bge-m3.
_LONGEST = 8192
_TABLES = ("bert", "roberta", "camembert", "mpnet", "distilbert", "electra", "albert", "deberta-v2", "t5")
_TABLE = 512
_LABELS = 3
# bge-reranker-v2-gemma's prompt is taken for models whose tokenizer has the word that its score is read from.
_SPARE = ("<spare1>", "<spare2>")
_WITH_YES = ByteLevel(first="<bos>", end="<eos>", pad="<pad>", specials=("<pad>", "<eos>", "<bos>", *_SPARE))
_FORMULAS = {"jina_bert": "gated", "jina_bert_code": "code"}
_FITTING = (*(text for text in TEXTS if len(text) < 120), "someone is having a meal while a man is eating " * 3)
_PAIRS = tuple(Pair("what is the capital of france", text) for text in _FITTING)
_WORDS = "weather today sunny lovely quick brown fox jumps over lazy dog near the river in paris"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One task of one family. `cosine` by dtype for embedders; `error` is the largest difference of a logit or weight.

    `tokens` is the longest input that was compared, None where none was.
    """

    path: str
    cosine: Mapping[str, float]
    error: float | None = None
    tokens: int | None = None


def measure(family: str, *, task: Task, root: Path) -> Figure:
    """`root` is an empty folder for the models that are built."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference implementations' own deprecations
        match task:
            case Task.EMBEDDING:
                return _measure_embedder(family, root=root)
            case Task.SPARSE:
                return _measure_sparse(family, root=root)
            case _:
                return _measure_head(family, task=task, root=root)


def _measure_embedder(family: str, *, root: Path) -> Figure:
    found: dict[str, float] = {}
    path = ""
    for dtype in (Dtype.FLOAT32, Dtype.BFLOAT16):
        folder = _build_embedder(root / dtype, family=family, is_half=dtype is not Dtype.FLOAT32)
        model = Loaded(folder, dtype=dtype)
        texts = _FITTING if family in _FORMULAS else TEXTS
        worst = _worst_cosine(model, texts, expected=_encode(folder, texts, family=family))
        found[dtype.value], path = worst, model.backend.path
    tokens, cosine = _measure_longest(family, root=root / "longest")
    return Figure(path=path, cosine={**found, "float32": min(found["float32"], cosine)}, tokens=tokens)


def _build_embedder(folder: Path, *, family: str, is_half: bool = False, **more: Any) -> Path:
    if family in _FORMULAS:
        return build_jina_bert(folder, layout=_FORMULAS[family], **more)
    if FAMILIES[family].is_decoder:
        # Random layers of a decoder add up: with large matrices bfloat16 would show their noise and nothing else.
        return seeded_models.build(folder, family=family, pooling="lasttoken", spread=0.1 if is_half else None, **more)
    return seeded_models.build(folder, family=family, **more)


def _encode(folder: Path, texts: Sequence[str], *, family: str) -> Array:
    if family in _FORMULAS:
        return np.stack([Formula(folder).mean(text) for text in texts]).astype(np.float32)
    return np.asarray(load_reference(folder).encode(list(texts), show_progress_bar=False), dtype=np.float32)


def _worst_cosine(model: Loaded, texts: Sequence[str], *, expected: Array) -> float:
    def to_vectors(outputs: Sequence[Output]) -> Array:
        pooled = np.stack([output.dense for output in outputs if output.dense is not None])
        return finish(pooled, serving=model.serving)

    inputs = [Text(text) for text in texts]
    return min(float(cosines(vectors, expected).min()) for _, vectors in arranged(model, inputs, finish=to_vectors))


def _measure_longest(family: str, *, root: Path) -> tuple[int, float]:
    """Tokens of the longest input, and its cosine."""
    length = _TABLE if family in _TABLES else _LONGEST
    folder = _build_embedder(root, family=family, max_length=length, layers=1 if family in _FORMULAS else 2)
    model = Loaded(folder)
    text = " ".join(np.random.default_rng(5).choice(_WORDS.split(), 2 * length))
    [tokens] = model.tokens(text)
    assert len(tokens.ids) == length, f"{family}: {len(tokens.ids)} tokens"
    if family not in _FORMULAS:
        return length, float(cosines(model.encode([text]), _encode(folder, [text], family=family)).min())
    [output] = model.backend.compute([replace(tokens, wants=frozenset(Part))])
    rows = [0, 1, length // 2, length - 1]
    expected = Formula(folder).hidden_states(list(tokens.ids), [0] * length, rows=rows).astype(np.float32)
    assert output.token_vectors is not None
    return length, float(cosines(output.token_vectors[rows], expected).min())


def _measure_head(family: str, *, task: Task, root: Path) -> Figure:
    labels = 1 if task is Task.RERANKING else _LABELS
    folder = _build_head(root, family=family, labels=labels)
    model = Loaded(folder, declared=Declared(task=task))
    expected = _compute_logits(folder, model, family=family)
    error = _worst_error(model, _PAIRS, expected=expected, read=_stack)
    return Figure(path=model.backend.path, cosine={}, error=error)


def _build_head(folder: Path, *, family: str, labels: int) -> Path:
    if family in _FORMULAS:
        return build_jina_bert(folder, layout=_FORMULAS[family], labels=labels)
    seeded_models.build(
        folder,
        family=family,
        head=Head.SEQUENCE_CLASSIFICATION,
        labels=labels,
        max_length=_TABLE,
        tokenizer=_WITH_YES if family == "gemma" else None,
    )
    if family == "gemma":
        _add_yes(folder / "tokenizer.json")
    return folder


def _add_yes(path: Path) -> None:
    """The word "Yes" in place of two special tokens that nothing uses."""
    document = json.loads(path.read_text())
    ids = {token["content"]: token["id"] for token in document["added_tokens"]}
    document["added_tokens"] = [token for token in document["added_tokens"] if token["content"] not in _SPARE]
    document["model"]["vocab"] |= {"Ye": ids[_SPARE[0]], "Yes": ids[_SPARE[1]]}
    document["model"]["merges"] += [["Y", "e"], ["Ye", "s"]]
    path.write_text(json.dumps(document))


def _compute_logits(folder: Path, model: Loaded, *, family: str) -> Array:
    """By transformers' class, each pair alone, from the same tokens: float32 [pairs, labels]."""
    if family in _FORMULAS:
        formula = Formula(folder)
        return np.stack([formula.logits(pair.query, pair.document) for pair in _PAIRS]).astype(np.float32)
    import torch
    import transformers

    reference = getattr(transformers, FAMILIES[family].classes[Head.SEQUENCE_CLASSIFICATION])
    network = reference.from_pretrained(folder).eval()
    if FAMILIES[family].is_decoder:
        network.config.pad_token_id = None  # one text has no padding; its last token may look like it
    rows = []
    for tokens in model.tokenizer.encode(_PAIRS):
        types = {} if tokens.type_ids is None else {"token_type_ids": torch.tensor([list(tokens.type_ids)])}
        with torch.inference_mode():
            rows.append(network(input_ids=torch.tensor([list(tokens.ids)]), **types).logits[0].numpy())
    return np.stack(rows)


def _stack(outputs: Sequence[Output]) -> Array:
    return np.stack([output.dense for output in outputs if output.dense is not None])


def _measure_sparse(family: str, *, root: Path) -> Figure:
    folder = build_splade(root, family=family)
    model = Loaded(folder)
    expected = encode_by_reference(load_sparse_reference(folder), TEXTS)
    inputs = [Text(text) for text in TEXTS]
    error = _worst_error(model, inputs, expected=expected, read=lambda outputs: spread(outputs, size=expected.shape[1]))
    return Figure(path=model.backend.path, cosine={}, error=error)


def _worst_error(
    model: Loaded, inputs: Sequence[Input], *, expected: Array, read: Callable[[Sequence[Output]], Array]
) -> float:
    return max(float(np.abs(found - expected).max()) for _, found in arranged(model, inputs, finish=read))
