"""A sparse model (SPLADE): how the logits of the tokens become one weight for each word of the vocabulary.

SpladePooling's config.json (sentence_transformers/sparse_encoder/modules/splade_pooling.py). Without modules.json its
defaults count: the maximum over the tokens of log(1 + relu(logit)), as in SPLADE v2.
"""

from embedding_model.inspection.assembly import TaskValues
from embedding_model.inspection.documents import JsonObject, join, read_object
from embedding_model.inspection.prompts import read_written_prompts
from embedding_model.inspection.quoting import quote
from embedding_model.inspection.reading import Reading
from embedding_model.inspection.tensors import read_tensors
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence, Pooling, SparseHead
from embedding_model.sources.selection import CONFIG_FILE, MODULES_FILE, WEIGHTS_FILE

_ACTIVATIONS = ("relu", "log1p_relu")
_DIMENSION_KEYS = ("embedding_dimension", "word_embedding_dimension")  # newer first
_KEYS = frozenset({"pooling_strategy", "activation_function", "chunk_size", *_DIMENSION_KEYS})


def read_sparse(reading: Reading) -> TaskValues:
    """The values of a sparse model. Raises Refusal, as the readers of the single files do."""
    pipeline = reading.pipeline
    if pipeline is None or pipeline.pooling is None:
        config = JsonObject(path=MODULES_FILE, exists=False)
    else:
        config = read_object(reading.source, path=join(pipeline.pooling, CONFIG_FILE))
    vocabulary = reading.identified.vocabulary_size
    _check_keys(config, vocabulary=vocabulary)
    strategy = config.text("pooling_strategy") or "max"
    if strategy != "max":
        known = strategy == "sum"
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE if known else Reason.INVALID_FILE,
            f"{config.path}: pooling_strategy is {quote(strategy)}; {'served' if known else 'expected'} is max",
        )
    activation = config.text("activation_function") or "relu"
    if activation not in _ACTIVATIONS:
        raise Refusal(
            Reason.INVALID_FILE,
            f"{config.path}: activation_function is {quote(activation)}; expected one of {', '.join(_ACTIVATIONS)}",
        )
    table, table_evidence = _read_table(reading)
    prompts = read_written_prompts(reading.library)
    return TaskValues(
        dimensions=vocabulary,
        sparse=SparseHead(pooling=Pooling.MAX, activation=activation, query_weights=table),
        prompts=prompts.prompts,
        default_prompt=prompts.default_prompt,
        evidence=(
            _describe(config, field="sparse.pooling", value=Pooling.MAX, key="pooling_strategy"),
            _describe(config, field="sparse.activation", value=activation, key="activation_function"),
            _describe_dimensions(reading),
            *table_evidence,
            *prompts.evidence,
        ),
    )


def _check_keys(config: JsonObject, *, vocabulary: int) -> None:
    unknown = next((key for key in config.values if key not in _KEYS), None)
    if unknown is not None:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{config.path}: {quote(unknown)} is set, which is not understood; ignoring it could change every vector",
        )
    for key in _DIMENSION_KEYS:
        width = config.integer(key)
        if width is not None and width != vocabulary:
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"{config.path} says {key} {width}, but the vocabulary of the weights has {vocabulary} tokens: the "
                "file belongs to another model",
            )


def _read_table(reading: Reading) -> tuple[str | None, tuple[Evidence, ...]]:
    """The table of an inference-free model, which replaces the model for queries."""
    folder = reading.pipeline.query if reading.pipeline else None
    if folder is None:
        return None, ()
    path = join(folder, WEIGHTS_FILE)
    if not any(file.path == path for file in reading.source.files()):
        raise Refusal(
            Reason.MISSING_FILE, f"no {path}: the table that weights the tokens of a query (SparseStaticEmbedding)"
        )
    tensors = read_tensors(reading.source, files=[path])
    vocabulary = reading.identified.vocabulary_size
    if set(tensors) != {"weight"} or tensors["weight"].shape != (vocabulary,) or not tensors["weight"].is_floating:
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"{path}: expected one tensor `weight` with a number for each of the {vocabulary} tokens of the vocabulary",
        )
    note = "a table weights the tokens of queries; the model runs for documents only"
    return path, (Evidence(field="sparse.queryWeights", value=path, file=path, key="weight", note=note),)


def _describe(config: JsonObject, *, field: str, value: str, key: str) -> Evidence:
    there = config.values.get(key) is not None
    note = None if there else "not there; SpladePooling's own default"
    return Evidence(field=field, value=value, file=config.path, key=key, note=note)


def _describe_dimensions(reading: Reading) -> Evidence:
    word = reading.identified.word_tensor
    return Evidence(
        field="dimensions",
        value=str(reading.identified.vocabulary_size),
        file=word.file,
        key=word.name,
        note="the vocabulary: one dimension for each token",
    )
