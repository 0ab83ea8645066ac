"""A request may say from which side its texts are cut, and how short; special tokens stay in any case."""

from typing import Any

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from real_tokenizer import CLS, IDS, PIECES, SEP, text_tokenizer, tokenizer_files

from embedding_model.resolved import Side
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import Part
from embedding_runtime.errors import InvalidRequest

WORDS = "hello world pod query über hello"
HELLO, WORLD, POD, QUERY, UMLAUT = (IDS[word] for word in ("hello", "world", "pod", "query", "über"))


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        pytest.param({}, [CLS, HELLO, WORLD, POD, SEP], id="as served"),
        pytest.param({"side": Side.RIGHT}, [CLS, HELLO, WORLD, POD, SEP], id="its end"),
        pytest.param({"side": Side.LEFT}, [CLS, QUERY, UMLAUT, HELLO, SEP], id="its start"),
        pytest.param({"max_tokens": 4}, [CLS, HELLO, WORLD, SEP], id="shorter"),
        pytest.param({"max_tokens": 4, "side": Side.LEFT}, [CLS, UMLAUT, HELLO, SEP], id="shorter, its start"),
        pytest.param({"max_tokens": 400}, [CLS, HELLO, WORLD, POD, SEP], id="never longer than the model takes"),
        pytest.param({"max_tokens": 3}, [CLS, HELLO, SEP], id="as short as can be"),
    ],
)
def test_a_text_is_cut_as_the_request_says(asked: dict[str, Any], kept: list[int]) -> None:
    [tokens] = text_tokenizer(max_tokens=5).encode([Text(WORDS, **asked)])
    assert tokens.ids == kept
    assert tokens.truncated


@pytest.mark.parametrize(("prompt", "least"), [("", 3), ("query: ", 5)])
@pytest.mark.parametrize("side", [None, *Side])
def test_a_request_that_would_leave_nothing_of_a_text_is_refused(prompt: str, least: int, side: Side | None) -> None:
    tokenizer = text_tokenizer()
    for most in range(1, least):
        with pytest.raises(InvalidRequest, match=f"max_tokens: {most} leaves no room .* Ask for {least} or more"):
            tokenizer.encode([Text(WORDS, prompt=prompt, side=side, max_tokens=most)])
    [tokens] = tokenizer.encode([Text(WORDS, prompt=prompt, side=side, max_tokens=least)])
    assert len(tokens.ids) == least


def test_what_fits_is_not_refused_however_little_it_is() -> None:
    [tokens] = text_tokenizer().encode([Text("", max_tokens=2)])
    assert (tokens.ids, tokens.truncated) == ([CLS, SEP], False)


def test_texts_of_one_request_may_be_cut_on_different_sides() -> None:
    texts = [Text(WORDS, side=side) for side in (Side.LEFT, None, Side.RIGHT)]
    served_left = text_tokenizer(max_tokens=5, side=Side.LEFT).encode(texts)
    assert [tokens.ids[1] for tokens in served_left] == [QUERY, QUERY, HELLO]


def test_a_prompt_stays_where_the_start_of_its_text_is_cut_off() -> None:
    [tokens] = text_tokenizer(max_tokens=6).encode([Text(WORDS, prompt="query: ", side=Side.LEFT)])
    assert tokens.ids == [CLS, QUERY, IDS[":"], UMLAUT, HELLO, SEP]


def test_a_text_of_special_tokens_names_is_cut_like_any_other() -> None:
    [tokens] = text_tokenizer(max_tokens=4).encode([Text("[SEP] [CLS] hello world")])
    assert tokens.ids == [CLS, SEP, CLS, SEP]
    assert tokens.truncated


def test_a_query_that_a_table_weights_is_cut_without_special_tokens() -> None:
    [tokens] = text_tokenizer(max_tokens=2).encode([Text(WORDS, wants=frozenset({Part.QUERY_WEIGHTS}))])
    assert tokens.ids == [HELLO, WORLD]


@given(
    texts=st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join), max_size=4),
    length=st.integers(3, 10),
    side=st.sampled_from(Side),
)
def test_the_tokens_are_those_of_the_librarys_own_truncation(texts: list[str], length: int, side: Side) -> None:
    library = tokenizers.Tokenizer.from_str(tokenizer_files()["tokenizer.json"].decode())
    library.enable_truncation(length, direction=side.value.lower())
    expected = library.encode_batch(texts)
    found = text_tokenizer(max_tokens=length, side=side).encode([Text(text) for text in texts])
    assert [tokens.ids for tokens in found] == [encoding.ids for encoding in expected]
    assert [tokens.truncated for tokens in found] == [bool(encoding.overflowing) for encoding in expected]
