"""A folder without modules.json and without a head that scores: nothing in it says what it is for.

An encoder may be an embedder with any pooling, a sparse model or an unfinished base; a language model is a chat model
unless somebody says otherwise. What the spec declares settles it, and for rerankers the card's pipeline_tag.
"""

from embedding_model.inspection.card import CARD_FILE
from embedding_model.inspection.identified import Head, Identified
from embedding_model.inspection.pooling import POOLING_FILE, holds_pooling
from embedding_model.inspection.reading import Reading
from embedding_model.inspection.verdict import RANKING_TAG, Decision, contradict_declared
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Declared, Evidence, Task

_OTHER_HEADS = {
    Head.TOKEN_CLASSIFICATION: "labels single tokens",
    Head.QUESTION_ANSWERING: "marks answers in a text",
}
_SETTLE = "If it is an embedder, set task to Embedding and embedding.pooling to the pooling that its authors name"
_TABLES = ("idf.json", "query_token_weights.txt")


def decide_bare(reading: Reading, *, declared: Declared) -> Decision:
    """The task of a folder that does not say it.

    Raises Refusal: AMBIGUOUS_TASK, NOT_AN_EMBEDDING_MODEL, TASK_MISMATCH, UNSUPPORTED_ARCHITECTURE,
    CONTRADICTORY_EVIDENCE.
    """
    found = reading.identified
    _check_library(reading)
    _check_other_heads(found)
    match declared.task:
        case Task.EMBEDDING:
            return _decide_embedder(reading, declared=declared)
        case Task.SPARSE:
            return _decide_sparse(reading)
        case Task.RERANKING if Head.CAUSAL_LANGUAGE_MODEL in found.heads:
            return _decide_token_logits(reading, file="spec", key="task", note="declared")
        case Task.RERANKING | Task.CLASSIFICATION:
            contradict_declared(
                declared.task,
                found="the weights hold no head that scores; it would be newly initialised with random numbers, other "
                "ones at every start",
            )
    if Head.CAUSAL_LANGUAGE_MODEL in found.heads:
        if reading.card.pipeline_tag == RANKING_TAG:
            return _decide_token_logits(reading, file=CARD_FILE, key="pipeline_tag", note="weak evidence")
        raise _language_model(found)
    _check_promised_head(reading)
    raise _bare_body(reading)


def _check_promised_head(reading: Reading) -> None:
    found = reading.identified
    promised = next((found.architectures[head] for head in sorted(found.missing_heads)), None)
    if promised is not None:
        raise Refusal(
            Reason.INCOMPLETE_WEIGHTS,
            f"{reading.config.path} names {promised}, but the weights hold no classifier or other head that scores; it "
            f"would be newly initialised with random numbers, other ones at every start. Use the complete weights. "
            f"{_SETTLE}",
        )


def _decide_embedder(reading: Reading, *, declared: Declared) -> Decision:
    if declared.pooling is None:
        raise Refusal(
            Reason.AMBIGUOUS_TASK,
            f"task is Embedding, but there is no modules.json: nothing says how the token vectors of this "
            f"{reading.identified.architectures[None]} become one vector (cls, mean or last-token pooling give "
            "different vectors). Set embedding.pooling to the one that its authors name",
            field="embedding.pooling",
        )
    return Decision(
        task=Task.EMBEDDING,
        head=None,
        evidence=Evidence(
            field="task", value=Task.EMBEDDING, file="spec", key="task", note="declared; there is no modules.json"
        ),
    )


def _decide_sparse(reading: Reading) -> Decision:
    if Head.MASKED_LANGUAGE_MODEL not in reading.identified.heads:
        contradict_declared(
            Task.SPARSE,
            found="the weights hold no masked-language-model head, which gives the weights of a sparse vector; it "
            "would be newly initialised with random numbers",
        )
    names = {file.path for file in reading.source.files()}
    table = next((name for name in _TABLES if name in names), None)
    if table is not None:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{table} says that queries are weighted by a table instead of the model (an inference-free model), but "
            "there is no modules.json that says how; use a revision saved with sentence-transformers (SparseEncoder)",
        )
    return Decision(
        task=Task.SPARSE,
        head=Head.MASKED_LANGUAGE_MODEL,
        evidence=Evidence(
            field="task", value=Task.SPARSE, file="spec", key="task", note="declared; there is no modules.json"
        ),
    )


def _decide_token_logits(reading: Reading, *, file: str, key: str, note: str) -> Decision:
    lost = [] if file == CARD_FILE else [reading.card.pipeline_tag]
    return Decision(
        task=Task.RERANKING,
        head=Head.CAUSAL_LANGUAGE_MODEL,
        evidence=Evidence(
            field="task",
            value=Task.RERANKING,
            file=file,
            key=key,
            note=f"{note}: a language model that scores by its token logits",
            overruled=tuple(
                f"{tag} ({CARD_FILE} pipeline_tag, weak)" for tag in lost if tag not in (None, RANKING_TAG)
            ),
        ),
    )


def _check_library(reading: Reading) -> None:
    if reading.library_model is not None:
        raise Refusal(
            Reason.AMBIGUOUS_TASK,
            f"{reading.library.path} says that this was saved as a {reading.library_model}, but modules.json, which "
            "says how, is not there: the copy is incomplete. Copy the whole repository",
        )


def _check_other_heads(found: Identified) -> None:
    other = next((head for head in _OTHER_HEADS if head in found.heads), None)
    if other is not None:
        raise Refusal(
            Reason.NOT_AN_EMBEDDING_MODEL,
            f"the weights hold the head of {found.architectures.get(other, other)}, which {_OTHER_HEADS[other]}; "
            "served are embedders, rerankers, classifiers of texts and sparse models",
        )


def _language_model(found: Identified) -> Refusal:
    name = found.architectures.get(Head.CAUSAL_LANGUAGE_MODEL, found.family)
    return Refusal(
        Reason.NOT_AN_EMBEDDING_MODEL,
        f"this is a language model ({name}), and no file says that it is anything else: a chat model is not served as "
        f"an embedder without a word. {_SETTLE}; if it is a reranker, set task to Reranking",
        field="task",
    )


def _bare_body(reading: Reading) -> Refusal:
    found = reading.identified
    sparse = Head.MASKED_LANGUAGE_MODEL in found.heads
    lost = holds_pooling(reading.source)
    other = "a sparse model (SPLADE), since the weights hold a language-model head" if sparse else "an unfinished base"
    return Refusal(
        Reason.AMBIGUOUS_TASK,
        f"there is no modules.json: this {found.architectures[None]} may be an embedder, but nothing says how its "
        f"token vectors become one vector (cls or mean pooling give different vectors), or {other}. {_SETTLE}"
        + ("; if it is a sparse model, set task to Sparse" if sparse else "")
        + (f". {POOLING_FILE} is there: if modules.json was lost on the way, copy it as well" if lost else ""),
        field="task",
    )
