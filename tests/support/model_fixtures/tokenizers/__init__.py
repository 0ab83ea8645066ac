"""Tokenizers that work, with a vocabulary of letters: tokenizer.json and the files beside it."""

from model_fixtures.tokenizers.bytes_and_pairs import llama, modernbert, qwen, qwen_ids, roberta
from model_fixtures.tokenizers.document import UNLIMITED, VOCABULARY
from model_fixtures.tokenizers.words import deberta, sentencepiece, wordpiece

__all__ = [
    "UNLIMITED",
    "VOCABULARY",
    "deberta",
    "llama",
    "modernbert",
    "qwen",
    "qwen_ids",
    "roberta",
    "sentencepiece",
    "wordpiece",
]
