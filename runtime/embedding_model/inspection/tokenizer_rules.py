"""What transformers' tokenizer classes make of a tokenizer.json.

A class with rules of its own takes vocabulary, merges and character map from tokenizer.json and builds everything else
anew from tokenizer_config.json (transformers 5: TokenizersBackend.convert_to_native_format and the classes in
models/*/tokenization_*.py). Where the two files disagree, sentence-transformers gives other token ids than
tokenizer.json by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a class builds its tokenizer. AS_SAVED: from tokenizer.json alone; NOT_COMPARED: its rules are not here."""

    AS_SAVED = "as saved"
    NOT_COMPARED = "not compared"
    WORDPIECE = "WordPiece"
    BYTE_LEVEL = "byte-level BPE"
    SENTENCEPIECE = "SentencePiece"


@dataclass(frozen=True)
class Rules:
    """`first` and `last` name the special tokens around a text; `specials` gives each special token's default.

    `algorithm` is the type of tokenizer.json's model; None where it is seen from the rules themselves.
    """

    kind: Kind
    algorithm: str | None = None
    first: str = "cls_token"
    last: str = "sep_token"
    specials: Mapping[str, str] | None = None


_BERT_SPECIALS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_ROBERTA_SPECIALS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "cls_token": "<s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}
_AS_SAVED = Rules(Kind.AS_SAVED)
_OTHER_BPE = Rules(Kind.NOT_COMPARED, algorithm="BPE")
_OTHER_UNIGRAM = Rules(Kind.NOT_COMPARED, algorithm="Unigram")
_BERT = Rules(Kind.WORDPIECE, specials=_BERT_SPECIALS)
_ROBERTA = Rules(Kind.BYTE_LEVEL, specials=_ROBERTA_SPECIALS)
_XLM_ROBERTA = Rules(Kind.SENTENCEPIECE, first="bos_token", last="eos_token", specials=_ROBERTA_SPECIALS)

# By class name without "Fast". The aliases are transformers' own.
CLASSES: Mapping[str, Rules] = {
    "TokenizersBackend": _AS_SAVED,
    "PreTrainedTokenizer": _AS_SAVED,
    "BertTokenizer": _BERT,
    "ElectraTokenizer": _BERT,
    "DistilBertTokenizer": _BERT,
    "MPNetTokenizer": Rules(Kind.WORDPIECE, specials={**_ROBERTA_SPECIALS, "unk_token": "[UNK]"}),
    "RobertaTokenizer": _ROBERTA,
    "LongformerTokenizer": _ROBERTA,
    "XLMRobertaTokenizer": _XLM_ROBERTA,
    "CamembertTokenizer": _XLM_ROBERTA,
    "AlbertTokenizer": _OTHER_UNIGRAM,
    "CodeLlamaTokenizer": _OTHER_BPE,
    "DebertaTokenizer": _OTHER_BPE,
    "DebertaV2Tokenizer": _OTHER_UNIGRAM,
    "GPT2Tokenizer": _OTHER_BPE,
    "GPTNeoXTokenizer": _OTHER_BPE,
    "GemmaTokenizer": _OTHER_BPE,
    "LlamaTokenizer": _OTHER_BPE,
    "Qwen2Tokenizer": _OTHER_BPE,
    "T5Tokenizer": _OTHER_UNIGRAM,
}

# The class that AutoTokenizer takes where no file names one (models/auto/tokenization_auto.py).
_DEFAULT_CLASSES: Mapping[str, str] = {
    "albert": "AlbertTokenizer",
    "bert": "BertTokenizer",
    "camembert": "CamembertTokenizer",
    "deberta-v2": "DebertaV2Tokenizer",
    "distilbert": "BertTokenizer",
    "electra": "BertTokenizer",
    "gemma": "GemmaTokenizer",
    "gemma2": "GemmaTokenizer",
    "gemma3_text": "GemmaTokenizer",
    "gte": "XLMRobertaTokenizer",
    "jina_embeddings_v3": "XLMRobertaTokenizer",
    "mpnet": "MPNetTokenizer",
    "nomic_bert": "BertTokenizer",
    "qwen2": "Qwen2Tokenizer",
    "qwen3": "Qwen2Tokenizer",
    "roberta": "RobertaTokenizer",
    "t5": "T5Tokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
}


def default_class(family: str) -> str:
    """For families that are not in its table AutoTokenizer takes tokenizer.json as it stands."""
    return _DEFAULT_CLASSES.get(family, "TokenizersBackend")
