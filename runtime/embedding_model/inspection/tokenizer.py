"""Whether the tokenizer that is served is the one that sentence-transformers would use.

The runtime builds it from tokenizer.json as it stands; transformers builds most of it anew from tokenizer_config.json
(see tokenizer_rules, and tokenizer_steps). Where the two would give other token ids, the model is refused: which of the
two its weights were trained with is in neither file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from embedding_model.inspection.documents import JsonObject, join, read_optional_object
from embedding_model.inspection.quoting import quote
from embedding_model.inspection.tokenizer_json import AddedToken, TokenizerJson, parse_added_token, read_tokenizer_json
from embedding_model.inspection.tokenizer_rules import CLASSES, Kind, Rules, default_class
from embedding_model.inspection.tokenizer_steps import CHECKS, contradict
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence
from embedding_model.sources.source import Source
from embedding_model.tokenizer_files import (
    TOKENIZER_FILE,
    VOCABULARY_FILE,
    VOCABULARY_LIMIT,
    WORDPIECE_SPECIALS,
    choose_tokenizer_file,
    read_vocabulary,
)

_SPECIAL_TOKENS_FILE = "special_tokens_map.json"
_ADDED_TOKENS_FILE = "added_tokens.json"
_ADDED = "added_tokens_decoder"
_LISTS = ("extra_special_tokens", "additional_special_tokens")  # the first replaced the second in transformers 5


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
            contradict(
                tokenizer_config.path,
                f"names the class {name}, which stands for {rules.algorithm}",
                tokenizer.path,
                f"holds {quote(tokenizer.algorithm)}",
            )
        tokens.check_numbers(tokenizer)
        note += f"; whether the class {name} of transformers builds the same from it is not compared"
    if rules.kind in CHECKS:
        CHECKS[rules.kind](tokenizer, tokenizer_config)
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
            contradict(self._path, f"adds the token {quote(unknown)}", path, "does not have it")

    def check_numbers(self, tokenizer: TokenizerJson) -> None:
        """What holds for any class: a token has one number, and what is put around a text is declared.

        Many tokenizers have the same algorithm; with that of another model every vector would be wrong.
        """
        if not self._has_decoder:
            return
        for content, declared in self._decoder.items():
            found = tokenizer.added_tokens.get(content)
            if found is not None and found.id != declared.id:
                contradict(
                    self._path,
                    f"{_ADDED} gives {quote(content)} the id {declared.id}",
                    tokenizer.path,
                    f"says otherwise (id {found.id})",
                )
        known = {*self._decoder, *self._named.values(), *self._extra}
        strange = next((token for token in (*tokenizer.first, *tokenizer.last) if token not in known), None)
        if strange is not None:
            contradict(self._path, f"{_ADDED} lacks {quote(strange)}", tokenizer.path, "puts it around a text")

    def check_declared(self, tokenizer: TokenizerJson) -> None:
        """added_tokens_decoder, where it is there, is the list that counts: it has the same tokens in the same form."""
        if not self._has_decoder:
            return
        for content, declared in self._decoder.items():
            found = tokenizer.added_tokens[content]
            if found.id != declared.id or not found.is_found_like(declared):
                contradict(
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
            contradict(self._path, f"{_ADDED} lacks {quote(dropped)}", tokenizer.path, "adds it")


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
    read_vocabulary(source.read(path, limit=VOCABULARY_LIMIT))
    tokens.check_known(dict.fromkeys(WORDPIECE_SPECIALS), path=path)


def _specials(rules: Rules) -> tuple[str, ...]:
    return tuple((rules.specials or {}).values())


def _check_frame(tokenizer: TokenizerJson, *, tokens: _Tokens, rules: Rules) -> None:
    expected = (tokens.special(rules.first), tokens.special(rules.last))
    if (tokenizer.first, tokenizer.last) != ((expected[0],), (expected[1],)):
        found = f"{' '.join(tokenizer.first) or 'nothing'} and {' '.join(tokenizer.last) or 'nothing'}"
        contradict(
            "the tokenizer's class and settings",
            f"put {quote(expected[0])} before and {quote(expected[1])} after a text",
            tokenizer.path,
            f"puts {quote(found)}",
        )
