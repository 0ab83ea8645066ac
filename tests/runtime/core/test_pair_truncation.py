"""What is cut where a query and a document do not fit: the document first, the template never."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from embedding_model.refusal import Reason, Refusal
from embedding_model.rerank_templates import RerankTemplate, Slot
from embedding_model.resolved import Side
from embedding_runtime.core.inputs import Pair, Text
from embedding_runtime.core.pair_tokenizer import PairTokenizer, has_types
from embedding_runtime.core.pair_truncation import keep_query, share_equally
from embedding_runtime.core.template_tokenizer import LEAST_ROOM, TemplateTokenizer
from embedding_runtime.errors import InvalidRequest

WORDS = [f"q{index}" for index in range(40)] + [f"d{index}" for index in range(40)]
FRAME = ["[CLS]", "[SEP]", "[UNK]", "<start>", "judge", "query:", "document:", "<end>", "answer:", "find"]
VOCABULARY = {word: index for index, word in enumerate([*FRAME, *WORDS])}
LENGTHS = st.integers(min_value=0, max_value=40)
ROOM = st.integers(min_value=0, max_value=60)


def backend() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(vocab=VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 0), ("[SEP]", 1)],
    )
    return tokenizer


def words(kind: str, count: int) -> str:
    return " ".join(f"{kind}{index}" for index in range(count))


def read(ids: Any) -> str:
    names = {index: word for word, index in VOCABULARY.items()}
    return " ".join(names[id_] for id_ in ids)


@given(LENGTHS, LENGTHS, ROOM)
def test_a_query_stays_whole_unless_it_would_take_the_document_from_the_model(
    query: int, document: int, room: int
) -> None:
    kept_query, kept_document = keep_query(query, document, room)
    assert kept_query + kept_document == min(query + document, room)
    if query <= room - room // 4:
        assert kept_query == query
    assert kept_document >= min(document, room // 4)


@given(LENGTHS, LENGTHS, ROOM)
def test_two_texts_of_equal_rank_are_cut_as_the_library_cuts_them(first: int, second: int, room: int) -> None:
    tokenizer = backend()
    tokenizer.enable_truncation(max_length=room + 3, strategy="longest_first")
    found = tokenizer.encode(words("q", first), words("d", second))
    owners = found.sequence_ids
    assert share_equally(first, second, room) == (owners.count(0), owners.count(1))


@given(LENGTHS, LENGTHS, ROOM)
def test_the_two_rules_agree_wherever_the_library_keeps_the_query_whole(query: int, document: int, room: int) -> None:
    shared = share_equally(query, document, room)
    if shared[0] == query and query <= room - room // 4:
        assert keep_query(query, document, room) == shared


def pairs(*, longest: int, side: Side = Side.RIGHT, types: bool = False) -> PairTokenizer:
    return PairTokenizer(backend(), max_tokens=longest, side=side, rule=keep_query, has_types=types)


@pytest.mark.parametrize(("side", "kept"), [(Side.RIGHT, "d0 d1 d2 d3 d4"), (Side.LEFT, "d25 d26 d27 d28 d29")])
def test_the_document_loses_its_end_or_its_beginning(side: Side, kept: str) -> None:
    [tokens] = pairs(longest=12, side=side).encode([Pair(words("q", 4), words("d", 30))])
    assert read(tokens.ids) == f"[CLS] q0 q1 q2 q3 [SEP] {kept} [SEP]"
    assert tokens.truncated


@given(LENGTHS, LENGTHS, st.integers(min_value=5, max_value=60))
def test_a_pair_keeps_its_special_tokens_and_its_order_at_every_length(query: int, document: int, longest: int) -> None:
    [tokens] = pairs(longest=longest, types=True).encode([Pair(words("q", query), words("d", document))])
    whole = query + document + 3
    assert len(tokens.ids) == min(whole, longest)
    assert tokens.truncated == (whole > longest)
    head, tail = keep_query(query, document, longest - 3)
    expected = ["[CLS]", *words("q", head).split(), "[SEP]", *words("d", tail).split(), "[SEP]"]
    assert read(tokens.ids).split() == expected
    assert tokens.type_ids is not None
    assert list(tokens.type_ids) == [0] * (head + 2) + [1] * (tail + 1)


def test_a_text_alone_is_cut_on_the_side_of_the_model() -> None:
    right = pairs(longest=5).encode([Text(words("d", 9))])
    left = pairs(longest=5, side=Side.LEFT).encode([Text(words("d", 9))])
    assert [read(tokens.ids) for tokens in (*right, *left)] == ["[CLS] d0 d1 d2 [SEP]", "[CLS] d6 d7 d8 [SEP]"]


@given(LENGTHS, LENGTHS, st.integers(min_value=5, max_value=90), st.integers(min_value=1, max_value=45))
def test_a_request_may_let_less_of_the_document_be_read(query: int, document: int, longest: int, most: int) -> None:
    pair = Pair(words("q", query), words("d", document), max_document_tokens=most)
    [tokens] = pairs(longest=longest).encode([pair])
    [shorter] = pairs(longest=longest).encode([Pair(words("q", query), words("d", min(most, document)))])
    assert tokens.ids == shorter.ids
    assert tokens.truncated == (document > most or shorter.truncated)


@pytest.mark.parametrize(
    ("options", "family", "told"),
    [
        ({}, "bert", True),
        ({}, "xlm-roberta", False),
        ({"tokenizer_class": "BertTokenizerFast"}, "bert", True),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, "bert", False),
        (
            {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "token_type_ids"]},
            "bert",
            True,
        ),
        ({"tokenizer_class": "BertTokenizer", "model_input_names": ["input_ids", "attention_mask"]}, "bert", False),
    ],
)
def test_the_model_is_told_which_text_is_which_where_the_reference_tells_it(
    options: dict[str, Any], family: str, told: bool
) -> None:
    assert has_types(options, family=family) is told


TEMPLATE = RerankTemplate(
    source="this test",
    specials=("<start>", "<end>"),
    segments=(
        ("<start> judge",),
        (Slot.INSTRUCTION, " query: ", Slot.QUERY, " document: ", Slot.DOCUMENT),
        (" <end> answer:",),
    ),
    instruction="find",
)
HEAD, TAIL = "<start> judge find query:", "<end> answer:"
FIXED = len(f"{HEAD} document: {TAIL}".split())


def template(*, longest: int, side: Side = Side.RIGHT) -> TemplateTokenizer:
    return TemplateTokenizer(backend(), template=TEMPLATE, instruction=None, max_tokens=longest, side=side)


@given(LENGTHS, LENGTHS, st.integers(min_value=FIXED + LEAST_ROOM, max_value=90))
def test_a_template_keeps_its_end_and_its_words_at_every_length(query: int, document: int, longest: int) -> None:
    [tokens] = template(longest=longest).encode([Pair(words("q", query), words("d", document))])
    head, tail = keep_query(query, document, longest - FIXED)
    expected = f"{HEAD} {words('q', head)} document: {words('d', tail)} {TAIL}"
    assert read(tokens.ids).split() == expected.split()
    assert tokens.truncated == (query + document + FIXED > longest)


def test_a_document_in_a_template_loses_its_beginning_where_the_model_keeps_the_end() -> None:
    [tokens] = template(longest=FIXED + 8, side=Side.LEFT).encode([Pair("q0 q1", words("d", 30))])
    assert read(tokens.ids) == f"{HEAD} q0 q1 document: d24 d25 d26 d27 d28 d29 {TAIL}"


@given(
    LENGTHS, LENGTHS, st.integers(min_value=FIXED + LEAST_ROOM, max_value=90), st.integers(min_value=1, max_value=45)
)
def test_a_request_may_let_less_of_the_document_be_read_in_a_template(
    query: int, document: int, longest: int, most: int
) -> None:
    pair = Pair(words("q", query), words("d", document), max_document_tokens=most)
    [tokens] = template(longest=longest).encode([pair])
    [shorter] = template(longest=longest).encode([Pair(words("q", query), words("d", min(most, document)))])
    assert tokens.ids == shorter.ids
    assert tokens.truncated == (document > most or shorter.truncated)


def test_pairs_beside_each_other_do_not_mix() -> None:
    inputs = [Pair("q1", "d1"), Pair(words("q", 40), words("d", 40)), Pair("q2", "d2", instruction="judge find")]
    tokenizer = template(longest=40)
    together = tokenizer.encode(inputs)
    assert together == [tokens for item in inputs for tokens in tokenizer.encode([item])]
    assert read(together[2].ids) == "<start> judge judge find query: q2 document: d2 <end> answer:"


def test_an_instruction_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        template(longest=30).encode([Pair("q1", words("d", 20), instruction="find " * 28)])
    assert refused.value.param == "instruction"


def test_a_length_that_the_template_fills_is_refused_when_the_model_is_loaded() -> None:
    with pytest.raises(Refusal) as refused:
        template(longest=FIXED + LEAST_ROOM - 1)
    assert refused.value.reason is Reason.INVALID_OVERRIDE
    assert str(FIXED) in refused.value.message


def test_a_tokenizer_without_the_special_tokens_of_the_template_is_refused() -> None:
    other = replace(TEMPLATE, specials=("<start>", "<|im_end|>"))
    with pytest.raises(Refusal) as refused:
        TemplateTokenizer(backend(), template=other, instruction=None, max_tokens=60, side=Side.RIGHT)
    assert refused.value.reason is Reason.CONTRADICTORY_EVIDENCE
    assert "<|im_end|>" in refused.value.message


def test_a_single_text_is_no_input_of_a_template() -> None:
    with pytest.raises(TypeError):
        template(longest=60).encode([Text("d1")])


def test_a_template_reads_nothing_of_what_a_user_writes_as_its_own_slots() -> None:
    [tokens] = template(longest=60).encode([Pair("{document} q1", "{query} d1")])
    assert read(tokens.ids) == f"{HEAD} [UNK] q1 document: [UNK] d1 {TAIL}"
