"""What a request may say about the prompt, and what the model itself must show for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_model.resolved import Pooling, Prompt, Serving, Task
from embedding_runtime.core.prompts import (
    MOST_CHARACTERS,
    AskedPrompt,
    InputType,
    choose_prompt,
    is_own_prompt,
)
from embedding_runtime.errors import InvalidRequest

QUERY, DOCUMENT = InputType.QUERY, InputType.DOCUMENT
E5 = {"query": "query: ", "passage": "passage: "}
SAVED_E5 = {"query": "query: ", "document": "", "passage": "passage: "}
QWEN = {"query": "Instruct: Given a web search query, retrieve relevant passages\nQuery:", "document": ""}
MISTRAL = {"query": "Instruct: Given a web search query\nQuery: "}
GEMMA = {"query": "task: search result | query: ", "document": "title: none | text: "}


def serving(prompts: dict[str, str]) -> Serving:
    return Serving(
        task=Task.EMBEDDING,
        pooling=Pooling.MEAN,
        normalize=True,
        dimensions=8,
        model_dimensions=8,
        max_input_tokens=16,
        lowercase=False,
        prompts=tuple(Prompt(name=name, text=text) for name, text in prompts.items()),
    )


@pytest.mark.parametrize(
    ("prompts", "asked", "expected"),
    [
        pytest.param(E5, AskedPrompt(), "by default ", id="nothing said"),
        pytest.param(E5, AskedPrompt(name="passage"), "passage: ", id="by name"),
        pytest.param(E5, AskedPrompt(input_type=QUERY), "query: ", id="a query"),
        pytest.param(E5, AskedPrompt(input_type=DOCUMENT), "passage: ", id="a passage is a document"),
        pytest.param(SAVED_E5, AskedPrompt(input_type=DOCUMENT), "passage: ", id="an empty one hides nothing"),
        pytest.param({"corpus": "c: "}, AskedPrompt(input_type=DOCUMENT), "c: ", id="a corpus is one too"),
        pytest.param(
            {"passage": "p: ", "document": "d: "}, AskedPrompt(input_type=DOCUMENT), "d: ", id="document goes first"
        ),
        pytest.param(QWEN, AskedPrompt(input_type=DOCUMENT), "", id="documents without a prompt"),
        pytest.param({}, AskedPrompt(input_type=QUERY), "", id="queries without a prompt, and not the default"),
        pytest.param(E5, AskedPrompt(text="whatever: "), "whatever: ", id="a text"),
        pytest.param(E5, AskedPrompt(text=""), "", id="an empty text takes the default away"),
        pytest.param(QWEN, AskedPrompt(instruction="Find code"), "Instruct: Find code\nQuery:", id="Qwen3-Embedding"),
        pytest.param(
            MISTRAL, AskedPrompt(instruction="Find code"), "Instruct: Find code\nQuery: ", id="E5-mistral, with a space"
        ),
        pytest.param(
            GEMMA, AskedPrompt(instruction="code retrieval"), "task: code retrieval | query: ", id="EmbeddingGemma"
        ),
        pytest.param(
            QWEN,
            AskedPrompt(instruction="Find code", input_type=QUERY),
            "Instruct: Find code\nQuery:",
            id="an instruction for queries",
        ),
    ],
)
def test_the_prompt_is_the_one_that_was_asked_for(prompts: dict[str, str], asked: AskedPrompt, expected: str) -> None:
    assert choose_prompt(asked, serving=serving(prompts), default="by default ") == expected


@pytest.mark.parametrize(
    ("prompts", "asked", "param", "says"),
    [
        (E5, AskedPrompt(name="secret"), "prompt_name", "no prompt of that name; it has: query, passage."),
        ({}, AskedPrompt(name="secret"), "prompt_name", "it has: none."),
        (E5, AskedPrompt(name="query", text="x"), "prompt", "prompt_name and prompt: each"),
        (E5, AskedPrompt(name="query", input_type=QUERY), "input_type", "prompt_name and input_type: each"),
        (E5, AskedPrompt(text="x", input_type=QUERY), "input_type", "prompt and input_type: each"),
        (QWEN, AskedPrompt(text="x", instruction="y"), "instruction", "prompt and instruction: each"),
        (QWEN, AskedPrompt(instruction="secret", input_type=DOCUMENT), "instruction", "put before queries"),
        (QWEN, AskedPrompt(instruction=" \n"), "instruction", "must hold a text"),
        (E5, AskedPrompt(instruction="secret"), "instruction", "no query prompt of a form that takes one"),
        ({}, AskedPrompt(instruction="secret"), "instruction", "send the whole text to put before the input as prompt"),
        (
            {"query": "Instruct: x\nQuery: and more"},
            AskedPrompt(instruction="secret"),
            "instruction",
            "no query prompt of a form",
        ),
        (
            {"query": "Instruct: \nQuery:"},
            AskedPrompt(instruction="secret"),
            "instruction",
            "no query prompt of a form",
        ),
        ({"document": QWEN["query"]}, AskedPrompt(instruction="secret"), "instruction", "no query prompt of a form"),
        (E5, AskedPrompt(text="x" * (MOST_CHARACTERS + 1)), "prompt", "at most 4096 characters, 4097 came"),
        (QWEN, AskedPrompt(instruction="x" * 4097), "instruction", "at most 4096 characters, 4097 came"),
    ],
)
def test_what_the_model_does_not_show_or_contradicts_itself_is_refused(
    prompts: dict[str, str], asked: AskedPrompt, param: str, says: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        choose_prompt(asked, serving=serving(prompts))
    assert refused.value.param == param
    assert says in refused.value.message
    assert "secret" not in refused.value.message


@given(task=st.text(min_size=1, max_size=40).filter(str.strip))
def test_the_models_own_task_as_an_instruction_gives_its_own_prompt(task: str) -> None:
    """Whatever the task is, the template put together again is the prompt that it was taken from."""
    for before, behind in (("Instruct: ", "\nQuery:"), ("Instruct: ", "\nQuery: "), ("task: ", " | query: ")):
        own = serving({"query": before + task + behind})
        assert choose_prompt(AskedPrompt(instruction=task), serving=own) == before + task + behind


@pytest.mark.parametrize(("text", "is_own"), [("", True), ("query: ", True), ("query:", False), ("passage: ", True)])
def test_only_a_text_of_the_models_own_leaves_the_space(text: str, is_own: bool) -> None:
    assert is_own_prompt(text, serving=serving(E5)) is is_own
