"""Which prompt is put before a request's texts.

A request may say nothing (the served name decides), name one of the model's prompts, say whether its texts are queries
or documents, give the whole prompt, or give a task for the template that the model's own query prompt is made of. Only
what the model itself shows is used: an instruction for a model whose prompt shows no template is refused, not guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from embedding_model.resolved import Serving
from embedding_runtime.errors import InvalidRequest

# Of a prompt or an instruction in a request. It is tokenised before each of its texts.
MOST_CHARACTERS = 4096


class InputType(StrEnum):
    """What a text is. Other servers' words for it are taken too."""

    QUERY = "query"
    DOCUMENT = "document"

    @classmethod
    def _missing_(cls, value: object) -> "InputType | None":
        return _OTHER_WORDS.get(value) if isinstance(value, str) else None


_OTHER_WORDS = {
    "passage": InputType.DOCUMENT,
    "search_query": InputType.QUERY,
    "search_document": InputType.DOCUMENT,
}


@dataclass(frozen=True, kw_only=True)
class AskedPrompt:
    """What a request says about the prompt; None: nothing.

    `name` is that of one of the model's prompts, `text` a whole prompt (empty: none at all), `instruction` the task in
    the template of the model's query prompt.
    """

    name: str | None = None
    input_type: InputType | None = None
    text: str | None = None
    instruction: str | None = None


def choose_prompt(asked: AskedPrompt, *, serving: Serving, default: str = "") -> str:
    """The text to put before each input; `default` is what a request gets that says nothing.

    Raises InvalidRequest for a name that the model does not have, an instruction where it shows no template, texts that
    are blank or too long, and for what contradicts each other.
    """
    _refuse_combinations(asked)
    if asked.text is not None:
        _check_length(asked.text, param="prompt")
        return asked.text
    if asked.name is not None:
        return _find_named(asked.name, serving=serving)
    if asked.instruction is not None:
        return _instruct(asked.instruction, serving=serving)
    if asked.input_type is not None:
        return _find_by_type(asked.input_type, serving=serving)
    return default


def is_own_prompt(text: str, *, serving: Serving) -> bool:
    """Whether vectors made with this prompt lie in the space that is served: with one of its prompts, or with none."""
    return not text or any(text == prompt.text for prompt in serving.prompts)


def _refuse_combinations(asked: AskedPrompt) -> None:
    given = {
        "prompt_name": asked.name is not None,
        "prompt": asked.text is not None,
        "instruction": asked.instruction is not None,
        "input_type": asked.input_type is not None and asked.instruction is None,
    }
    named = [param for param, is_given in given.items() if is_given]
    if len(named) > 1:
        raise InvalidRequest(f"{' and '.join(named)}: each of them chooses the prompt; send one.", param=named[1])
    if asked.instruction is not None and asked.input_type is InputType.DOCUMENT:
        raise InvalidRequest(
            "instruction: it is put before queries; with input_type document send none.", param="instruction"
        )


def _find_named(name: str, *, serving: Serving) -> str:
    prompt = serving.prompt(name)
    if prompt is None:
        known = ", ".join(prompt.name for prompt in serving.prompts)
        raise InvalidRequest(
            f"prompt_name: the model has no prompt of that name; it has: {known or 'none'}.", param="prompt_name"
        )
    return prompt.text


# In the order in which sentence-transformers' encode_query and encode_document look for them.
_NAMES: dict[InputType, Sequence[str]] = {
    InputType.QUERY: ("query",),
    InputType.DOCUMENT: ("document", "passage", "corpus"),
}


def _find_by_type(input_type: InputType, *, serving: Serving) -> str:
    """The first of the type's prompts that has a text, else none: never the default prompt, which may be the queries'.

    The library writes an empty prompt named document into every model that it saves; that must not hide a passage's.
    """
    prompts = [serving.prompt(name) for name in _NAMES[input_type]]
    return next((prompt.text for prompt in prompts if prompt is not None and prompt.text), "")


# What stands before and behind the task in a prompt of this kind. The first is that of E5-mistral (Improving Text
# Embeddings with Large Language Models), Qwen3-Embedding and gte-Qwen2, the second that of EmbeddingGemma.
_TEMPLATES = (("Instruct: ", "\nQuery:"), ("task: ", " | query:"))


def _instruct(instruction: str, *, serving: Serving) -> str:
    _check_length(instruction, param="instruction")
    if not instruction.strip():
        raise InvalidRequest("instruction: must hold a text; leave it out for the model's own.", param="instruction")
    own = _find_by_type(InputType.QUERY, serving=serving)
    for before, behind in _TEMPLATES:
        task, mark, rest = own.removeprefix(before).rpartition(behind)
        if own.startswith(before) and mark and task.strip() and not rest.strip():
            return before + instruction + behind + rest
    raise InvalidRequest(
        "instruction: the model has no query prompt of a form that takes one ('Instruct: ...', then 'Query:' on a line "
        "of its own); send the whole text to put before the input as prompt.",
        param="instruction",
    )


def _check_length(text: str, *, param: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise InvalidRequest(
            f"{param}: at most {MOST_CHARACTERS} characters, {len(text)} came; what is longer belongs into the input.",
            param=param,
        )
