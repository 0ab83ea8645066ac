"""Inputs to tokens in threads, in pieces that bound how much memory that takes at once.

A tokenizer needs some hundred bytes for each character of what it is given, also for what it cuts off in the end. So a
very long text is cut before: far behind what the model reads, which leaves the tokens as they are.
"""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from embedding_model.resolved import Side
from embedding_runtime.core.inputs import Encoded, Input, Text, cut
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.tokenizer_failures import answered
from embedding_runtime.core.vocabulary import TokenizedText, Vocabulary
from embedding_runtime.errors import InvalidRequest, UnknownToken

# What one thread tokenises at a time: enough to be worth the hop, few enough to spread a large request.
PIECE_TEXTS = 64
PIECE_CHARACTERS = 65_536

# Of one request that asks for the tokens themselves, which take some 60 bytes each as JSON; and of one that decodes.
MOST_CHARACTERS = 524_288
MOST_IDS = 262_144

# Where a text is cut within a word, the tokens there are not those of the whole: of a word that WordPiece takes for
# unknown, which may have 100 characters or more, it makes as many as 100. So many must lie behind what the model reads.
CUT_MARGIN = 128

# However low the limit is set, a text is never cut to less than this for each of these tokens.
CHARACTERS_PER_TOKEN = 32


class Tokenizer(Protocol):
    """Of one model: it takes the kinds of input that the model's task has."""

    @property
    def max_tokens(self) -> int: ...

    @property
    def vocabulary(self) -> Vocabulary: ...

    def encode(self, inputs: Sequence[Input]) -> list[Tokens]: ...


class TokenizerThreads:
    """A tokenizer in `threads` threads. It reads at most `max_characters` of each text and gives ids below
    `vocabulary_size`: one look-up beyond a table of embeddings breaks a CUDA device for the whole process.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        threads: int,
        max_characters: int,
        side: Side,
        vocabulary_size: int | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._first_look = CHARACTERS_PER_TOKEN * (tokenizer.max_tokens + CUT_MARGIN)
        self._max_characters = max(max_characters, self._first_look)
        self._side = side
        self._vocabulary_size = vocabulary_size
        self._count = threads
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="tokenize")

    @property
    def max_tokens(self) -> int:
        return self._tokenizer.max_tokens

    def name_ids(self, ids: Sequence[int]) -> list[str]:
        """See Vocabulary.name_ids."""
        return self._tokenizer.vocabulary.name_ids(ids)

    async def encode(self, inputs: Sequence[Input]) -> list[Tokens]:
        """Tokens of each input. A request has no more pieces before the threads than there are threads, so that another
        one, however short, waits for few of them and not for all.

        Raises InvalidRequest for an input without any and for one that cannot be cut safely, TokenizerFailed,
        UnknownToken.
        """
        encoded: dict[int, list[Tokens]] = {}
        pieces = enumerate(split(inputs))

        async def work() -> None:
            for number, piece in pieces:
                encoded[number] = await asyncio.get_running_loop().run_in_executor(self._threads, self._encode, piece)

        if len(inputs) == 1:
            await work()
        else:
            working = [asyncio.create_task(work()) for _ in range(self._count)]
            try:
                await asyncio.gather(*working)
            finally:
                for task in working:
                    task.cancel()
        tokens = [text for number in sorted(encoded) for text in encoded[number]]
        for index, text in enumerate(tokens):
            if not text.ids:
                raise InvalidRequest(f"Input {index} holds no token for this model; leave it out.", param="input")
            if inputs[index].longest > self._max_characters and not _is_filled(text, item=inputs[index]):
                raise InvalidRequest(
                    f"Input {index} has {inputs[index].longest} characters in one text. {self._max_characters} are "
                    f"read, and they do not fill the {self.max_tokens} tokens that the model takes. Send a shorter "
                    "text.",
                    param="input",
                )
        return tokens

    async def shorten(self, text: str) -> str:
        """Its beginning, where that has more tokens than the model takes of any text: for a text that is read with each
        of many others. Else the whole.

        Raises TokenizerFailed.
        """
        look = cut(text, limit=self._first_look, side=Side.RIGHT)
        if look == text:
            return text

        def count() -> int:
            with answered():
                [found] = self._tokenizer.vocabulary.tokenize([look], add_special_tokens=False)
                return len(found.encoding.ids)

        found = await asyncio.get_running_loop().run_in_executor(self._threads, count)
        return look if found >= self.max_tokens + CUT_MARGIN else text

    async def tokenize(self, texts: Sequence[Text], *, add_special_tokens: bool) -> list[TokenizedText]:
        """All tokens of each text with its prompt before it. Raises InvalidRequest for more than MOST_CHARACTERS,
        TokenizerFailed.
        """
        characters = sum(item.tokenized_characters for item in texts)
        if characters > MOST_CHARACTERS:
            raise InvalidRequest(
                f"The inputs have {characters} characters together, their prompts counted; at most {MOST_CHARACTERS} "
                "are shown token by token in one request. Send fewer or shorter ones in several requests.",
                param="inputs",
            )

        def work() -> list[TokenizedText]:
            written = [item.prompt + item.text for item in texts]
            with answered():
                return self._tokenizer.vocabulary.tokenize(written, add_special_tokens=add_special_tokens)

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def decode(self, sequences: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> list[str]:
        """The text of each sequence, of at most MOST_IDS ids in sum. Raises InvalidRequest for an id of no token,
        TokenizerFailed.
        """

        def work() -> list[str]:
            vocabulary = self._tokenizer.vocabulary
            unknown = next((found for ids in sequences if (found := vocabulary.find_unknown(ids)) is not None), None)
            if unknown is not None:
                raise InvalidRequest(f"ids: {unknown} is none of this model's tokenizer.", param="ids")
            with answered():
                return vocabulary.decode(sequences, skip_special_tokens=skip_special_tokens)

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _encode(self, inputs: Sequence[Input]) -> list[Tokens]:
        with answered():
            tokens = self._read(inputs)
        size = self._vocabulary_size
        if size is None:
            return tokens
        for item, text in zip(inputs, tokens, strict=True):
            if max(text.ids, default=0) < size:
                continue
            if isinstance(item, Encoded):
                raise InvalidRequest(f"Token ids below {size} are what the model's weights have.", param="input")
            raise UnknownToken(
                f"One of the inputs holds a token that the model has no embedding for: its tokenizer knows more than "
                f"the {size} tokens of its weights, so the two do not belong together."
            )
        return tokens

    def _read(self, inputs: Sequence[Input]) -> list[Tokens]:
        """Of a long text only a first look, where that has many more tokens than the model takes: the whole would cost
        many times as much and leave the same tokens. A pair is read at once: how it is cut depends on both lengths.
        """
        looks = [self._first_look if isinstance(item, Text) else self._max_characters for item in inputs]
        tokens = self._tokenizer.encode(
            [item.cut(limit=look, side=self._side) for item, look in zip(inputs, looks, strict=True)]
        )
        whole = [
            index
            for index, look in enumerate(looks)
            if look < min(inputs[index].longest, self._max_characters)
            and not _is_filled(tokens[index], item=inputs[index])
        ]
        if whole:
            cuts = [inputs[index].cut(limit=self._max_characters, side=self._side) for index in whole]
            for index, text in zip(whole, self._tokenizer.encode(cuts), strict=True):
                tokens[index] = text
        return tokens


def _is_filled(tokens: Tokens, *, item: Input) -> bool:
    """Whether what was read of a text that was cut before has all tokens that the model takes of the whole."""
    return tokens.left_out >= CUT_MARGIN if isinstance(item, Text) else tokens.truncated


def split(inputs: Sequence[Input]) -> Iterator[Sequence[Input]]:
    """Pieces of PIECE_TEXTS inputs or fewer, that end with the one that reaches PIECE_CHARACTERS."""
    start = characters = 0
    for end, item in enumerate(inputs, start=1):
        characters += item.tokenized_characters
        if end - start == PIECE_TEXTS or characters >= PIECE_CHARACTERS or end == len(inputs):
            yield inputs[start:end]
            start, characters = end, 0
