"""A table of fingerprints of every kind of model and of every setting that moves a vector: it never changes.

Users write fingerprints down (spec.space) and index under them. Another value in this table orphans every vector stored
under the one before: it needs a new prefix beside sp1-, and a migration. A new kind of model or setting gets a new row.
"""

from typing import Any

import pytest

from embedding_model.rerank_templates import RERANK_TEMPLATES
from embedding_model.resolved import (
    Activation,
    FileEntry,
    HeadModule,
    Inspection,
    Manifest,
    ModuleKind,
    Pooling,
    Prompt,
    Quantization,
    ScoreRule,
    Scoring,
    Serving,
    Side,
    SparseHead,
    Task,
    TokenHead,
    TokenHeadKind,
    Weights,
)
from embedding_model.space import fingerprint

QUERY, DOCUMENT = Prompt(name="query", text="query: "), Prompt(name="document", text="")
DENSE = HeadModule(
    kind=ModuleKind.DENSE, folder="2_Dense", input_dimensions=384, output_dimensions=384, activation="Tanh"
)
LAYER_NORM = HeadModule(kind=ModuleKind.LAYER_NORM, folder="3_LayerNorm", input_dimensions=384, output_dimensions=384)
MULTI_VECTOR = TokenHead(kind=TokenHeadKind.MULTI_VECTOR, file="colbert_linear.pt", output_dimensions=1024)
SPARSE_WEIGHTS = TokenHead(kind=TokenHeadKind.SPARSE, file="sparse_linear.pt", output_dimensions=1)
CAUSAL: dict[str, Any] = {"architecture": "Qwen3ForCausalLM", "family": "qwen3"}


def _files(**hashes: str) -> Manifest:
    """Each file with a hash of one repeated digit."""
    return Manifest(
        files=tuple(FileEntry(path=path, size=1, sha256=digit * 64) for path, digit in sorted(hashes.items()))
    )


SAFETENSORS = _files(**{"model.safetensors": "a", "tokenizer.json": "b", "config.json": "d", "README.md": "e"})
SHARDED = _files(
    **{
        "model-00001-of-00002.safetensors": "a",
        "model-00002-of-00002.safetensors": "b",
        "tokenizer.json": "c",
        "tokenizer_config.json": "d",
    }
)
GGUF = _files(**{"model-q8_0.gguf": "a"})


def _embedder(files: Manifest = SAFETENSORS, *, model: dict[str, Any] | None = None, **serving: Any) -> str:
    inspected: dict[str, Any] = {"architecture": "BertModel", "family": "bert", "configuration": "c" * 64}
    served: dict[str, Any] = {"pooling": Pooling.MEAN, "normalize": True, "dimensions": 384, "model_dimensions": 384}
    return _name(Task.EMBEDDING, files, inspected | (model or {}), served | serving)


def _reranker(
    files: Manifest = SAFETENSORS, *, scoring: Scoring, model: dict[str, Any] | None = None, **serving: Any
) -> str:
    inspected: dict[str, Any] = {
        "architecture": "BertForSequenceClassification",
        "family": "bert",
        "configuration": "c" * 64,
        "scoring": scoring,
    }
    return _name(Task.RERANKING, files, inspected | (model or {}), {"activation": Activation.SIGMOID} | serving)


def _classifier(*, labels: tuple[str, ...], activation: Activation) -> str:
    inspected = {
        "architecture": "BertForSequenceClassification",
        "family": "bert",
        "configuration": "c" * 64,
        "labels": labels,
    }
    return _name(Task.CLASSIFICATION, SAFETENSORS, inspected, {"activation": activation})


def _sparse(head: SparseHead, **serving: Any) -> str:
    inspected = {"architecture": "BertForMaskedLM", "family": "bert", "configuration": "c" * 64, "sparse": head}
    return _name(Task.SPARSE, SAFETENSORS, inspected, {"dimensions": 30522} | serving)


def _name(task: Task, files: Manifest, inspected: dict[str, Any], served: dict[str, Any]) -> str:
    """Through the JSON form, as it is stored and read back."""
    weights = Weights(bytes=100, files=1, parameters=25)
    inspection = Inspection(task=task, weights=weights, **{"max_input_tokens": 256, "positions": 512, **inspected})
    serving = Serving(task=task, **{"max_input_tokens": 256, "lowercase": False, **served})
    return fingerprint(
        manifest=Manifest.from_json(files.to_json()),
        inspection=Inspection.from_json(inspection.to_json()),
        serving=Serving.from_json(serving.to_json()),
    )


STORED: dict[str, tuple[str, str]] = {
    "embedder: as its files are": ("sp1-c1fe820f7a648e75fdf53a9d11253cb6", _embedder()),
    "embedder: of two weight files": ("sp1-a0a973c7a8961ee6024c43ab637dea36", _embedder(SHARDED)),
    "embedder: GGUF": ("sp1-6522de89feb97bb67d2ceffae776f4af", _embedder(GGUF, model={"configuration": None})),
    "embedder: other tokenizer": (
        "sp1-5c92d3eacd422f3101a68aa9125a02a6",
        _embedder(_files(**{"model.safetensors": "a", "tokenizer.json": "0"})),
    ),
    "embedder: a tokenizer of words": (
        "sp1-633b2d92175a4323fc885e734cd09d36",
        _embedder(_files(**{"model.safetensors": "a", "vocab.txt": "b"})),
    ),
    "embedder: SentencePiece": (
        "sp1-e460d0a50fe39584f1c163b7c49c8dd8",
        _embedder(_files(**{"model.safetensors": "a", "sentencepiece.bpe.model": "b"})),
    ),
    "embedder: a decoder": (
        "sp1-17c683765b8672cbe4357babe537006d",
        _embedder(model={"architecture": "Qwen3Model", "family": "qwen3"}, pooling=Pooling.LAST_TOKEN),
    ),
    "embedder: end token": (
        "sp1-97fd147222abf209f330bf3ffd19b4eb",
        _embedder(model={"end_token": "</s>"}, pooling=Pooling.LAST_TOKEN),
    ),
    "embedder: pooling Cls": ("sp1-f4f950b161b5378c70d0a386854b3b22", _embedder(pooling=Pooling.CLS)),
    "embedder: pooling Max": ("sp1-b3a97fc19c4d64c48027c5b29005ad4b", _embedder(pooling=Pooling.MAX)),
    "embedder: pooling MeanSqrtLength": (
        "sp1-eddcbbc0014249612165cb160374da01",
        _embedder(pooling=Pooling.MEAN_SQRT_LENGTH),
    ),
    "embedder: pooling WeightedMean": (
        "sp1-e849ee331b6aa8f3e31dfd49d1b444cf",
        _embedder(pooling=Pooling.WEIGHTED_MEAN),
    ),
    "embedder: pooling LastToken": ("sp1-27801e42488d369f8842f12f099f181f", _embedder(pooling=Pooling.LAST_TOKEN)),
    "embedder: two poolings side by side": (
        "sp1-a1975a3c891785f94925f13451db503b",
        _embedder(pooling=Pooling.CLS, further_poolings=(Pooling.MEAN,), dimensions=768, model_dimensions=768),
    ),
    "embedder: not normalised": ("sp1-63b083d3feadc2468d1efcf96b956c5a", _embedder(normalize=False)),
    "embedder: dimensions": ("sp1-f09dee64136fd6fc0d8773069d2121c0", _embedder(dimensions=256)),
    "embedder: dimensions behind a LayerNorm": (
        "sp1-c4a7910c2b018419ba66965eb82175a1",
        _embedder(dimensions=256, layer_norm_before_cut=True),
    ),
    "embedder: maximum length": ("sp1-e5c469656900b6a215c82d5ffdf6d0e2", _embedder(max_input_tokens=128)),
    "embedder: cut on the left": ("sp1-a4dda7eab89020385b8a04a342787a80", _embedder(truncation_side=Side.LEFT)),
    "embedder: lower case": ("sp1-a50b674a81f5377cd3e36a8464c7db9a", _embedder(lowercase=True)),
    "embedder: prompts": ("sp1-7e57cf43b6b747364a73c173540456ea", _embedder(prompts=(QUERY, DOCUMENT))),
    "embedder: prompts and a default one": (
        "sp1-c4b99257bc835617d7011b709b3bc5f3",
        _embedder(prompts=(QUERY, DOCUMENT), default_prompt="query"),
    ),
    "embedder: prompts that are not pooled": (
        "sp1-3627bb6ce4ae44e27773338eb27d87c2",
        _embedder(prompts=(QUERY, DOCUMENT), include_prompt=False),
    ),
    "embedder: a dense layer": ("sp1-a47b2583c126d5309b50bfb079a27481", _embedder(model={"modules": (DENSE,)})),
    "embedder: a dense layer without bias": (
        "sp1-e6b6c48fb3f858697c412d3934bfc69c",
        _embedder(model={"modules": (DENSE.model_copy(update={"bias": False}),)}),
    ),
    "embedder: a dense layer, residual": (
        "sp1-98110361b38c2809460514f59a754883",
        _embedder(model={"modules": (DENSE.model_copy(update={"residual": True}),)}),
    ),
    "embedder: dense layer and LayerNorm": (
        "sp1-09449f23bc2e103baa16ac43a89bb9ab",
        _embedder(model={"modules": (DENSE, LAYER_NORM)}),
    ),
    "embedder: further heads": (
        "sp1-ca9537b27073300b0b5adbffc890a215",
        _embedder(model={"token_heads": (SPARSE_WEIGHTS, MULTI_VECTOR)}),
    ),
    "embedder: Int8": ("sp1-f5fda17c8d33a8004132492c0eea9c00", _embedder(quantization=Quantization.INT8)),
    "embedder: Int4": ("sp1-6568411dbab2996aff5b2d95a9b3eac4", _embedder(quantization=Quantization.INT4)),
    "embedder: Int8 and dimensions": (
        "sp1-f4124824a0fb49643679aeb73a44823e",
        _embedder(quantization=Quantization.INT8, dimensions=256),
    ),
    "reranker: classification head": (
        "sp1-702832363b4afaf7c5dfbabbb4866715",
        _reranker(scoring=Scoring(rule=ScoreRule.CLASSIFICATION_HEAD)),
    ),
    "reranker: raw logits": (
        "sp1-27d5af98fc45c7c8a129b952e4505cc7",
        _reranker(scoring=Scoring(rule=ScoreRule.CLASSIFICATION_HEAD), activation=Activation.IDENTITY),
    ),
    "reranker: the label that means relevant": (
        "sp1-bbfd578e627c8efe5c073bed262807ca",
        _reranker(
            scoring=Scoring(rule=ScoreRule.CLASSIFICATION_HEAD, label="LABEL_1"),
            model={"labels": ("LABEL_0", "LABEL_1")},
        ),
    ),
    "reranker: maximum length": (
        "sp1-a76d3b67cecec9906d9aef81aea588a1",
        _reranker(scoring=Scoring(rule=ScoreRule.CLASSIFICATION_HEAD), max_input_tokens=128),
    ),
    "reranker: qwen3-reranker": (
        "sp1-f2e354904ce6b56cd317de689e060ed9",
        _reranker(
            scoring=Scoring(rule=ScoreRule.TOKEN_LOGITS, template="qwen3-reranker", true_token="yes", false_token="no"),
            model=CAUSAL,
        ),
    ),
    "reranker: qwen3-reranker, its own instruction": (
        "sp1-7e52a7a7dea7d45af4d2308b4c17585d",
        _reranker(
            scoring=Scoring(
                rule=ScoreRule.TOKEN_LOGITS,
                template="qwen3-reranker",
                instruction="Find answers.",
                true_token="yes",
                false_token="no",
            ),
            model=CAUSAL,
        ),
    ),
    "reranker: qwen3-reranker, the user's instruction": (
        "sp1-13a20a4ac07c9e41cb6d9601934d9ac0",
        _reranker(
            scoring=Scoring(rule=ScoreRule.TOKEN_LOGITS, template="qwen3-reranker", true_token="yes", false_token="no"),
            model=CAUSAL,
            instruction="Find answers.",
        ),
    ),
    "reranker: bge-reranker-v2-gemma": (
        "sp1-58cad27627f20fe19765a3fe430bdafa",
        _reranker(
            scoring=Scoring(rule=ScoreRule.TOKEN_LOGITS, template="bge-reranker-v2-gemma", true_token="Yes"),
            model={"architecture": "GemmaForCausalLM", "family": "gemma"},
        ),
    ),
    "reranker: mxbai-rerank-v2": (
        "sp1-0bf581c6bd8f262b49628a4f955de5cf",
        _reranker(
            scoring=Scoring(rule=ScoreRule.TOKEN_LOGITS, template="mxbai-rerank-v2", true_token="1", false_token="0"),
            model={"architecture": "Qwen2ForCausalLM", "family": "qwen2"},
        ),
    ),
    "classifier: one of three labels": (
        "sp1-5911745b5bad2d2d7531f71f73225ca2",
        _classifier(labels=("negative", "neutral", "positive"), activation=Activation.SOFTMAX),
    ),
    "classifier: several labels at a time": (
        "sp1-f14364773e7c02e9dbf856df5af16425",
        _classifier(labels=("toxic", "rude"), activation=Activation.SIGMOID),
    ),
    "classifier: a regression": (
        "sp1-2f38ff834a2f4c0a5720eaa59621e531",
        _classifier(labels=("score",), activation=Activation.IDENTITY),
    ),
    "sparse: SPLADE": (
        "sp1-31b9b8a5dd8265fa2f8d885f8e10c776",
        _sparse(SparseHead(pooling=Pooling.MAX, activation="log1p_relu")),
    ),
    "sparse: relu": (
        "sp1-ad5496849b358a8b58ac5682772e9086",
        _sparse(SparseHead(pooling=Pooling.MAX, activation="relu")),
    ),
    "sparse: the table of queries": (
        "sp1-d5664608590086adff8b2205de1fdca1",
        _sparse(SparseHead(pooling=Pooling.MAX, activation="log1p_relu", query_weights="query_token_weights.txt")),
    ),
    "sparse: maximum length": (
        "sp1-f1b37277be62d90ca340e88ddbd9b884",
        _sparse(SparseHead(pooling=Pooling.MAX, activation="log1p_relu"), max_input_tokens=128),
    ),
}


@pytest.mark.parametrize("kind", STORED)
def test_a_fingerprint_that_is_written_down_never_changes(kind: str) -> None:
    stored, computed = STORED[kind]
    assert computed == stored


def test_no_two_kinds_share_a_space() -> None:
    assert len({stored for stored, _ in STORED.values()}) == len(STORED)


def test_the_table_has_every_value_that_a_space_depends_on() -> None:
    """A value added to one of these enumerations needs a row of its own."""
    written = " ".join(STORED).lower()
    kinds = {Task.EMBEDDING: "embedder", Task.RERANKING: "reranker", Task.CLASSIFICATION: "classifier"}
    assert all(kinds.get(task, task.value.lower()) in written for task in Task)
    assert all(f"pooling {pooling.value}".lower() in written for pooling in Pooling if pooling is not Pooling.MEAN)
    assert all(item.value.lower() in written for item in Quantization if item is not Quantization.NONE)
    assert all(template in written for template in RERANK_TEMPLATES)
