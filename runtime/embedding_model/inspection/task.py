"""Which task a model has: weights over config.json, config.json over names; a doubt is a refusal with both readings.

With modules.json the modules say what the folder was saved as, and the weights must hold what they need. Without it
the head in the weights decides: a head that scores is a reranker (one logit) or a classifier; a language-model head
proves nothing about retrieval, so somebody must say it, in the card (weak evidence) or in the spec.
"""

from dataclasses import dataclass

from embedding_model.inspection.bare import decide_bare
from embedding_model.inspection.documents import join
from embedding_model.inspection.gguf_model import GgufModel
from embedding_model.inspection.identified import Head
from embedding_model.inspection.pipeline import Kind, Pipeline
from embedding_model.inspection.reading import Reading
from embedding_model.inspection.scoring_head import decide_scoring_head
from embedding_model.inspection.verdict import Decision, contradict_declared, tag_overruled
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Declared, Evidence, Task
from embedding_model.sources.weight_files import TOKEN_HEAD_PICKLES


@dataclass(frozen=True)
class _Need:
    """What a pipeline says the task is, the head that its weights must hold, and the library's class for it."""

    task: Task
    head: Head | None
    library_model: str


_NEEDS = {
    Kind.EMBEDDER: _Need(Task.EMBEDDING, None, "SentenceTransformer"),
    Kind.CROSS_ENCODER: _Need(Task.RERANKING, Head.SEQUENCE_CLASSIFICATION, "CrossEncoder"),
    Kind.LOGIT_SCORE: _Need(Task.RERANKING, Head.CAUSAL_LANGUAGE_MODEL, "CrossEncoder"),
    Kind.SPLADE: _Need(Task.SPARSE, Head.MASKED_LANGUAGE_MODEL, "SparseEncoder"),
}
_TAGS = {
    Task.EMBEDDING: frozenset({"feature-extraction", "sentence-similarity"}),
    Task.RERANKING: frozenset({"text-ranking", "text-classification"}),
    Task.CLASSIFICATION: frozenset({"text-classification", "zero-shot-classification"}),
    Task.SPARSE: frozenset({"feature-extraction", "fill-mask"}),
}


def decide_task(reading: Reading, *, declared: Declared) -> Decision:
    """The task, the head that serves it and why.

    Raises Refusal: AMBIGUOUS_TASK, CONTRADICTORY_EVIDENCE, TASK_MISMATCH, NOT_AN_EMBEDDING_MODEL, INCOMPLETE_WEIGHTS.
    """
    if reading.gguf is not None:
        return _decide_gguf(reading, model=reading.gguf, declared=declared)
    if reading.pipeline is not None:
        return _decide_by_modules(reading, pipeline=reading.pipeline, declared=declared)
    if Head.SEQUENCE_CLASSIFICATION in reading.identified.heads:
        return decide_scoring_head(reading, declared=declared)
    return decide_bare(reading, declared=declared)


def _decide_gguf(reading: Reading, *, model: GgufModel, declared: Declared) -> Decision:
    """A pooling in the file makes it an embedder; without one it is as bare as any language model."""
    if declared.task in (None, Task.EMBEDDING) and model.pooling is not None:
        return Decision(
            task=Task.EMBEDDING,
            head=None,
            evidence=Evidence(
                field="task",
                value=Task.EMBEDDING,
                file=model.path,
                key=model.pooling_key,
                note="it names a pooling",
                overruled=tag_overruled(reading.card, expected=_TAGS[Task.EMBEDDING]),
            ),
        )
    if declared.task not in (None, Task.EMBEDDING):
        contradict_declared(declared.task, found=f"{model.path} is a GGUF file, from which only embedders are served")
    decision = decide_bare(reading, declared=declared)
    if decision.task is not Task.EMBEDDING:
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"{model.path} is a model for {decision.task} ({decision.evidence.file} {decision.evidence.key}); only "
            "embedders are served from a GGUF file: use the safetensors weights that it was made from",
        )
    return decision


def _decide_by_modules(reading: Reading, *, pipeline: Pipeline, declared: Declared) -> Decision:
    need = _NEEDS[pipeline.kind]
    _check_library(reading, pipeline=pipeline, need=need)
    if need.head is not None and need.head not in reading.identified.heads:
        raise Refusal(
            Reason.INCOMPLETE_WEIGHTS,
            f"{pipeline.file} describes {pipeline.kind}, but the weights hold no such head "
            f"({need.head} of {reading.identified.family}); it would be newly initialised with random numbers. Use the "
            "complete weights",
        )
    if pipeline.kind is Kind.CROSS_ENCODER:
        return decide_scoring_head(reading, declared=declared)
    if pipeline.kind is Kind.EMBEDDER and Head.SEQUENCE_CLASSIFICATION in reading.identified.heads:
        return _settle_extra_head(reading, declared=declared)
    if declared.task not in (None, need.task):
        contradict_declared(
            declared.task,
            found=f"{pipeline.file} ({pipeline.describe()}) makes it a model for {need.task}",
            hint=_explain_missing_head(reading, task=declared.task),
        )
    return Decision(
        task=need.task,
        head=need.head,
        evidence=Evidence(
            field="task",
            value=need.task,
            file=pipeline.file,
            note=pipeline.describe() + _describe_ignored(reading),
            overruled=tag_overruled(reading.card, expected=_TAGS[need.task]),
        ),
    )


def _settle_extra_head(reading: Reading, *, declared: Declared) -> Decision:
    """An embedder's modules over weights with a trained head that scores: only the spec can say which is meant."""
    if declared.task is None:
        tensor = reading.identified.head_tensor
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            "modules.json describes an embedding model (Embedding), but the weights hold "
            f"{tensor.name if tensor else 'a head'} ({reading.identified.label_count} rows), a head that scores "
            "(Reranking or Classification): set task to the one that is meant",
            field="task",
        )
    if declared.task is not Task.EMBEDDING:
        return decide_scoring_head(reading, declared=declared)
    pipeline = reading.pipeline
    return Decision(
        task=Task.EMBEDDING,
        head=None,
        evidence=Evidence(
            field="task",
            value=Task.EMBEDDING,
            file="spec",
            key="task",
            note=f"declared; modules.json: {pipeline.describe() if pipeline else ''}",
            overruled=(f"a head of {reading.identified.label_count} rows in the weights",),
        ),
    )


def _check_library(reading: Reading, *, pipeline: Pipeline, need: _Need) -> None:
    found = reading.library_model
    if found not in (None, need.library_model):
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"{reading.library.path} says model_type {found}, but {pipeline.file} ({pipeline.describe()}) describes "
            f"{pipeline.kind} ({need.library_model}): the two files belong to different models",
        )


def _explain_missing_head(reading: Reading, *, task: Task | None) -> str:
    scores = task in (Task.RERANKING, Task.CLASSIFICATION)
    if scores and Head.SEQUENCE_CLASSIFICATION not in reading.identified.heads:
        return "; the weights hold no head that scores, so one would be newly initialised with random numbers"
    return ""


def _describe_ignored(reading: Reading) -> str:
    """bge-m3 keeps its sparse and multi-vector heads in pickles beside the dense model."""
    names = {file.path for file in reading.source.files()}
    pickles = {join(reading.folder, name) for name in TOKEN_HEAD_PICKLES}
    ignored = sorted(path for path in names & pickles if f"{path[:-3]}.safetensors" not in names)
    if not ignored:
        return ""
    return f"; {' and '.join(ignored)} {'is a pickle' if len(ignored) == 1 else 'are pickles'}, not served unconverted"
