"""Tokenizers that work, with a vocabulary of letters: tokenizer.json and tokenizer_config.json of each kind."""

import base64
import string
import struct
from typing import Any

from model_fixtures.formats import json_file

VOCABULARY = 64  # rows of every fixture's word embeddings; the tokenizers have fewer tokens, as real ones often have
_WORDS = ("yes", "no", "query", "passage")
_UNLIMITED = 1000000000000000019884624838656  # what transformers writes for a length that it does not know

_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _added(tokens: dict[str, int]) -> list[dict[str, Any]]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return [{"id": number, "content": token, **flags} for token, number in tokens.items()]


def _decoder(tokens: dict[str, int]) -> dict[str, Any]:
    """added_tokens_decoder of tokenizer_config.json."""
    return {str(entry.pop("id")): entry for entry in _added(tokens)}


def _template(first: str | None, last: str | None, ids: dict[str, int]) -> dict[str, Any]:
    special = [token for token in (first, last) if token]

    def piece(token: str, kind: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": token, "type_id": kind}}

    def text(name: str, kind: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": kind}}

    single = [*([piece(first, 0)] if first else []), text("A", 0), *([piece(last, 0)] if last else [])]
    pair = [*single, text("B", 1), *([piece(last, 1)] if last else [])]
    tokens = {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in special}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}


def _document(added: dict[str, int], **parts: Any) -> dict[str, Any]:
    """The tokenizers library's order of keys: the model with its vocabulary comes last."""
    order = ("normalizer", "pre_tokenizer", "post_processor", "decoder", "model")
    head = {"version": "1.0", "truncation": parts.get("truncation"), "padding": parts.get("padding")}
    return {**head, "added_tokens": _added(added), **{key: parts.get(key) for key in order}}


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
    pieces = [*specials, *string.ascii_lowercase, *(f"##{letter}" for letter in "aeiourstln"), *_WORDS]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    document = _document(
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
            else _template(first, last, vocabulary)
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
        "tokenizer.json": json_file(document),
        "tokenizer_config.json": json_file({key: value for key, value in settings.items() if key != "drop"}),
        "special_tokens_map.json": json_file(
            {"cls_token": first, "mask_token": mask, "pad_token": pad, "sep_token": last, "unk_token": unknown}
        ),
    }
    return {**files, "vocab.txt": "".join(f"{piece}\n" for piece in pieces).encode()} if vocab_txt else files


def _charsmap() -> str:
    """An empty map in SentencePiece's form: a trie of one unit, then the replacements."""
    trie = struct.pack("<I", 0)
    return base64.b64encode(struct.pack("<I", len(trie)) + trie + b"\0").decode()


def sentencepiece(
    *, kind: str = "XLMRobertaTokenizer", length: float | None = 512, truncation: int | None = None, **config: Any
) -> dict[str, bytes]:
    """XLM-RoBERTa's."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "\u2581", *string.ascii_lowercase, *(f"\u2581{word}" for word in _WORDS)]
    vocabulary = [[piece, 0.0 if index < 4 else -float(index)] for index, piece in enumerate(pieces)]
    mask = len(pieces)
    specials = {piece: index for index, piece in enumerate(pieces[:4])}
    added = {**specials, "<mask>": mask}
    entries = _added(added)
    entries[-1]["lstrip"] = True
    document = _document(
        added,
        normalizer={"type": "Precompiled", "precompiled_charsmap": _charsmap()},
        pre_tokenizer={
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
            ],
        },
        post_processor={
            **_template("<s>", "</s>", specials),
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
    document["added_tokens"] = entries
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
        "tokenizer.json": json_file(document),
        "tokenizer_config.json": json_file(settings),
        "special_tokens_map.json": json_file({**named, "mask_token": {**mask_token, "normalized": False}}),
        "sentencepiece.bpe.model": b"\x0a\x0e\x0a\x03<s>\x15\x00\x00\x00\x00\x18\x03",
    }


def roberta(*, kind: str = "RobertaTokenizer", length: float | None = 512, **config: Any) -> dict[str, bytes]:
    """Byte-level BPE with RoBERTa's special tokens."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "\u0120", *string.ascii_lowercase, *string.digits, "\u0120a", "th"]
    vocabulary = {piece: number for number, piece in enumerate([*pieces, "<mask>"])}
    added = {piece: vocabulary[piece] for piece in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    document = _document(
        added,
        pre_tokenizer=byte_level,
        post_processor={
            "type": "RobertaProcessing",
            "sep": ["</s>", 2],
            "cls": ["<s>", 0],
            "trim_offsets": True,
            "add_prefix_space": False,
        },
        decoder=byte_level,
        model={
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [["t", "h"], ["\u0120", "a"]],
        },
    )
    for entry in document["added_tokens"]:
        entry["lstrip"] = entry["content"] == "<mask>"
    named = {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
    }
    mask = {"content": "<mask>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}
    settings = {
        **named,
        "add_prefix_space": False,
        "errors": "replace",
        "mask_token": {"__type": "AddedToken", **mask},
        "model_max_length": length,
        "tokenizer_class": kind,
        "trim_offsets": True,
        **config,
    }
    return {
        "tokenizer.json": json_file(document),
        "tokenizer_config.json": json_file(settings),
        "special_tokens_map.json": json_file({**named, "mask_token": mask}),
        "vocab.json": json_file(vocabulary),
        "merges.txt": "#version: 0.2\nt h\n\u0120 a\n".encode(),
    }


QWEN_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
_QWEN_PIECES = ("\u0120", *string.ascii_lowercase, *string.digits, *_WORDS)


def qwen_ids() -> dict[str, int]:
    """Token -> id of the tokenizer that `qwen` writes."""
    return {piece: number for number, piece in enumerate((*_QWEN_PIECES, *QWEN_SPECIALS))}


def _word_merges() -> list[list[str]]:
    return []


def qwen(
    *,
    ends: bool = False,
    kind: str = "Qwen2Tokenizer",
    length: float | None = 131072,
    chat: str | None = None,
    **config: Any,
) -> dict[str, bytes]:
    """Qwen 2 and 3. `ends`: the post-processor appends <|endoftext|>, as in Qwen3-Embedding and nowhere else."""
    ids = qwen_ids()
    specials = {token: ids[token] for token in QWEN_SPECIALS}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    document = _document(
        specials,
        normalizer={"type": "NFC"},
        pre_tokenizer={
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": _SPLIT}, "behavior": "Isolated", "invert": False},
                byte_level,
            ],
        },
        post_processor=(
            {"type": "Sequence", "processors": [byte_level, _template(None, "<|endoftext|>", ids)]}
            if ends
            else byte_level
        ),
        decoder=byte_level,
        model={
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": {piece: ids[piece] for piece in _QWEN_PIECES},
            "merges": _word_merges(),
        },
    )
    settings = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": _decoder(specials),
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "bos_token": None,
        **({"chat_template": chat} if chat else {}),
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|endoftext|>" if ends else "<|im_end|>",
        "errors": "replace",
        "model_max_length": length,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": kind,
        "unk_token": None,
        **config,
    }
    return {
        "tokenizer.json": json_file(document),
        "tokenizer_config.json": json_file(settings),
        "vocab.json": json_file({piece: ids[piece] for piece in _QWEN_PIECES}),
        "merges.txt": b"#version: 0.2\n",
    }


def llama(
    *,
    ends: bool,
    says_ends: bool | None = None,
    kind: str = "LlamaTokenizer",
    length: float | None = _UNLIMITED,
    gemma: bool = False,
    **config: Any,
) -> dict[str, bytes]:
    """SentencePiece BPE with byte fallback: Llama 2, Mistral and, with `gemma`, Gemma.

    `ends`: tokenizer.json puts the end token behind a text; `says_ends`: tokenizer_config.json's add_eos_token.
    """
    first, last = ("<bos>", "<eos>") if gemma else ("<s>", "</s>")
    specials = {"<pad>": 0, last: 1, first: 2, "<unk>": 3} if gemma else {"<unk>": 0, first: 1, last: 2}
    pieces = [*specials, "\u2581", *string.ascii_lowercase, *(f"\u2581{word}" for word in _WORDS), "Yes"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    document = _document(
        specials,
        normalizer=replace
        if gemma
        else {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, replace]},
        pre_tokenizer=(
            {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
            if gemma
            else None
        ),
        post_processor=_template(first, last if ends else None, specials),
        decoder={
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        model={
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [],
        },
    )
    settings = {
        "add_bos_token": True,
        "add_eos_token": ends if says_ends is None else says_ends,
        "added_tokens_decoder": _decoder(specials),
        "bos_token": first,
        "clean_up_tokenization_spaces": False,
        "eos_token": last,
        "model_max_length": length,
        "pad_token": "<pad>" if gemma else last,
        "sp_model_kwargs": {},
        "tokenizer_class": kind,
        "unk_token": "<unk>",
        "use_default_system_prompt": False,
        **config,
    }
    return {
        "tokenizer.json": json_file(document),
        "tokenizer_config.json": json_file(settings),
        "special_tokens_map.json": json_file({"bos_token": first, "eos_token": last, "unk_token": "<unk>"}),
        "tokenizer.model": b"\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02",
    }


def modernbert(*, length: float | None = 8192, **config: Any) -> dict[str, bytes]:
    """GPT-NeoX's byte-level BPE with BERT's special tokens, as saved."""
    pieces = ["\u0120", *string.ascii_lowercase, *string.digits, "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    specials = {piece: vocabulary[piece] for piece in pieces[-5:]}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    document = _document(
        specials,
        normalizer={"type": "NFC"},
        pre_tokenizer=byte_level,
        post_processor=_template("[CLS]", "[SEP]", vocabulary),
        decoder=byte_level,
        model={
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [],
        },
    )
    named = {
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
    }
    settings = {
        "added_tokens_decoder": _decoder(specials),
        "clean_up_tokenization_spaces": True,
        **named,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": length,
        "tokenizer_class": "PreTrainedTokenizerFast",
        **config,
    }
    return {
        "tokenizer.json": json_file(document),
        "tokenizer_config.json": json_file(settings),
        "special_tokens_map.json": json_file(named),
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
        *(f"\u2581{word}" for word in _WORDS),
    ]
    vocabulary = [[piece, 0.0 if index < 4 else -float(index)] for index, piece in enumerate(pieces)]
    mask = len(pieces)
    specials = {**{piece: index for index, piece in enumerate(pieces[:4])}, "[MASK]": mask}
    document = _document(
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
        post_processor=_template("[CLS]", "[SEP]", specials),
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
        "added_tokens_decoder": _decoder(specials),
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
    return files if slow_only else {**files, "tokenizer.json": json_file(document)}


def unlimited() -> float:
    return _UNLIMITED
