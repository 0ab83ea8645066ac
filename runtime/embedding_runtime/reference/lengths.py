"""How long an input may be, which side of a longer one is kept, and a token to pad with, for models of the library."""

from typing import Any

from embedding_model.resolved import Inspection, Serving


def apply_lengths(model: Any, *, serving: Serving, inspection: Inspection, is_saved: bool) -> None:
    """Put what the spec overrides, and what no file says, into a model of sentence-transformers.

    `is_saved`: the library's own files say the length. It takes the number of positions for it where they do not, of
    which some families use two for no token: a longer input would fail in the network.
    """
    tokenizer = model.tokenizer
    if serving.max_input_tokens != inspection.max_input_tokens or not is_saved:
        model.max_seq_length = serving.max_input_tokens
    elif model.max_seq_length is None or model.max_seq_length > inspection.positions:
        model.max_seq_length = inspection.positions
    if serving.truncation_side is not inspection.truncation_side:
        tokenizer.truncation_side = serving.truncation_side.value.lower()
    if tokenizer.pad_token is None:
        # Every text is computed alone, so nothing is ever padded; the library insists on a token all the same.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
