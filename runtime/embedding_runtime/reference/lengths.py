"""How long an input may be, which side of a longer one is kept, and a token to pad with, for models of the library."""

from typing import Any

from embedding_model.refusal import Reason
from embedding_model.resolved import Inspection, Serving
from embedding_runtime.reference.libraries import refuse

_SPEC = "spec"  # the file of evidence that the user wrote


def apply_lengths(model: Any, *, serving: Serving, inspection: Inspection, is_saved: bool) -> None:
    """Put what the spec overrides, and what no file says, into a model of sentence-transformers.

    `is_saved`: the library's own files say the length. It takes the number of positions for it where they do not, of
    which some families use two for no token: a longer input would fail in the network.

    Raises Refusal(CONTRADICTORY_EVIDENCE) where the library cuts at less than what is served. No case might tell: the
    texts are as long as what is served and, where that is too long to be asked, none need reach the library's length.
    """
    tokenizer = model.tokenizer
    is_asked = serving.max_input_tokens != inspection.max_input_tokens
    if is_asked or not is_saved or is_overridden("maxInputTokens", inspection=inspection):
        model.max_seq_length = serving.max_input_tokens
    elif model.max_seq_length is None or model.max_seq_length > inspection.positions:
        model.max_seq_length = inspection.positions
    elif model.max_seq_length == getattr(model.config, "max_position_embeddings", -1) < inspection.positions:
        model.max_seq_length = serving.max_input_tokens  # the library counts no positions that are stretched
    if model.max_seq_length < serving.max_input_tokens:
        raise refuse(
            Reason.CONTRADICTORY_EVIDENCE,
            f"sentence-transformers reads at most {model.max_seq_length} tokens of an input, by the model's files, and "
            f"{serving.max_input_tokens} are served. Set embedding.maxInputTokens to the one that is right.",
        )
    if serving.truncation_side is not inspection.truncation_side:
        tokenizer.truncation_side = serving.truncation_side.value.lower()
    if tokenizer.pad_token is None:
        # Every text is computed alone, so nothing is ever padded; the library insists on a token all the same.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token


def is_overridden(field: str, *, inspection: Inspection) -> bool:
    """Whether the spec says it, be it what inspection found as well."""
    return any(evidence.field == field and evidence.file == _SPEC for evidence in inspection.evidence)
