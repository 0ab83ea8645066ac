"""The fixed text set."""

from collections import Counter

import pytest

from embedding_runtime.reference.rerank_texts import LONG, choose_rerank_texts
from embedding_runtime.reference.texts import GOLDENS, HOLDOUT, LONGEST_CUT, Sort, choose_texts


def test_both_halves_have_every_sort_of_text() -> None:
    for half in (GOLDENS, HOLDOUT):
        assert {text.sort for text in half} == set(Sort)
        for name in ("short", "nearly-empty", "white-space", "code"):
            assert any(text.name.startswith(name) for text in half)
    assert (len(GOLDENS), len(HOLDOUT)) == (12, 28)


def test_no_text_is_in_both_halves_and_no_name_twice() -> None:
    goldens, holdout = choose_texts(max_input_tokens=512)
    names = [text.name for text in (*goldens, *holdout)]
    assert len(set(names)) == len(names)
    assert not {text.text for text in goldens} & {text.text for text in holdout}
    assert all(name.startswith(("reference.", "holdout.")) and len(name) < 64 for name in names)


def test_scripts_of_many_languages_are_there() -> None:
    first_letters = {text.text[0] for text in (*GOLDENS, *HOLDOUT) if text.name.startswith("short-")}
    assert len([text for text in (*GOLDENS, *HOLDOUT) if text.name.startswith("short-")]) >= 16
    assert len({ord(letter) >> 8 for letter in first_letters}) >= 9, "blocks of Unicode"


@pytest.mark.parametrize("max_input_tokens", [16, 256, LONGEST_CUT])
def test_what_is_to_be_cut_has_more_words_than_the_model_reads_tokens(max_input_tokens: int) -> None:
    for half in choose_texts(max_input_tokens=max_input_tokens):
        cut = [text for text in half if text.name.partition(".")[2].startswith("cut")]
        assert cut
        for text in cut:
            words = text.text.split()
            assert max_input_tokens < len(words) < 2 * max_input_tokens + 50
            assert words[:20] != words[-20:], "its end must not look like its beginning"


def test_nothing_is_as_long_as_what_a_model_of_many_tokens_reads() -> None:
    for half in choose_texts(max_input_tokens=LONGEST_CUT + 1):
        assert max(len(text.text.split()) for text in half) < LONGEST_CUT / 2


@pytest.mark.parametrize(
    ("prompts", "most"), [(["query"], 9), (["query", "document"], 5), ([f"p{index}" for index in range(9)], 1)]
)
def test_every_prompt_is_asked_as_often_as_the_others(prompts: list[str], most: int) -> None:
    goldens, holdout = choose_texts(max_input_tokens=512, prompts=prompts)
    asked = Counter(text.prompt for text in (*goldens, *holdout) if text.prompt)
    assert set(asked) == set(prompts)
    assert max(asked.values()) == most
    assert max(asked.values()) - min(asked.values()) <= 1
    assert any(text.prompt for text in goldens)


def test_without_prompts_the_same_texts_are_asked_plainly() -> None:
    with_prompt, _ = choose_texts(max_input_tokens=512, prompts=["query"])
    without, _ = choose_texts(max_input_tokens=512)
    assert [text.text for text in with_prompt] == [text.text for text in without]
    assert not any(text.prompt for text in without)


def test_rerankers_get_short_queries_and_a_document_that_is_cut() -> None:
    goldens, holdout = choose_rerank_texts(max_input_tokens=64)
    assert (len(goldens), len(holdout)) == (3, 7)
    for texts in (*goldens, *holdout):
        assert len(texts.query.split()) < 10
        assert len(texts.documents[LONG].split()) > 64
    names = [texts.name for texts in (*goldens, *holdout)]
    assert len(set(names)) == len(names)
