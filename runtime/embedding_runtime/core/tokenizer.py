"""Texts to token ids, exactly as sentence-transformers makes them, with the Rust tokenizers library alone.

The tokenizer's own truncation and padding settings (from training) do not count; the served length does, special
tokens included.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import tokenizers
from tokenizers.normalizers import Lowercase, Normalizer
from tokenizers.normalizers import Sequence as NormalizerSequence

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Serving, Side
from embedding_model.tokenizer_files import (
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    choose_tokenizer_file,
    read_vocabulary,
)
from embedding_runtime.core.chunk_tokens import encode_chunks
from embedding_runtime.core.inputs import Chunks, Encoded, Input, Pair, Text
from embedding_runtime.core.jobs import Part, Tokens
from embedding_runtime.core.tokenizer_failures import is_library_failure
from embedding_runtime.core.truncation import find_kept, find_span
from embedding_runtime.core.vocabulary import Vocabulary
from embedding_runtime.errors import InvalidRequest

# With characters that Unicode assigns to nothing, which no vocabulary holds.
_UNASSIGNED = "a\u0378b \U000e0fff"
MEASURED_PROMPTS = 256  # whose lengths are remembered: the model's own, and those that requests bring


class TextTokenizer:
    """Thread-safe; the library works outside the GIL."""

    def __init__(self, backend: tokenizers.Tokenizer, *, serving: Serving) -> None:
        self._backend = backend
        self._max_tokens = serving.max_input_tokens
        self._side = serving.truncation_side
        backend.no_truncation()
        backend.no_padding()
        if serving.lowercase:
            lowercase(backend)
        specials = backend.get_added_tokens_decoder()
        self._special_ids = frozenset(id_ for id_, token in specials.items() if token.special)
        self._measure = functools.lru_cache(maxsize=MEASURED_PROMPTS)(self._measure_prompt)
        self._measure_head = functools.lru_cache(maxsize=MEASURED_PROMPTS)(self._measure_without_specials)
        self.vocabulary = Vocabulary(backend)

    @property
    def max_tokens(self) -> int:
        return self._max_tokens

    def token_id(self, token: str) -> int | None:
        """Id of a token of the vocabulary; None where it is not in it."""
        found: int | None = self._backend.token_to_id(token)
        return found

    def encode(self, inputs: Sequence[Input]) -> list[Tokens]:
        """Token ids of each text with its prompt before it; ids that a client made as they are.

        Raises TypeError for a Pair, InvalidRequest for no ids, too many, and those that are none of this tokenizer's,
        and for a text of which its own `max_tokens` would leave nothing.
        """
        texts = [item for item in inputs if isinstance(item, Text)]
        if any(isinstance(item, Pair) for item in inputs):
            raise TypeError("this tokenizer takes single texts")
        tokenized = iter(self._tokenize(texts))
        encoded: list[Tokens] = []
        for item in inputs:
            match item:
                case Encoded():
                    encoded.append(self._check(item))
                case Chunks():
                    encoded.append(self._join(item))
                case _:
                    encoded.append(next(tokenized))
        return encoded

    def _join(self, item: Chunks) -> Tokens:
        length = self._measure(item.prompt)
        return encode_chunks(self._backend, item, max_tokens=self._max_tokens, prompt_length=length)

    def _check(self, item: Encoded) -> Tokens:
        if not 0 < len(item.ids) <= self._max_tokens:
            raise InvalidRequest(
                f"An input has {len(item.ids)} token ids; from 1 to {self._max_tokens} are what the model takes. Ids "
                "are never cut: they would lose the special tokens at their end.",
                param="input",
            )
        unknown = self.vocabulary.find_unknown(item.ids)
        if unknown is not None:
            raise InvalidRequest(
                f"The token id {unknown} is none of this model's tokenizer: ids of another tokenizer give wrong "
                "vectors. Send text, or ids that this model's own tokenizer made (POST /tokenize).",
                param="input",
            )
        return Tokens(ids=item.ids, wants=item.wants)

    def _tokenize(self, texts: Sequence[Text]) -> list[Tokens]:
        return [self._read(encoding, item=item) for item, encoding in zip(texts, self._run(texts), strict=True)]

    def _run(self, texts: Sequence[Text]) -> list[tokenizers.Encoding]:
        """A table of weights reads a query without special tokens; every model reads them."""
        bare = [Part.QUERY_WEIGHTS in item.wants for item in texts]
        if not any(bare):
            return self._backend.encode_batch_fast([item.prompt + item.text for item in texts])
        return [
            self._backend.encode(item.prompt + item.text, add_special_tokens=not is_bare)
            for item, is_bare in zip(texts, bare, strict=True)
        ]

    def _read(self, encoding: tokenizers.Encoding, *, item: Text) -> Tokens:
        ids = encoding.ids
        limit = self._max_tokens if item.max_tokens is None else min(item.max_tokens, self._max_tokens)
        is_long = len(ids) > limit
        if is_long:
            if item.max_tokens is not None:
                self._require_room(item.max_tokens, specials=encoding.sequence_ids.count(None), prompt=item.prompt)
            # The library knows a prompt and its text as one: its own cut on the left would leave the text without one.
            head = self._measure_head(item.prompt) if item.side is Side.LEFT else 0
            ids = _cut(encoding, limit=limit, side=item.side or self._side, head=head)
        return Tokens(
            ids=ids,
            prompt_length=self._measure(item.prompt),
            truncated=is_long,
            left_out=len(encoding.ids) - len(ids),
            wants=item.wants,
        )

    def _require_room(self, limit: int, *, specials: int, prompt: str) -> None:
        """Of a text that is cut to the special tokens and its prompt the vector would say nothing."""
        taken = specials + self._measure_head(prompt)
        if limit <= taken:
            raise InvalidRequest(
                f"max_tokens: {limit} leaves no room for a text: {specials} are special tokens, and {taken - specials} "
                f"of its prompt. Ask for {taken + 1} or more, or leave max_tokens out.",
                param="max_tokens",
            )

    def _measure_prompt(self, prompt: str) -> int:
        """Tokens of a prompt, cut like any text, without its trailing special token: sentence-transformers' count."""
        if not prompt:
            return 0
        encoding = self._backend.encode(prompt)
        is_long = len(encoding.ids) > self._max_tokens
        ids = _cut(encoding, limit=self._max_tokens, side=self._side) if is_long else encoding.ids
        return len(ids) - 1 if ids and ids[-1] in self._special_ids else len(ids)

    def _measure_without_specials(self, prompt: str) -> int:
        return len(self._backend.encode(prompt, add_special_tokens=False).ids) if prompt else 0


def _cut(encoding: tokenizers.Encoding, *, limit: int, side: Side, head: int = 0) -> list[int]:
    """Ids of the special tokens and of as many others as `limit` leaves room for, the first `head` among them."""
    ids, owners = encoding.ids, encoding.sequence_ids
    specials = owners.count(None)
    length = len(owners) - specials
    kept = min(length, max(0, limit - specials))
    head = min(head, kept)
    span = (
        {*range(head), *find_span(length, kept=kept - head, side=side)}
        if head
        else find_span(length, kept=kept, side=side)
    )
    return [ids[index] for index in find_kept(owners, spans=[span])]


def load_text_tokenizer(files: Mapping[str, bytes | bytearray], *, serving: Serving, family: str) -> TextTokenizer:
    """See load_backend."""
    return TextTokenizer(load_backend(files, family=family), serving=serving)


def load_backend(files: Mapping[str, bytes | bytearray], *, family: str) -> tokenizers.Tokenizer:
    """From tokenizer.json; from vocab.txt where the family's rules are known. `files` are the transformer's own.

    It neither cuts nor pads. Raises Refusal(MISSING_FILE) without either, Refusal(INVALID_FILE) when the file cannot be
    read, or when the tokenizer fails at characters that its vocabulary does not hold.
    """
    chosen = choose_tokenizer_file(files.keys(), family=family)
    backend = _read_backend(files, chosen=chosen)
    backend.no_truncation()
    backend.no_padding()
    try:
        backend.encode(_UNASSIGNED)
    except BaseException as error:
        if not is_library_failure(error):
            raise
        raise Refusal(
            Reason.INVALID_FILE,
            f"{chosen} is of a tokenizer that fails at characters that it does not know, so that texts of users would "
            f"fail ({error}); its vocabulary has to hold the token for what is unknown.",
        ) from error
    return backend


def _read_backend(files: Mapping[str, bytes | bytearray], *, chosen: str) -> tokenizers.Tokenizer:
    data = bytes(files[chosen])
    if chosen != TOKENIZER_FILE:
        return _build_wordpiece(data, options=read_options(files))
    try:
        return tokenizers.Tokenizer.from_str(data.decode())
    except BaseException as error:
        if not (isinstance(error, UnicodeDecodeError) or is_library_failure(error)):
            raise
        raise Refusal(
            Reason.INVALID_FILE,
            f"{TOKENIZER_FILE} is no tokenizer that the tokenizers library {tokenizers.__version__} can read: {error}",
        ) from error


def read_options(files: Mapping[str, bytes | bytearray]) -> dict[str, Any]:
    """tokenizer_config.json, if there is one."""
    data = files.get(TOKENIZER_CONFIG_FILE)
    options = orjson.loads(data) if data else {}
    return options if isinstance(options, dict) else {}


def _build_wordpiece(vocabulary: bytes, *, options: Mapping[str, Any]) -> tokenizers.Tokenizer:
    """The pipeline of BERT's own tokenizer; defaults as in transformers' BertTokenizer."""
    built = tokenizers.BertWordPieceTokenizer(
        vocab=read_vocabulary(vocabulary),
        lowercase=bool(options.get("do_lower_case", True)),
        strip_accents=options.get("strip_accents"),
        handle_chinese_chars=bool(options.get("tokenize_chinese_chars", True)),
    )
    return tokenizers.Tokenizer.from_str(built.to_str())


def lowercase(backend: tokenizers.Tokenizer) -> None:
    """do_lower_case of sentence_bert_config.json: lower case before anything else, unless the tokenizer does so.

    A step named Lowercase counts as doing so; BertNormalizer's own switch is harmless to repeat.
    """
    normalizer: Normalizer | None = backend.normalizer
    if normalizer is None:
        backend.normalizer = Lowercase()
        return
    steps = list(normalizer) if isinstance(normalizer, NormalizerSequence) else [normalizer]  # type: ignore[call-overload]
    if not any(isinstance(step, Lowercase) for step in steps):
        backend.normalizer = NormalizerSequence([Lowercase(), *steps])
