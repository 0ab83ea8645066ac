"""Whether this version's runtime serves a model that inspection has understood."""

from dataclasses import dataclass

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Pooling, Task

# Families whose forward pass the runtime has, by their name in `inspection.families`.
FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "mpnet", "distilbert"})

_NAMES = {
    Task.EMBEDDING: "an embedding model",
    Task.RERANKING: "a reranker",
    Task.CLASSIFICATION: "a classifier",
    Task.SPARSE: "a sparse model",
}


@dataclass(frozen=True)
class Embedder:
    """The parts of an inspection that every dense embedder has."""

    pooling: Pooling
    normalize: bool
    dimensions: int


def require_served(inspection: Inspection) -> Embedder:
    """Raises Refusal(UNSUPPORTED_ARCHITECTURE) for what is understood but not served by this version."""
    what = f"this is {_NAMES[inspection.task]} ({inspection.architecture})"
    if inspection.task is not Task.EMBEDDING:
        raise Refusal(Reason.UNSUPPORTED_ARCHITECTURE, f"{what}; this version serves embedding models only")
    if inspection.family not in FAMILIES:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{what}; the embedding models that this version serves are of the families {', '.join(sorted(FAMILIES))}",
        )
    if inspection.modules:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{what} with the module {inspection.modules[0].kind} after pooling, which this version does not serve; "
            "without it every vector would be wrong",
        )
    if inspection.pooling is None or inspection.normalize is None or inspection.dimensions is None:
        raise ValueError("the inspection of an embedding model has pooling, normalize and dimensions")
    return Embedder(pooling=inspection.pooling, normalize=inspection.normalize, dimensions=inspection.dimensions)
