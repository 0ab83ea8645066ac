"""Whether the tokenizer that is served is the one that sentence-transformers would use.

The runtime builds it from tokenizer.json as it stands; transformers builds most of it anew from tokenizer_config.json
(see tokenizer_rules). Where the two would give other token ids, the model is refused: which of the two its weights were
trained with is in neither file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from embedding_model.inspection.documents import JsonObject, join, read_optional_object
from embedding_model.inspection.quoting import quote
from embedding_model.inspection.tokenizer_json import AddedToken, TokenizerJson, parse_added_token, read_tokenizer_json
from embedding_model.inspection.tokenizer_rules import CLASSES, Kind, Rules, default_class
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence
from embedding_model.sources.listing import TOKENIZER_LIMIT
from embedding_model.sources.source import Source
from embedding_model.tokenizer_files import (
    TOKENIZER_FILE,
    VOCABULARY_FILE,
    WORDPIECE_SPECIALS,
    choose_tokenizer_file,
    read_vocabulary,
)

_SPECIAL_TOKENS_FILE = "special_tokens_map.json"
_ADDED_TOKENS_FILE = "added_tokens.json"
_ADDED = "added_tokens_decoder"
_LISTS = ("extra_special_tokens", "additional_special_tokens")  # the first replaced the second in transformers 5
_SAVE = (
    "save the tokenizer again so that its files agree (AutoTokenizer.from_pretrained(...).save_pretrained(...)), after "
    "making sure which one the model was trained with"
)


@dataclass(frozen=True)
class Tokenizer:
    """The tokenizer that is served: `path` is the file, `last` the tokens that it puts behind a text."""

    path: str
    last: tuple[str, ...]
    evidence: Evidence


def read_tokenizer(
    source: Source, *, folder: str, family: str, config: JsonObject, tokenizer_config: JsonObject
) -> Tokenizer:
    """Check the tokenizer's files against each other.

    Raises Refusal: MISSING_FILE where no tokenizer can be built, CONTRADICTORY_EVIDENCE where tokenizer_config.json and
    tokenizer.json describe different ones, UNSUPPORTED_FORMAT for classes that are not known, REMOTE_CODE_REQUIRED,
    INVALID_FILE.
    """
    listed = {file.path for file in source.files()}
    prefix = join(folder, "x")[:-1]
    names = {path.removeprefix(prefix) for path in listed if path.startswith(prefix)}
    chosen = choose_tokenizer_file(names, family=family)
    name, rules = _find_rules(config, tokenizer_config=tokenizer_config, family=family)
    if tokenizer_config.flag("split_special_tokens"):
        raise Refusal(Reason.UNSUPPORTED_FORMAT, f"{tokenizer_config.path}: split_special_tokens is not served")
    tokens = _Tokens(source, folder=folder, config=tokenizer_config, rules=rules)
    path = join(folder, chosen)
    if chosen == VOCABULARY_FILE:
        _check_vocabulary(source, path=path, tokens=tokens, rules=rules)
        return Tokenizer(path, ("[SEP]",), _describe(name, path=path, note="no tokenizer.json; by the rules of BERT"))
    tokenizer = read_tokenizer_json(source, path=path)
    note = "taken as it stands"
    if rules.kind is not Kind.NOT_COMPARED:
        tokens.check_known(tokenizer.added_tokens, path=tokenizer.path)
        tokens.check_declared(tokenizer)
    else:
        if tokenizer.algorithm not in (None, rules.algorithm):
            _contradict(
                tokenizer_config.path,
                f"names the class {name}, which stands for {rules.algorithm}",
                tokenizer.path,
                f"holds {quote(tokenizer.algorithm)}",
            )
        note += f"; whether the class {name} of transformers builds the same from it is not compared"
    if rules.kind in _CHECKS:
        _CHECKS[rules.kind](tokenizer, tokenizer_config)
        _check_frame(tokenizer, tokens=tokens, rules=rules)
        note += f"; the class {name} of transformers builds the same"
    return Tokenizer(path, tokenizer.last, _describe(name, path=path, note=note))


def read_end_token(tokenizer: Tokenizer, *, config: JsonObject) -> tuple[str | None, Evidence]:
    """The token that stands behind every input, which last-token pooling reads.

    tokenizer.json's post-processor puts it there. Raises Refusal(CONTRADICTORY_EVIDENCE) where it does not and
    tokenizer_config.json's add_eos_token says that it should: newer libraries lose the token then, and with it the
    meaning of the vector.
    """
    asked = config.flag("add_eos_token")
    named = _read_content(config.values.get("eos_token"))
    if tokenizer.last:
        token = tokenizer.last[-1]
        lost = f"none ({config.path} add_eos_token false)" if asked is False else None
        if asked and named not in (None, token):
            lost = f"{named} ({config.path} add_eos_token, eos_token)"
        return token, _describe_end(token, file=tokenizer.path, key="post_processor", overruled=lost)
    if asked:
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"{config.path} says add_eos_token true ({quote(named)}), but the post_processor of {tokenizer.path} puts "
            "no token behind a text: last-token pooling would read another token than the model was trained with. Save "
            "the tokenizer again so that its files agree, or use a revision whose tokenizer.json adds the token",
        )
    note = "no file says that a token is put behind the text: the last token of the text itself is read"
    return None, _describe_end(None, file=tokenizer.path, key="post_processor", note=note)


def _describe_end(
    token: str | None, *, file: str, key: str, overruled: str | None = None, note: str | None = None
) -> Evidence:
    return Evidence(
        field="endToken",
        value=token or "none",
        file=file,
        key=key,
        note=note,
        overruled=() if overruled is None else (overruled,),
    )


def _describe(name: str, *, path: str, note: str) -> Evidence:
    return Evidence(field="tokenizer", value=name, file=path, note=note)


def _find_rules(config: JsonObject, *, tokenizer_config: JsonObject, family: str) -> tuple[str, Rules]:
    if tokenizer_config.mapping("auto_map").get("AutoTokenizer") is not None:
        raise Refusal(
            Reason.REMOTE_CODE_REQUIRED,
            f"{tokenizer_config.path}: auto_map.AutoTokenizer says that the tokenizer is the model's own Python code, "
            "which is never run: choose a revision or a sibling model without auto_map",
        )
    name = tokenizer_config.text("tokenizer_class") or config.text("tokenizer_class") or default_class(family)
    name = name.removesuffix("Fast")
    rules = CLASSES.get(name)
    if rules is None:
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"{tokenizer_config.path}: tokenizer_class is {quote(name)}, whose rules are not known here; known are "
            f"{', '.join(CLASSES)}",
        )
    return name, rules


class _Tokens:
    """The tokens that the files beside tokenizer.json declare."""

    def __init__(self, source: Source, *, folder: str, config: JsonObject, rules: Rules) -> None:
        self._path = config.path
        self._rules = rules
        self._has_decoder = _ADDED in config.values
        self._decoder = dict(_parse_decoder(config))
        documents = [config]
        self._legacy: tuple[str, ...] = ()
        if not self._has_decoder:  # these two files count only where tokenizer_config.json has no list of its own
            documents.append(read_optional_object(source, path=join(folder, _SPECIAL_TOKENS_FILE)))
            self._legacy = tuple(read_optional_object(source, path=join(folder, _ADDED_TOKENS_FILE)).values)
        self._named: dict[str, str] = {}
        self._extra: list[str] = []
        for document in documents:
            for key, value in document.values.items():
                if key.endswith("_token") and (content := _read_content(value)) is not None:
                    self._named[key] = content
                elif key in _LISTS:
                    self._extra += _read_list(value, path=document.path, key=key)

    def special(self, key: str) -> str | None:
        return self._named.get(key) or (self._rules.specials or {}).get(key)

    def check_known(self, known: Mapping[str, object], *, path: str) -> None:
        """Every declared token is one that the served tokenizer finds in a text as well."""
        declared = (*self._named.values(), *self._extra, *self._legacy, *self._decoder)
        unknown = next((token for token in declared if token not in known), None)
        if unknown is not None:
            _contradict(self._path, f"adds the token {quote(unknown)}", path, "does not have it")

    def check_declared(self, tokenizer: TokenizerJson) -> None:
        """added_tokens_decoder, where it is there, is the list that counts: it has the same tokens in the same form."""
        if not self._has_decoder:
            return
        for content, declared in self._decoder.items():
            found = tokenizer.added_tokens[content]
            if found.id != declared.id or not found.is_found_like(declared):
                _contradict(
                    self._path,
                    f"{_ADDED} gives {quote(content)} the id {declared.id} and its way of being found",
                    tokenizer.path,
                    f"says otherwise (id {found.id})",
                )
        if self._rules.kind is Kind.AS_SAVED:
            return
        specials = (self._rules.specials or {}).values()
        counted = {*self._decoder, *self._named.values(), *self._extra, *specials}
        dropped = next((token for token in tokenizer.added_tokens if token not in counted), None)
        if dropped is not None:
            _contradict(self._path, f"{_ADDED} lacks {quote(dropped)}", tokenizer.path, "adds it")


def _parse_decoder(config: JsonObject) -> Iterator[tuple[str, AddedToken]]:
    for number, entry in config.mapping(_ADDED).items():
        try:
            token = parse_added_token(entry, id_=int(number))
        except (TypeError, KeyError, ValueError, AttributeError):
            raise Refusal(
                Reason.INVALID_FILE, f"{config.path}: expected {_ADDED} to map ids to tokens with their content"
            ) from None
        yield token.content, token


def _read_content(value: Any) -> str | None:
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) and content else None


def _read_list(value: Any, *, path: str, key: str) -> list[str]:
    entries = list(value.values()) if isinstance(value, dict) else value or []
    contents = [_read_content(entry) for entry in entries] if isinstance(entries, list) else [None]
    if None in contents:
        raise Refusal(Reason.INVALID_FILE, f"{path}: expected {key} to be a list of tokens")
    return [content for content in contents if content is not None]


def _check_vocabulary(source: Source, *, path: str, tokens: _Tokens, rules: Rules) -> None:
    if rules.kind is not Kind.WORDPIECE or any(token not in WORDPIECE_SPECIALS for token in _specials(rules)):
        raise Refusal(
            Reason.MISSING_FILE,
            f"the model has no {TOKENIZER_FILE}, and its tokenizer_class is not built from {VOCABULARY_FILE}",
        )
    read_vocabulary(source.read(path, limit=TOKENIZER_LIMIT))
    tokens.check_known(dict.fromkeys(WORDPIECE_SPECIALS), path=path)


def _specials(rules: Rules) -> tuple[str, ...]:
    return tuple((rules.specials or {}).values())


def _check_wordpiece(tokenizer: TokenizerJson, config: JsonObject) -> None:
    """transformers: BertNormalizer from the options, then BertPreTokenizer."""
    lowercase = _flag(config, "do_lower_case", default=True)
    strip_accents = config.flag("strip_accents")
    expected = {
        "do_lower_case": lowercase,
        "strip_accents": lowercase if strip_accents is None else strip_accents,
        "tokenize_chinese_chars": _flag(config, "tokenize_chinese_chars", default=True),
    }
    if [step["type"] for step in tokenizer.normalizers] != ["BertNormalizer"]:
        _contradict(config.path, "stands for BERT's normaliser", tokenizer.path, "has another one")
    [step] = tokenizer.normalizers
    found = {
        "do_lower_case": step.get("lowercase", True),
        "strip_accents": step.get("lowercase", True) if step.get("strip_accents") is None else step["strip_accents"],
        "tokenize_chinese_chars": step.get("handle_chinese_chars", True),
    }
    for key, value in expected.items():
        if found[key] is not value:
            given = "says" if config.values.get(key) is not None else "has no such key, which stands for"
            _contradict(config.path, f"{given} {key} {_word(value)}", tokenizer.path, f"does {_word(found[key])}")
    if not step.get("clean_text", True):
        _contradict(config.path, "stands for a normaliser that cleans the text", tokenizer.path, "does not clean it")
    if [step["type"] for step in tokenizer.pre_tokenizers] != ["BertPreTokenizer"]:
        _contradict(config.path, "stands for BERT's way of splitting words", tokenizer.path, "has another one")


def _check_byte_level(tokenizer: TokenizerJson, config: JsonObject) -> None:
    """transformers: no normaliser, then ByteLevel(add_prefix_space)."""
    if tokenizer.normalizers:
        _contradict(config.path, "stands for no normaliser", tokenizer.path, "has one")
    if [step["type"] for step in tokenizer.pre_tokenizers] != ["ByteLevel"]:
        _contradict(config.path, "stands for byte-level splitting", tokenizer.path, "has another one")
    [step] = tokenizer.pre_tokenizers
    _compare_prefix(config, default=False, found=bool(step.get("add_prefix_space", True)), path=tokenizer.path)


def _check_sentencepiece(tokenizer: TokenizerJson, config: JsonObject) -> None:
    """transformers: the character map of tokenizer.json, then WhitespaceSplit and Metaspace.

    Stripping, and replacing runs of blanks, which older versions wrote as well, change nothing: words end there anyway.
    """
    if not all(_keeps_words(step) for step in tokenizer.normalizers):
        _contradict(config.path, "stands for the character map alone", tokenizer.path, "normalises in other ways too")
    kinds = [step["type"] for step in tokenizer.pre_tokenizers]
    if kinds not in (["WhitespaceSplit", "Metaspace"], ["Metaspace"]):
        _contradict(config.path, "stands for SentencePiece's way of splitting", tokenizer.path, "has another one")
    step = tokenizer.pre_tokenizers[-1]
    scheme = step.get("prepend_scheme") or ("always" if step.get("add_prefix_space", True) else "never")
    if scheme == "first":  # only the very first word gets a prefix, which neither value of the option stands for
        _contradict(config.path, "stands for a prefix on every word or none", tokenizer.path, "has it on the first")
    _compare_prefix(config, default=True, found=scheme == "always", path=tokenizer.path)


def _keeps_words(step: Mapping[str, Any]) -> bool:
    if step["type"] == "Replace":
        return step.get("pattern") in ({"Regex": " {2,}"}, {"String": "  "})
    return step["type"] in ("Precompiled", "Strip")


_CHECKS = {
    Kind.WORDPIECE: _check_wordpiece,
    Kind.BYTE_LEVEL: _check_byte_level,
    Kind.SENTENCEPIECE: _check_sentencepiece,
}


def _compare_prefix(config: JsonObject, *, default: bool, found: bool, path: str) -> None:
    expected = _flag(config, "add_prefix_space", default=default)
    if found is not expected:
        given = "says" if config.values.get("add_prefix_space") is not None else "has no such key, which stands for"
        _contradict(config.path, f"{given} add_prefix_space {_word(expected)}", path, f"does {_word(found)}")


def _check_frame(tokenizer: TokenizerJson, *, tokens: _Tokens, rules: Rules) -> None:
    expected = (tokens.special(rules.first), tokens.special(rules.last))
    if (tokenizer.first, tokenizer.last) != ((expected[0],), (expected[1],)):
        found = f"{' '.join(tokenizer.first) or 'nothing'} and {' '.join(tokenizer.last) or 'nothing'}"
        _contradict(
            "the tokenizer's class and settings",
            f"put {quote(expected[0])} before and {quote(expected[1])} after a text",
            tokenizer.path,
            f"puts {quote(found)}",
        )


def _flag(config: JsonObject, key: str, *, default: bool) -> bool:
    value = config.flag(key)
    return default if value is None else value


def _word(value: object) -> str:
    return "true" if value is True else "false" if value is False else "neither"


def _contradict(one: str, says: str, other: str, differs: str) -> NoReturn:
    raise Refusal(Reason.CONTRADICTORY_EVIDENCE, f"{one} {says}, but {other} {differs}: {_SAVE}")
