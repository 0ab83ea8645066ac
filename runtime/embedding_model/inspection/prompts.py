"""The prompts of config_sentence_transformers.json: texts put before the input, one of them by default."""

from dataclasses import dataclass

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.quoting import quote
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence, Prompt

_SIZE_LIMIT = 256 * 1024  # bytes; the resolved model, prompts included, must fit into a ConfigMap of 1 MiB


@dataclass(frozen=True)
class PromptChoice:
    prompts: tuple[Prompt, ...]
    default_prompt: str | None
    evidence: tuple[Evidence, ...]


def read_prompts(config: JsonObject) -> PromptChoice:
    """The prompts in the file's order, empty ones included: clients may ask for them by name.

    Raises Refusal: INVALID_FILE when a prompt is not a text or the default one does not exist, TOO_LARGE.
    """
    written = config.mapping("prompts")
    for name, text in written.items():
        if not isinstance(text, str):
            raise Refusal(Reason.INVALID_FILE, f"{config.path}: expected the prompt {quote(name)} to be a string")
    size = sum(len(name.encode()) + len(text.encode()) for name, text in written.items())
    if size > _SIZE_LIMIT:
        raise Refusal(
            Reason.TOO_LARGE, f"{config.path}: the prompts have {size} bytes; at most {_SIZE_LIMIT} are served"
        )
    default = config.text("default_prompt_name")
    if default is not None and default not in written:
        raise Refusal(
            Reason.INVALID_FILE,
            f"{config.path}: default_prompt_name is {quote(default)}, which is not among its prompts",
        )
    return PromptChoice(
        prompts=tuple(Prompt(name=name, text=text) for name, text in written.items()),
        default_prompt=default,
        evidence=(
            Evidence(
                field="prompts",
                value=", ".join(written) or "none",
                file=config.path,
                key="prompts",
                note=None if written else "none declared",
            ),
            Evidence(
                field="defaultPrompt",
                value=default or "none",
                file=config.path,
                key="default_prompt_name",
                note=None if default else "none declared; the input is embedded as it comes",
            ),
        ),
    )
