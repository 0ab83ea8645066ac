"""What all kinds of tokenizer.json have in common."""

from typing import Any

VOCABULARY = 64  # rows of every fixture's word embeddings; the tokenizers have fewer tokens, as real ones often have
WORDS = ("yes", "no", "query", "passage")


UNLIMITED = 1000000000000000019884624838656  # what transformers writes for a length that it does not know


def added(tokens: dict[str, int]) -> list[dict[str, Any]]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return [{"id": number, "content": token, **flags} for token, number in tokens.items()]


def decoder(tokens: dict[str, int]) -> dict[str, Any]:
    """added_tokens_decoder of tokenizer_config.json."""
    return {str(entry.pop("id")): entry for entry in added(tokens)}


def template(first: str | None, last: str | None, ids: dict[str, int]) -> dict[str, Any]:
    special = [token for token in (first, last) if token]

    def piece(token: str, kind: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": token, "type_id": kind}}

    def text(name: str, kind: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": kind}}

    single = [*([piece(first, 0)] if first else []), text("A", 0), *([piece(last, 0)] if last else [])]
    pair = [*single, text("B", 1), *([piece(last, 1)] if last else [])]
    tokens = {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in special}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}


def document(tokens: dict[str, int], **parts: Any) -> dict[str, Any]:
    """The tokenizers library's order of keys: the model with its vocabulary comes last."""
    order = ("normalizer", "pre_tokenizer", "post_processor", "decoder", "model")
    head = {"version": "1.0", "truncation": parts.get("truncation"), "padding": parts.get("padding")}
    return {**head, "added_tokens": added(tokens), **{key: parts.get(key) for key in order}}
