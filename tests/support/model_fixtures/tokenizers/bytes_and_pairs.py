"""Byte-pair encodings: RoBERTa, ModernBERT, Qwen, and SentencePiece BPE (Llama, Mistral, Gemma)."""

import string
from typing import Any

from model_fixtures.formats import json_file
from model_fixtures.tokenizers.document import UNLIMITED, WORDS, decoder, document, template

_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def roberta(*, kind: str = "RobertaTokenizer", length: float | None = 512, **config: Any) -> dict[str, bytes]:
    """Byte-level BPE with RoBERTa's special tokens."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "\u0120", *string.ascii_lowercase, *string.digits, "\u0120a", "th"]
    vocabulary = {piece: number for number, piece in enumerate([*pieces, "<mask>"])}
    tokens = {piece: vocabulary[piece] for piece in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    saved = document(
        tokens,
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
    for entry in saved["added_tokens"]:
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
        "tokenizer.json": json_file(saved),
        "tokenizer_config.json": json_file(settings),
        "special_tokens_map.json": json_file({**named, "mask_token": mask}),
        "vocab.json": json_file(vocabulary),
        "merges.txt": "#version: 0.2\nt h\n\u0120 a\n".encode(),
    }


def modernbert(*, length: float | None = 8192, **config: Any) -> dict[str, bytes]:
    """GPT-NeoX's byte-level BPE with BERT's special tokens, as saved."""
    pieces = ["\u0120", *string.ascii_lowercase, *string.digits, "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    specials = {piece: vocabulary[piece] for piece in pieces[-5:]}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    saved = document(
        specials,
        normalizer={"type": "NFC"},
        pre_tokenizer=byte_level,
        post_processor=template("[CLS]", "[SEP]", vocabulary),
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
        "added_tokens_decoder": decoder(specials),
        "clean_up_tokenization_spaces": True,
        **named,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": length,
        "tokenizer_class": "PreTrainedTokenizerFast",
        **config,
    }
    return {
        "tokenizer.json": json_file(saved),
        "tokenizer_config.json": json_file(settings),
        "special_tokens_map.json": json_file(named),
    }


QWEN_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")


_QWEN_PIECES = ("\u0120", *string.ascii_lowercase, *string.digits, *WORDS)


def qwen_ids() -> dict[str, int]:
    """Token -> id of the tokenizer that `qwen` writes."""
    return {piece: number for number, piece in enumerate((*_QWEN_PIECES, *QWEN_SPECIALS))}


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
    saved = document(
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
            {"type": "Sequence", "processors": [byte_level, template(None, "<|endoftext|>", ids)]}
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
            "merges": [],
        },
    )
    settings = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": decoder(specials),
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
        "tokenizer.json": json_file(saved),
        "tokenizer_config.json": json_file(settings),
        "vocab.json": json_file({piece: ids[piece] for piece in _QWEN_PIECES}),
        "merges.txt": b"#version: 0.2\n",
    }


def llama(
    *,
    ends: bool,
    says_ends: bool | None = None,
    kind: str = "LlamaTokenizer",
    length: float | None = UNLIMITED,
    gemma: bool = False,
    **config: Any,
) -> dict[str, bytes]:
    """SentencePiece BPE with byte fallback: Llama 2, Mistral and, with `gemma`, Gemma.

    `ends`: tokenizer.json puts the end token behind a text; `says_ends`: tokenizer_config.json's add_eos_token.
    """
    first, last = ("<bos>", "<eos>") if gemma else ("<s>", "</s>")
    specials = {"<pad>": 0, last: 1, first: 2, "<unk>": 3} if gemma else {"<unk>": 0, first: 1, last: 2}
    pieces = [*specials, "\u2581", *string.ascii_lowercase, *(f"\u2581{word}" for word in WORDS), "Yes"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    saved = document(
        specials,
        normalizer=replace
        if gemma
        else {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, replace]},
        pre_tokenizer=(
            {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
            if gemma
            else None
        ),
        post_processor=template(first, last if ends else None, specials),
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
        "added_tokens_decoder": decoder(specials),
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
        "tokenizer.json": json_file(saved),
        "tokenizer_config.json": json_file(settings),
        "special_tokens_map.json": json_file({"bos_token": first, "eos_token": last, "unk_token": "<unk>"}),
        "tokenizer.model": b"\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02",
    }
