"""Tokenizers that split at blanks first: WordPiece and SentencePiece Unigram."""

import base64
import string
import struct
from typing import Any

from model_fixtures.formats import json_file
from model_fixtures.tokenizers.document import WORDS, added, decoder, document, template


def wordpiece(
    *,
    kind: str = "BertTokenizer",
    length: float | None = 512,
    lowercase: bool = True,
    vocab_txt: bool = True,
    truncation: int | None = None,
    mpnet: bool = False,
    **config: Any,
) -> dict[str, bytes]:
    """BERT's and MPNet's. `truncation` is what tokenizer.json was saved with, which must not count as a length."""
    if mpnet:
        specials = {"<s>": 0, "<pad>": 1, "</s>": 2, "[UNK]": 3, "<mask>": 4}
        first, last, pad, unknown, mask = "<s>", "</s>", "<pad>", "[UNK]", "<mask>"
    else:
        specials = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
        first, last, pad, unknown, mask = "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"
    pieces = [*specials, *string.ascii_lowercase, *(f"##{letter}" for letter in "aeiourstln"), *WORDS]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    saved = document(
        specials,
        normalizer={
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": lowercase,
        },
        pre_tokenizer={"type": "BertPreTokenizer"},
        post_processor=(
            {
                "type": "RobertaProcessing",
                "sep": [last, 2],
                "cls": [first, 0],
                "trim_offsets": True,
                "add_prefix_space": False,
            }
            if mpnet
            else template(first, last, vocabulary)
        ),
        decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
        model={
            "type": "WordPiece",
            "unk_token": unknown,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
        truncation=None
        if truncation is None
        else {"direction": "Right", "max_length": truncation, "strategy": "LongestFirst", "stride": 0},
        padding=None
        if truncation is None
        else {
            "strategy": {"Fixed": truncation},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": pad,
        },
    )
    settings = {
        "cls_token": first,
        "do_basic_tokenize": True,
        "do_lower_case": lowercase,
        "mask_token": mask,
        "model_max_length": length,
        "never_split": None,
        "pad_token": pad,
        "sep_token": last,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": kind,
        "unk_token": unknown,
        **({"bos_token": first, "eos_token": last} if mpnet else {}),
        **config,
    }
    files = {
        "tokenizer.json": json_file(saved),
        "tokenizer_config.json": json_file({key: value for key, value in settings.items() if key != "drop"}),
        "special_tokens_map.json": json_file(
            {"cls_token": first, "mask_token": mask, "pad_token": pad, "sep_token": last, "unk_token": unknown}
        ),
    }
    return {**files, "vocab.txt": "".join(f"{piece}\n" for piece in pieces).encode()} if vocab_txt else files


def _charsmap() -> str:
    """An empty map in SentencePiece's form: a trie that knows no character, then the replacements."""
    trie = struct.pack("<256I", *([0] * 256))
    return base64.b64encode(struct.pack("<I", len(trie)) + trie + b"\0").decode()


def sentencepiece(
    *, kind: str = "XLMRobertaTokenizer", length: float | None = 512, truncation: int | None = None, **config: Any
) -> dict[str, bytes]:
    """XLM-RoBERTa's."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "\u2581", *string.ascii_lowercase, *(f"\u2581{word}" for word in WORDS)]
    vocabulary = [[piece, 0.0 if index < 4 else -float(index)] for index, piece in enumerate(pieces)]
    mask = len(pieces)
    specials = {piece: index for index, piece in enumerate(pieces[:4])}
    tokens = {**specials, "<mask>": mask}
    entries = added(tokens)
    entries[-1]["lstrip"] = True
    saved = document(
        tokens,
        normalizer={"type": "Precompiled", "precompiled_charsmap": _charsmap()},
        pre_tokenizer={
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
            ],
        },
        post_processor={
            **template("<s>", "</s>", specials),
            "pair": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "</s>", "type_id": 0}},
                {"SpecialToken": {"id": "</s>", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 0}},
                {"SpecialToken": {"id": "</s>", "type_id": 0}},
            ],
        },
        decoder={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        model={"type": "Unigram", "unk_id": 3, "vocab": [*vocabulary, ["<mask>", 0.0]], "byte_fallback": False},
        truncation=None
        if truncation is None
        else {"direction": "Right", "max_length": truncation, "strategy": "LongestFirst", "stride": 0},
    )
    saved["added_tokens"] = entries
    mask_token = {
        "__type": "AddedToken",
        "content": "<mask>",
        "lstrip": True,
        "normalized": True,
        "rstrip": False,
        "single_word": False,
    }
    named = {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
    }
    settings = {
        **named,
        "mask_token": {**mask_token, "normalized": False},
        "model_max_length": length,
        "tokenizer_class": kind,
        **config,
    }
    return {
        "tokenizer.json": json_file(saved),
        "tokenizer_config.json": json_file(settings),
        "special_tokens_map.json": json_file({**named, "mask_token": {**mask_token, "normalized": False}}),
        "sentencepiece.bpe.model": b"\x0a\x0e\x0a\x03<s>\x15\x00\x00\x00\x00\x18\x03",
    }


def deberta(*, length: float | None = 512, slow_only: bool = False, **config: Any) -> dict[str, bytes]:
    """DeBERTa v2 and v3: Unigram, and a class of its own."""
    pieces = [
        "[PAD]",
        "[CLS]",
        "[SEP]",
        "[UNK]",
        "\u2581",
        *string.ascii_lowercase,
        *(f"\u2581{word}" for word in WORDS),
    ]
    vocabulary = [[piece, 0.0 if index < 4 else -float(index)] for index, piece in enumerate(pieces)]
    mask = len(pieces)
    specials = {**{piece: index for index, piece in enumerate(pieces[:4])}, "[MASK]": mask}
    saved = document(
        specials,
        normalizer={
            "type": "Sequence",
            "normalizers": [
                {"type": "Strip", "strip_left": True, "strip_right": True},
                {"type": "Precompiled", "precompiled_charsmap": _charsmap()},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        },
        pre_tokenizer={
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
            ],
        },
        post_processor=template("[CLS]", "[SEP]", specials),
        decoder={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        model={"type": "Unigram", "unk_id": 3, "vocab": [*vocabulary, ["[MASK]", 0.0]], "byte_fallback": False},
    )
    named = {
        "bos_token": "[CLS]",
        "cls_token": "[CLS]",
        "eos_token": "[SEP]",
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
    }
    settings = {
        "added_tokens_decoder": decoder(specials),
        **named,
        "do_lower_case": False,
        "model_max_length": length,
        "sp_model_kwargs": {},
        "split_by_punct": False,
        "tokenizer_class": "DebertaV2Tokenizer",
        "vocab_type": "spm",
        **config,
    }
    files = {
        "tokenizer_config.json": json_file(settings),
        "special_tokens_map.json": json_file(named),
        "added_tokens.json": json_file({"[MASK]": mask}),
        "spm.model": b"\x0a\x0e\x0a\x05[PAD]\x15\x00\x00\x00\x00\x18\x03",
    }
    return files if slow_only else {**files, "tokenizer.json": json_file(saved)}
