"""A small tokenizer of BERT's kind, made here: whole words, pieces of words, special tokens around every text."""

from collections.abc import Mapping

import tokenizers
from runtime_under_test import resolved_model

from embedding_model.resolved import Side
from embedding_runtime.core.tokenizer import TextTokenizer, load_text_tokenizer

PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "hello", "world", "pod", "##s", "query", ":", "über", ".")
IDS = {piece: number for number, piece in enumerate(PIECES)}
CLS, SEP, UNKNOWN = IDS["[CLS]"], IDS["[SEP]"], IDS["[UNK]"]


def tokenizer_files() -> Mapping[str, bytes]:
    built = tokenizers.BertWordPieceTokenizer(vocab=dict(IDS), lowercase=True, strip_accents=False)
    return {"tokenizer.json": built.to_str().encode()}


def text_tokenizer(*, max_tokens: int = 16, side: Side = Side.RIGHT) -> TextTokenizer:
    serving = resolved_model(max_input_tokens=max_tokens, truncation_side=side).serving
    return load_text_tokenizer(tokenizer_files(), serving=serving, family="bert")
