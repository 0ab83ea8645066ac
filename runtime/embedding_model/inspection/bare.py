"""A folder without modules.json: no file says how token vectors become one vector, so it is always a refusal.

What differs is the reason: a model of another task is named as such, a bare encoder could be many things.
"""

from collections.abc import Sequence
from typing import NoReturn

from embedding_model.inspection.architecture import find_score_head, identify_family
from embedding_model.inspection.documents import read_object
from embedding_model.inspection.families import canonical_names
from embedding_model.inspection.quoting import escape
from embedding_model.inspection.tensors import read_tensors
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.selection import CONFIG_FILE
from embedding_model.sources.source import Source

_MASKED_LANGUAGE_HEADS = ("cls.predictions.", "lm_head.", "vocab_projector.")
_SAVE = (
    "save it with sentence-transformers (SentenceTransformer(modules=[...]).save_pretrained(...)), which writes "
    "modules.json, or use a repository that has one"
)


def refuse_without_modules(source: Source, *, selected: Sequence[str]) -> NoReturn:
    """Raises Refusal: NOT_AN_EMBEDDING_MODEL for a head that scores, AMBIGUOUS_TASK for a bare encoder, and what
    `identify_family` and `read_tensors` raise."""
    config = read_object(source, path=CONFIG_FILE)
    family = identify_family(config)
    tensors = read_tensors(source, files=[path for path in selected if path.endswith(".safetensors")])
    names = set(canonical_names(tensors, family=family).values())
    head = find_score_head(names)
    if head is not None:
        raise Refusal(
            Reason.NOT_AN_EMBEDDING_MODEL,
            f"the weights hold {escape(head[:120])}, a head that scores or classifies (a reranker or a classifier); "
            "only embedding models are served so far",
        )
    if any(name.startswith(_MASKED_LANGUAGE_HEADS) for name in names):
        raise Refusal(
            Reason.AMBIGUOUS_TASK,
            f"there is no modules.json, and the weights hold a language-model head: this may be a sparse model "
            f"(SPLADE), or an encoder before its training as an embedder. For dense embeddings, {_SAVE}",
        )
    raise Refusal(
        Reason.AMBIGUOUS_TASK,
        f"there is no modules.json: nothing says how the token vectors of this {family.architecture} become one vector "
        f"(cls or mean pooling give different vectors). If it is an embedder, {_SAVE}",
    )
