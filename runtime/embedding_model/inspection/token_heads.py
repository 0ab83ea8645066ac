"""Further heads of an embedder, which read the hidden state of every token: bge-m3's sparse and multi-vector heads.

Each is one linear layer in a file of its own beside the weights (FlagEmbedding, EncoderOnlyEmbedderM3Model): published
as pickles, served from the safetensors files that they are converted to.
"""

from embedding_model.inspection.documents import join
from embedding_model.inspection.reading import Reading
from embedding_model.inspection.tensors import Tensor, read_tensors
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence, TokenHead, TokenHeadKind
from embedding_model.sources.weight_files import MULTI_VECTOR_HEAD, SPARSE_HEAD

_NAMES = {TokenHeadKind.SPARSE: SPARSE_HEAD, TokenHeadKind.MULTI_VECTOR: MULTI_VECTOR_HEAD}
_NOTES = {
    TokenHeadKind.SPARSE: "a weight for each token of the text, by its number in the vocabulary",
    TokenHeadKind.MULTI_VECTOR: "a vector for each token of the text but the first",
}


def read_token_heads(reading: Reading) -> tuple[tuple[TokenHead, ...], tuple[Evidence, ...]]:
    """The heads that are there. Raises Refusal(CONTRADICTORY_EVIDENCE) for a layer that does not fit the model."""
    paths = {kind: join(reading.folder, f"{name}.safetensors") for kind, name in _NAMES.items()}
    heads = tuple(_read_head(reading, kind=kind, path=path) for kind, path in paths.items() if path in reading.selected)
    return heads, tuple(_describe(head) for head in heads)


def _read_head(reading: Reading, *, kind: TokenHeadKind, path: str) -> TokenHead:
    tensors = read_tensors(reading.source, files=[path])
    width = reading.identified.hidden_size
    rows = _count_rows(tensors.get("weight"), width=width)
    fits = set(tensors) == {"weight", "bias"} and all(tensor.is_floating for tensor in tensors.values())
    if not fits or rows is None or tensors["bias"].shape != (rows,) or (kind is TokenHeadKind.SPARSE and rows != 1):
        wanted = "one output" if kind is TokenHeadKind.SPARSE else "one output or more"
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"{path}: expected `weight` and `bias` of a linear layer from the {width} values of a token's hidden state "
            f"to {wanted}; the file belongs to another model",
        )
    return TokenHead(kind=kind, file=path, output_dimensions=rows)


def _count_rows(weight: Tensor | None, *, width: int) -> int | None:
    """The outputs of a linear layer over `width` values; None for what is none."""
    if weight is None or len(weight.shape) != 2 or weight.shape[1] != width or weight.shape[0] < 1:
        return None
    return weight.shape[0]


def _describe(head: TokenHead) -> Evidence:
    shown = f"{head.kind} ({head.output_dimensions})"
    return Evidence(field="tokenHeads", value=shown, file=head.file, key="weight", note=_NOTES[head.kind])
