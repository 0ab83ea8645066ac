"""The product's own tokenizer of texts over a vocabulary of words, with special tokens around every text."""

from typing import Any

from runtime_under_test import resolved_model
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from embedding_runtime.core.tokenizer import TextTokenizer

WORDS = [f"w{index}" for index in range(64)]
VOCABULARY = {
    word: index for index, word in enumerate(["[CLS]", "[SEP]", "[UNK]", "query:", "document:", "hello", *WORDS])
}
FIRST, LAST = VOCABULARY["[CLS]"], VOCABULARY["[SEP]"]


def word_level(*, max_tokens: int, **serving: Any) -> TextTokenizer:
    backend = Tokenizer(models.WordLevel(vocab=VOCABULARY, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", FIRST), ("[SEP]", LAST)]
    )
    backend.add_special_tokens(["[CLS]", "[SEP]"])
    resolved = resolved_model(max_input_tokens=max_tokens, **serving)
    return TextTokenizer(backend, serving=resolved.serving)


def ids_of(text: str) -> list[int]:
    """Without special tokens."""
    return [VOCABULARY[word] for word in text.split()]
