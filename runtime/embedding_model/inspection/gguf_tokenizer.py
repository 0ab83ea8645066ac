"""The tokenizer in a GGUF header, as a document of the tokenizers library (tokenizer.json).

tokenizer.ggml.model names the algorithm and tokenizer.ggml.pre the rule that cuts a text into words before it; the
rules are llama.cpp's (llama-vocab.cpp, llama_vocab_pre_type) in the words of the models' own tokenizer.json. Served is
byte-level BPE with the rules below; another one would give other tokens without a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from embedding_model.inspection.quoting import quote
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.gguf import GgufArray, GgufHeader

MODEL_KEY = "tokenizer.ggml.model"
PRE_KEY = "tokenizer.ggml.pre"
ADD_BOS_KEY = "tokenizer.ggml.add_bos_token"
ADD_EOS_KEY = "tokenizer.ggml.add_eos_token"
_BOS_KEY = "tokenizer.ggml.bos_token_id"
_EOS_KEY = "tokenizer.ggml.eos_token_id"
_TOKENS_KEY = "tokenizer.ggml.tokens"
_TYPES_KEY = "tokenizer.ggml.token_type"
_MERGES_KEY = "tokenizer.ggml.merges"
_BYTE_LEVEL_BPE = "gpt2"
_CONTROL, _USER_DEFINED = 3, 4  # llama.cpp's llama_token_type
_ENDS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"


def _byte_level(*, words: bool) -> dict[str, Any]:
    """Bytes as printable characters; `words`: GPT-2's own rule cuts the text before."""
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": words}


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _sequence(*steps: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(steps)}


@dataclass(frozen=True)
class _Rule:
    """`starts`: whether the begin token stands before a text where the file does not say; `whole`: whether a word that
    is a token is one whatever the merges say (ignore_merges)."""

    pre: Mapping[str, Any]
    normalizer: Mapping[str, Any] | None = None
    starts: bool = False
    whole: bool = False


_LLAMA3 = _Rule(_sequence(_split(_WORDS + r"\p{N}{1,3}" + _ENDS), _byte_level(words=False)), starts=True, whole=True)
_RULES: Mapping[str, _Rule] = {
    "gpt-2": _Rule(_byte_level(words=True)),
    "smollm": _Rule(_sequence({"type": "Digits", "individual_digits": True}, _byte_level(words=True))),
    "qwen2": _Rule(_sequence(_split(_WORDS + r"\p{N}" + _ENDS), _byte_level(words=False)), normalizer={"type": "NFC"}),
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
}


@dataclass(frozen=True)
class Frame:
    """The tokens put before and behind a text, with their ids."""

    first: tuple[tuple[str, int], ...]
    last: tuple[tuple[str, int], ...]


def read_frame(header: GgufHeader) -> Frame:
    """Raises Refusal: UNSUPPORTED_FORMAT for a tokenizer that is not known, INVALID_FILE."""
    rule = _find_rule(header)
    tokens = tuple(_list(header, _TOKENS_KEY).texts())
    first = _flag(header, ADD_BOS_KEY, default=rule.starts)
    last = _flag(header, ADD_EOS_KEY, default=False)
    return Frame(
        first=(_find_token(header, _BOS_KEY, tokens=tokens),) if first else (),
        last=(_find_token(header, _EOS_KEY, tokens=tokens),) if last else (),
    )


def count_tokens(header: GgufHeader) -> int:
    """Raises Refusal(INVALID_FILE)."""
    return _list(header, _TOKENS_KEY).count


def render_tokenizer(header: GgufHeader) -> dict[str, Any]:
    """The document of tokenizer.json. Raises as `read_frame` does."""
    rule = _find_rule(header)
    tokens = tuple(_list(header, _TOKENS_KEY).texts())
    vocabulary = {token: number for number, token in enumerate(tokens)}
    if len(vocabulary) < len(tokens):
        raise Refusal(Reason.INVALID_FILE, f"{header.path}: a token stands twice in {_TOKENS_KEY}; copy the file anew")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _read_added(header, tokens=tokens),
        "normalizer": rule.normalizer,
        "pre_tokenizer": rule.pre,
        "post_processor": _render_frame(read_frame(header)),
        "decoder": _byte_level(words=True),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": rule.whole,
            "vocab": vocabulary,
            "merges": [_read_merge(text, path=header.path) for text in _list(header, _MERGES_KEY).texts()],
        },
    }


def _find_rule(header: GgufHeader) -> _Rule:
    model, pre = header.values.get(MODEL_KEY), header.values.get(PRE_KEY)
    if model != _BYTE_LEVEL_BPE:
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"{header.path}: {MODEL_KEY} is {quote(str(model))}; only {_BYTE_LEVEL_BPE} (byte-level BPE) is served "
            "from a GGUF file: use the safetensors weights that it was made from, with their tokenizer.json",
        )
    rule = _RULES.get(pre) if isinstance(pre, str) else None
    if rule is None:
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"{header.path}: {PRE_KEY} is {quote(str(pre))}; known are {', '.join(_RULES)}. With another rule the text "
            "would become other tokens: use the safetensors weights that it was made from",
        )
    return rule


def _read_added(header: GgufHeader, *, tokens: tuple[str, ...]) -> list[dict[str, Any]]:
    kinds = _list(header, _TYPES_KEY).integers()
    if len(kinds) != len(tokens):
        raise Refusal(
            Reason.INVALID_FILE,
            f"{header.path}: {len(tokens)} tokens have {len(kinds)} kinds ({_TYPES_KEY}); copy the file anew",
        )
    return [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": kind == _CONTROL,
        }
        for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in (_CONTROL, _USER_DEFINED) and token
    ]


def _render_frame(frame: Frame) -> dict[str, Any] | None:
    if not frame.first and not frame.last:
        return None
    first = [{"SpecialToken": {"id": token, "type_id": 0}} for token, _ in frame.first]
    last = [{"SpecialToken": {"id": token, "type_id": 0}} for token, _ in frame.last]
    texts = [{"Sequence": {"id": name, "type_id": 0}} for name in ("A", "B")]
    return {
        "type": "TemplateProcessing",
        "single": [*first, texts[0], *last],
        "pair": [*first, *texts, *last],
        "special_tokens": {
            token: {"id": token, "ids": [number], "tokens": [token]} for token, number in (*frame.first, *frame.last)
        },
    }


def _read_merge(text: str, *, path: str) -> list[str]:
    left, space, right = text.partition(" ")
    if not left or not space or not right or " " in right:
        raise Refusal(Reason.INVALID_FILE, f"{path}: {_MERGES_KEY} holds something other than two parts of a token")
    return [left, right]


def _list(header: GgufHeader, key: str) -> GgufArray:
    value = header.values.get(key)
    if not isinstance(value, GgufArray):
        raise Refusal(Reason.INVALID_FILE, f"{header.path}: expected the list {key}; copy the file anew")
    return value


def _flag(header: GgufHeader, key: str, *, default: bool) -> bool:
    value = header.values.get(key, default)
    if not isinstance(value, bool):
        raise Refusal(Reason.INVALID_FILE, f"{header.path}: expected {key} to be true or false")
    return value


def _find_token(header: GgufHeader, key: str, *, tokens: tuple[str, ...]) -> tuple[str, int]:
    number = header.values.get(key)
    if type(number) is not int or not 0 <= number < len(tokens) or not tokens[number]:
        raise Refusal(Reason.INVALID_FILE, f"{header.path}: {key} names no token of {_TOKENS_KEY}; copy the file anew")
    return tokens[number], number
