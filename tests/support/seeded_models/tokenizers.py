"""Small tokenizers that really work: every text becomes tokens, most words several of them."""

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

WORDS = (
    "a an and the of to in is it its on for with as by at from that this not are was be or which who what where when "
    "how why yes no query document text search find capital france paris city river weather today sunny lovely quick "
    "brown fox jumps over lazy dog man eating food someone having meal kubernetes pod restart node cluster model "
    "vector space embedding operator relevant answer question instruct given web retrieve passages"
).split()
_ENDINGS = ("s", "ed", "ing", "er", "ly", "ion", "ment", "ness", "able")


@dataclass(frozen=True)
class WordPiece:
    """Words, their endings and single letters; anything else is unknown.

    `first` and `last` stand around a text; "" for none. `between` stands between the two texts of a pair, and `types`
    tells whether the second is of type 1.
    """

    first: str
    last: str
    between: tuple[str, ...]
    pad: str
    unknown: str
    mask: str
    specials: tuple[str, ...]
    types: bool = False
    lowercase: bool = True

    def vocabulary(self) -> dict[str, int]:
        letters = string.ascii_lowercase + string.digits + string.punctuation
        pieces = [*self.specials, *letters, *(f"##{letter}" for letter in letters), *WORDS]
        pieces += [f"##{ending}" for ending in _ENDINGS]
        return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}

    def ids(self) -> dict[str, Any]:
        """What config.json says of the tokenizer."""
        known = self.vocabulary()
        first = {"bos_token_id": known[self.first], "cls_token_id": known[self.first]} if self.first else {}
        return {
            "vocab_size": len(known),
            "pad_token_id": known[self.pad],
            "eos_token_id": known[self.last],
            "sep_token_id": known[self.last],
            "mask_token_id": known[self.mask],
            **first,
        }

    def save(self, folder: Path, *, max_length: int) -> None:
        known = self.vocabulary()
        tokenizer = Tokenizer(models.WordPiece(vocab=known, unk_token=self.unknown, max_input_chars_per_word=100))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=self.lowercase)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        head = [self.first] if self.first else []
        second = 1 if self.types else 0
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[*head, "$A", self.last],
            pair=[*head, "$A", *self.between, f"$B:{second}", f"{self.last}:{second}"],
            special_tokens=[(token, known[token]) for token in {*head, self.last, *self.between}],
        )
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in self.specials])
        named = {
            "pad_token": self.pad,
            "unk_token": self.unknown,
            "sep_token": self.last,
            "eos_token": self.last,
            "mask_token": self.mask,
            **({"cls_token": self.first, "bos_token": self.first} if self.first else {}),
        }
        _write(folder, tokenizer=tokenizer, named=named, max_length=max_length)


@dataclass(frozen=True)
class ByteLevel:
    """Byte-level BPE with Qwen's special tokens. `end` stands behind every text; None: nothing does.

    `first` stands before it. `pad` None: the tokenizer has no token to pad with.
    """

    end: str | None = "<|endoftext|>"
    first: str | None = None
    pad: str | None = "<|endoftext|>"
    specials: tuple[str, ...] = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
    settings: Mapping[str, Any] = field(default_factory=dict)

    def vocabulary(self) -> dict[str, int]:
        """The 256 bytes, then the merges of WORDS, then the special tokens."""
        pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in _merges()), *self.specials]
        return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}

    def ids(self) -> dict[str, Any]:
        known = self.vocabulary()
        return {
            "vocab_size": len(known),
            "pad_token_id": known[self.pad] if self.pad else None,
            "bos_token_id": known[self.first] if self.first else None,
            "eos_token_id": known[self.end or self.specials[0]],
        }

    def save(self, folder: Path, *, max_length: int) -> None:
        known = self.vocabulary()
        words = {piece: index for piece, index in known.items() if piece not in self.specials}
        tokenizer = Tokenizer(models.BPE(vocab=words, merges=_merges()))
        tokenizer.normalizer = normalizers.NFC()
        split = pre_tokenizers.Split(Regex(r"\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+"), behavior="isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in self.specials])
        frame = {token for token in (self.first, self.end) if token}
        byte_level = processors.ByteLevel(trim_offsets=False)
        tokenizer.post_processor = byte_level
        if frame:
            head, tail = [self.first] if self.first else [], [self.end] if self.end else []
            template = processors.TemplateProcessing(
                single=[*head, "$A", *tail],
                pair=[*head, "$A", *tail, *head, "$B", *tail],
                special_tokens=[(token, known[token]) for token in frame],
            )
            tokenizer.post_processor = processors.Sequence([byte_level, template])
        named = {"eos_token": self.end or self.specials[0], **({"pad_token": self.pad} if self.pad else {})}
        if self.first:
            named["bos_token"] = self.first
        _write(folder, tokenizer=tokenizer, named=named, max_length=max_length, **self.settings)


def _merges() -> list[tuple[str, str]]:
    """What builds each of WORDS letter by letter, alone and behind a blank (written as U+0120)."""
    merges: dict[tuple[str, str], None] = {}
    for word in (*WORDS, *(f"\u0120{word}" for word in WORDS)):
        for end in range(1, len(word)):
            merges[(word[:end], word[end])] = None
    return list(merges)


def _write(folder: Path, *, tokenizer: Tokenizer, named: Mapping[str, str], max_length: int, **more: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_length, **named, **more}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))


def _bert_like(*specials: str, last: str, between: Sequence[str], types: bool) -> WordPiece:
    first, pad, unknown, mask = specials
    order = (first, pad, last, unknown, mask) if first == "<s>" else (pad, unknown, first, last, mask)
    return WordPiece(
        first=first,
        last=last,
        between=tuple(between),
        pad=pad,
        unknown=unknown,
        mask=mask,
        specials=order,
        types=types,
    )


BERT = _bert_like("[CLS]", "[PAD]", "[UNK]", "[MASK]", last="[SEP]", between=("[SEP]",), types=True)
ROBERTA = _bert_like("<s>", "<pad>", "<unk>", "<mask>", last="</s>", between=("</s>", "</s>"), types=False)
T5 = WordPiece(
    first="",
    last="</s>",
    between=("</s>",),
    pad="<pad>",
    unknown="<unk>",
    mask="<extra_id_0>",
    specials=("<pad>", "</s>", "<unk>", "<extra_id_0>"),
)
QWEN = ByteLevel()
# Llama's, Mistral's and Gemma's frame around byte-level pieces: a token before a text and one behind it.
LLAMA = ByteLevel(
    first="<s>", end="</s>", pad="<pad>", specials=("<pad>", "<s>", "</s>"), settings={"padding_side": "left"}
)
