"""Inspect a folder: what its own files say the model is, and which file said so.

    reading     small files and the headers of the weights; what the weights are (architecture.identify)
    task        which task that makes it; a doubt is a refusal that names both readings
    embedder, reranker, classifier, sparse      the values of the task
    assembly    one Inspection

Whether this version can serve it is another question (`embedding_model.served`).
"""

from embedding_model.inspection.assembly import TaskValues, assemble
from embedding_model.inspection.classifier import read_classifier
from embedding_model.inspection.embedder import read_embedder
from embedding_model.inspection.gguf_model import name_keys
from embedding_model.inspection.reading import Reading, read_model
from embedding_model.inspection.reranker import read_reranker
from embedding_model.inspection.sparse import read_sparse
from embedding_model.inspection.task import decide_task
from embedding_model.inspection.verdict import Decision
from embedding_model.resolved import Declared, Inspection, Task
from embedding_model.sources.source import Source


def inspect(source: Source, *, declared: Declared | None = None) -> Inspection:
    """What the model is. Reads small files and the headers of safetensors files, never the weights.

    `declared` settles what the files leave open. Raises Refusal for whatever cannot be understood or decided, its
    `field` naming the spec field that settles it; TASK_MISMATCH where the files contradict what is declared; and what
    the source raises (Unavailable).
    """
    declared = declared or Declared()
    reading = read_model(source)
    decision = decide_task(reading, declared=declared)
    values = _read_values(reading, decision=decision, declared=declared)
    found = assemble(reading, decision=decision, values=values)
    return found if reading.gguf is None else name_keys(found, model=reading.gguf)


def _read_values(reading: Reading, *, decision: Decision, declared: Declared) -> TaskValues:
    match decision.task:
        case Task.EMBEDDING:
            return read_embedder(reading, declared=declared)
        case Task.RERANKING:
            return read_reranker(reading, decision=decision)
        case Task.CLASSIFICATION:
            return read_classifier(reading)
        case Task.SPARSE:
            return read_sparse(reading)
