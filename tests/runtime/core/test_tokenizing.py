"""Texts to tokens: long ones, many, and none."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_tokenizer import text_tokenizer
from runtime_under_test import WordTokenizer, app_under_test, read, until

from embedding_model.resolved import Side
from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.core.admission import estimate_tokens
from embedding_runtime.core.inputs import Input, Pair, Text, cut
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.tokenizer import load_text_tokenizer
from embedding_runtime.core.tokenizing import (
    CHARACTERS_PER_TOKEN,
    CUT_MARGIN,
    PIECE_CHARACTERS,
    PIECE_TEXTS,
    Tokenizer,
    TokenizerThreads,
    split,
)
from embedding_runtime.errors import InvalidRequest
from embedding_runtime.loading import load_model
from embedding_runtime.served_model import resolve_folder
from embedding_runtime.settings import Device, ServeSettings

# The least that is read of a text, for a model that takes four tokens.
LOOK = CHARACTERS_PER_TOKEN * (4 + CUT_MARGIN)


@contextlib.contextmanager
def threads_of(tokenizer: Tokenizer, *, max_characters: int) -> Iterator[TokenizerThreads]:
    threads = TokenizerThreads(tokenizer, threads=2, max_characters=max_characters, side=Side.RIGHT)
    try:
        yield threads
    finally:
        threads.close()


class Measured(WordTokenizer):
    """Remembers how many characters each call held."""

    def __init__(self, *, max_tokens: int) -> None:
        super().__init__(max_tokens=max_tokens)
        self.characters: list[int] = []
        self.tokenized: list[int] = []

    def encode(self, inputs: Sequence[Input]) -> list[Tokens]:
        self.characters.append(sum(item.characters for item in inputs))
        self.tokenized.append(sum(item.tokenized_characters for item in inputs))
        return super().encode(inputs)


async def test_a_text_far_beyond_the_models_maximum_is_not_tokenised_whole() -> None:
    tokenizer = Measured(max_tokens=4)
    text = "several words of a book " * 1000
    with threads_of(tokenizer, max_characters=1000) as threads:
        [tokens] = await threads.encode([Text(text)])
    assert tokens == WordTokenizer(max_tokens=4).encode([Text(text)])[0]
    assert max(tokenizer.characters) <= LOOK


async def test_of_a_book_only_as_much_is_read_as_fills_what_the_model_takes() -> None:
    tokenizer = Measured(max_tokens=4)
    book, sparse = "several words of a book " * 10_000, "word" + " " * 10_000 + "and others at the end"
    with threads_of(tokenizer, max_characters=262_144) as threads:
        found = await threads.encode([Text(book), Text("short"), Text(sparse)])
    assert found == WordTokenizer(max_tokens=4).encode([Text(book), Text("short"), Text(sparse)])
    *looks, whole = sorted(tokenizer.characters)
    assert sum(looks) <= 2 * LOOK + len("short")
    assert whole == len(sparse)


async def test_a_long_text_of_few_tokens_is_refused_by_its_index_rather_than_cut() -> None:
    says = rf"Input 1 has {LOOK + 6} characters in one text\. {LOOK + 1} are read"
    with threads_of(WordTokenizer(max_tokens=4), max_characters=LOOK + 1) as threads:
        with pytest.raises(InvalidRequest, match=says) as refused:
            await threads.encode([Text("fine"), Text("word" + " " * (LOOK + 1) + "x")])
        assert refused.value.param == "input"
        assert len(await threads.encode([Text("word" + " " * (LOOK - 4) + "x")])) == 1


async def test_a_pair_is_measured_by_its_longer_text_and_not_by_both_together() -> None:
    half = "word" + " " * (LOOK - 505) + "x"
    says = rf"Input 0 has {LOOK + 5} characters in one text\. {LOOK} are read"
    with threads_of(WordTokenizer(max_tokens=4), max_characters=LOOK) as threads:
        [tokens] = await threads.encode([Pair(half, half)])
        with pytest.raises(InvalidRequest, match=says):
            await threads.encode([Pair("query", "word" + " " * LOOK + "x")])
    assert (len(tokens.ids), tokens.truncated) == (4, False)


@pytest.mark.parametrize("before", range(100, 400, 12))
async def test_a_word_without_an_end_at_the_cut_leaves_the_tokens_of_the_whole_text(before: int) -> None:
    """WordPiece takes a word of more than 100 characters for unknown, and a piece of it for many tokens."""
    tokenizer = text_tokenizer(max_tokens=16)
    unknown = "pod" + "s" * 300
    sparse = f"{'z' * before}.{'z' * before}.{unknown}." * 40
    with threads_of(tokenizer, max_characters=262_144) as threads:
        found = await threads.encode([Text(sparse), Text(sparse, side=Side.LEFT)])
    assert found == tokenizer.encode([Text(sparse), Text(sparse, side=Side.LEFT)])


async def test_the_limit_is_never_below_what_the_model_takes() -> None:
    text = "a" * 31 + " " + "b" * 31
    with threads_of(WordTokenizer(max_tokens=2), max_characters=1) as threads:
        assert [len(tokens.ids) for tokens in await threads.encode([Text(text)])] == [2]


async def test_a_large_request_is_tokenised_in_pieces_of_bounded_size() -> None:
    tokenizer = Measured(max_tokens=512)
    texts = [Text("x" * 10_000)] * 100
    with threads_of(tokenizer, max_characters=262_144) as threads:
        assert len(await threads.encode(texts)) == 100
    assert sum(tokenizer.characters) == 1_000_000
    assert max(tokenizer.characters) < PIECE_CHARACTERS + 10_000


class Stepwise(WordTokenizer):
    """Goes on with a call only when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = threading.Semaphore(0)
        self.calls: list[str] = []

    def encode(self, inputs: Sequence[Input]) -> list[Tokens]:
        self.calls.append(read(inputs[0])[:5])
        assert self.steps.acquire(timeout=30), "the test never let the tokenizer go on"
        return super().encode(inputs)


async def test_a_short_request_waits_for_a_few_pieces_of_a_huge_one_and_not_for_all() -> None:
    tokenizer = Stepwise()
    with threads_of(tokenizer, max_characters=262_144) as threads:
        huge = asyncio.create_task(threads.encode([Text("huge " * 20_000)] * 40))
        await until(lambda: len(tokenizer.calls) == 2)
        short = asyncio.create_task(threads.encode([Text("short")]))
        await asyncio.sleep(0)
        tokenizer.steps.release(3)
        await short
        assert not huge.done()
        assert "short" in tokenizer.calls[:4]
        tokenizer.steps.release(40)
        assert len(await huge) == 40


async def test_a_request_that_is_given_up_is_not_tokenised_further() -> None:
    tokenizer = Stepwise()
    with threads_of(tokenizer, max_characters=262_144) as threads:
        huge = asyncio.create_task(threads.encode([Text("huge " * 20_000)] * 40))
        await until(lambda: len(tokenizer.calls) == 2)
        huge.cancel()
        with pytest.raises(asyncio.CancelledError):
            await huge
        tokenizer.steps.release(43)
        assert len(await threads.encode([Text("short")])) == 1
    assert tokenizer.calls == ["huge ", "huge ", "short"]


async def test_a_prompt_counts_with_every_text_that_it_stands_before() -> None:
    tokenizer = Measured(max_tokens=512)
    texts = [Text("x", prompt="y" * 4096)] * 100
    with threads_of(tokenizer, max_characters=262_144) as threads:
        assert len(await threads.encode(texts)) == 100
    assert max(tokenizer.tokenized) < PIECE_CHARACTERS + 5000
    assert estimate_tokens(texts, max_input_tokens=8192) > 100_000


@given(lengths=st.lists(st.integers(0, 3 * PIECE_CHARACTERS // 2), max_size=200))
def test_pieces_hold_every_text_once_and_in_order(lengths: list[int]) -> None:
    texts = [Text("x" * length) for length in lengths]
    pieces = list(split(texts))
    assert [text for piece in pieces for text in piece] == texts
    for piece in pieces:
        assert 1 <= len(piece) <= PIECE_TEXTS
        assert sum(text.characters for text in piece[:-1]) < PIECE_CHARACTERS


@pytest.mark.parametrize(
    ("text", "side", "left"),
    [
        pytest.param("short", Side.RIGHT, "short", id="short enough"),
        pytest.param("one two three", Side.RIGHT, "one two", id="between words"),
        pytest.param("one two three", Side.LEFT, " three", id="from the other side"),
        pytest.param("onetwothree", Side.RIGHT, "onetwoth", id="no space"),
        pytest.param("onetwothree", Side.LEFT, "twothree", id="no space, from the other side"),
        pytest.param("one twos three", Side.RIGHT, "one twos", id="a word that just fits"),
    ],
)
def test_a_cut_falls_between_words_where_it_can(text: str, side: Side, left: str) -> None:
    assert cut(text, limit=8, side=side) == left


class NumberTokenizer(WordTokenizer):
    """Every word is its own id."""

    def encode(self, inputs: Sequence[Input]) -> list[Tokens]:
        return [Tokens(ids=[int(word) if word.isdigit() else 0 for word in read(item).split()]) for item in inputs]


async def test_a_token_beyond_the_models_table_never_reaches_the_device() -> None:
    backend = FakeBackend(vocabulary_size=100)
    async with app_under_test(backend, tokenizer=NumberTokenizer()) as runtime:
        known = await runtime.embed(input=["1 2 99", "0"])
        unknown = await runtime.embed(input=["1 2", "3 100"])
    assert (known.status_code, unknown.status_code) == (200, 500)
    assert unknown.json()["error"]["code"] == "unknown_token"
    assert unknown.headers["x-should-retry"] == "false"
    assert sum(map(len, backend.batches)) == 2


def test_a_real_models_table_is_known(minilm_folder: Path) -> None:
    assert load_model(ServeSettings(model=minilm_folder, device=Device.CPU)).backend.vocabulary_size == 30522


def minilm_tokenizer(folder: Path, *, side: Side) -> Tokenizer:
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".json", ".txt"}}
    serving = resolve_folder(folder).serving.model_copy(update={"truncation_side": side})
    return load_text_tokenizer(files, serving=serving, family="bert")


@pytest.mark.parametrize("side", Side)
async def test_a_book_has_the_tokens_of_the_whole_one_in_a_real_tokenizer(minilm_folder: Path, side: Side) -> None:
    tokenizer = minilm_tokenizer(minilm_folder, side=side)
    texts = [Text("Überlange Wörter, 漢字 and unbelievably-long; sentences \n" * count) for count in (1, 150, 1500)]
    texts += [Text("漢字" * 20_000), Text("x" * 90_000), Text("a " + " " * 20_000 + "b " * 300)]
    threads = TokenizerThreads(tokenizer, threads=2, max_characters=262_144, side=side)
    try:
        assert await threads.encode(texts) == tokenizer.encode(texts)
    finally:
        threads.close()


def test_a_cut_text_has_the_tokens_of_the_whole_one_in_a_real_tokenizer(minilm_folder: Path) -> None:
    files = {path.name: path.read_bytes() for path in minilm_folder.iterdir() if path.suffix in {".json", ".txt"}}
    tokenizer = load_text_tokenizer(files, serving=resolve_folder(minilm_folder).serving, family="bert")
    text = "Überlange Wörter, 漢字 and unbelievably-long; sentences \n" * 2000
    texts = [text, *(cut(text, limit=limit, side=Side.RIGHT) for limit in range(8192, 8260))]
    whole, *cuts = tokenizer.encode([Text(each) for each in texts])
    assert whole.truncated
    assert all(tokens == whole for tokens in cuts)
