"""The prompts: texts put before the input, one of them by default.

They are config_sentence_transformers.json's. Where it declares none (empty texts, which the library writes by itself,
count as none), the table of prompts that exist in model cards only is asked, by name.
"""

from dataclasses import dataclass

from embedding_model.inspection.card_prompts import find_card_prompts
from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.quoting import quote
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence, Origin, Prompt

_SIZE_LIMIT = 256 * 1024  # bytes; the resolved model, prompts included, must fit into a ConfigMap of 1 MiB


@dataclass(frozen=True)
class PromptChoice:
    prompts: tuple[Prompt, ...]
    default_prompt: str | None
    evidence: tuple[Evidence, ...]


def read_prompts(library: JsonObject, *, origin: Origin, config: JsonObject) -> PromptChoice:
    """An embedder's prompts: the files', else those of the model card where the table knows it.

    Raises Refusal, as `read_written_prompts` does.
    """
    written = read_written_prompts(library)
    known = None if any(prompt.text for prompt in written.prompts) else find_card_prompts(origin, config=config)
    if known is None:
        return written
    empty = ", ".join(quote(prompt.name) for prompt in written.prompts)
    evidence = Evidence(
        field="prompts",
        value=", ".join(prompt.name for prompt in known.prompts),
        file=known.file,
        key=known.key,
        note=f"no file declares them: they are in the model card of {known.repository} only, known by its name",
        overruled=(f"{empty}, empty ({library.path} prompts)",) if written.prompts else (),
    )
    # A default among empty prompts means "nothing is put before the input"; it stays so.
    return PromptChoice(known.prompts, None, (evidence, _describe_default(library, default=None)))


def read_written_prompts(library: JsonObject) -> PromptChoice:
    """The prompts in the file's order, empty ones included: clients may ask for them by name.

    Raises Refusal: INVALID_FILE when a prompt is not a text or the default one does not exist, TOO_LARGE.
    """
    written = _read_written(library)
    default = library.text("default_prompt_name")
    if default is not None and default not in written:
        raise Refusal(
            Reason.INVALID_FILE,
            f"{library.path}: default_prompt_name is {quote(default)}, which is not among its prompts",
        )
    return PromptChoice(
        prompts=tuple(Prompt(name=name, text=text) for name, text in written.items()),
        default_prompt=default,
        evidence=(
            Evidence(
                field="prompts",
                value=", ".join(written) or "none",
                file=library.path,
                key="prompts",
                note=None if written else "none declared; where the model's card asks for some, set embedding.prompts",
            ),
            _describe_default(library, default=default),
        ),
    )


def _describe_default(library: JsonObject, *, default: str | None) -> Evidence:
    return Evidence(
        field="defaultPrompt",
        value=default or "none",
        file=library.path,
        key="default_prompt_name",
        note=None if default else "none declared; the input is embedded as it comes",
    )


def _read_written(library: JsonObject) -> dict[str, str]:
    written = library.mapping("prompts")
    for name, text in written.items():
        if not isinstance(text, str):
            raise Refusal(Reason.INVALID_FILE, f"{library.path}: expected the prompt {quote(name)} to be a string")
    size = sum(len(name.encode()) + len(text.encode()) for name, text in written.items())
    if size > _SIZE_LIMIT:
        raise Refusal(
            Reason.TOO_LARGE, f"{library.path}: the prompts have {size} bytes; at most {_SIZE_LIMIT} are served"
        )
    return dict(written)
