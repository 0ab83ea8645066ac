"""Which tokenizer belongs to a model: it takes what the model's task is about, texts or pairs or both."""

from collections.abc import Mapping

from embedding_model.resolved import Inspection, Serving, Task
from embedding_runtime.core.end_token import require_end_token
from embedding_runtime.core.pair_tokenizer import load_pair_tokenizer
from embedding_runtime.core.template_tokenizer import load_template_tokenizer
from embedding_runtime.core.tokenizer import load_text_tokenizer
from embedding_runtime.core.tokenizing import Tokenizer


def load_tokenizer(files: Mapping[str, bytes | bytearray], *, inspection: Inspection, serving: Serving) -> Tokenizer:
    """`files` are those of the transformer's own folder. Raises Refusal: MISSING_FILE, INVALID_FILE,
    CONTRADICTORY_EVIDENCE for a tokenizer that does not put the end token behind a text, INVALID_OVERRIDE.
    """
    if inspection.scoring is not None and inspection.scoring.template is not None:
        return load_template_tokenizer(files, inspection=inspection, serving=serving)
    if inspection.task in (Task.RERANKING, Task.CLASSIFICATION):
        return load_pair_tokenizer(files, inspection=inspection, serving=serving)
    tokenizer = load_text_tokenizer(files, serving=serving, family=inspection.family)
    if inspection.end_token is None:
        return tokenizer
    return require_end_token(tokenizer, end_token=inspection.end_token)
