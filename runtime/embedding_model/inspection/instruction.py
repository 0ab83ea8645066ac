"""The default prompt of a reranker: for a language model it is the instruction in its template."""

from embedding_model.inspection.identified import Head
from embedding_model.inspection.prompts import read_written_prompts
from embedding_model.inspection.quoting import quote
from embedding_model.inspection.reading import Reading
from embedding_model.inspection.verdict import Decision
from embedding_model.refusal import Reason, Refusal
from embedding_model.rerank_templates import RERANK_TEMPLATES
from embedding_model.resolved import Evidence

_LIMIT = 8192  # characters; it stands before every document


def read_instruction(
    reading: Reading, *, decision: Decision, template: str | None
) -> tuple[str | None, tuple[Evidence, ...]]:
    """The instruction that the files name; None: the one of `template`, or none where there is no template.

    Raises Refusal: TOO_LARGE for one that is no instruction any more, UNSUPPORTED_ARCHITECTURE for a default prompt of
    a cross-encoder that takes a pair of texts: where it would have to stand is not understood, and without it every
    score could be another.
    """
    written = read_written_prompts(reading.library)
    default = next((prompt for prompt in written.prompts if prompt.name == written.default_prompt), None)
    if default is None or not default.text:
        return None, () if template is None else (_describe_own(reading, template=template),)
    if decision.head is not Head.CAUSAL_LANGUAGE_MODEL and not reading.identified.is_decoder:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{reading.library.path}: default_prompt_name is {quote(default.name)}, but a prompt for a pair of texts "
            "is not understood; ignoring it could change every score",
        )
    if len(default.text) > _LIMIT:
        raise Refusal(
            Reason.TOO_LARGE,
            f"{reading.library.path}: the prompt {quote(default.name)} is the instruction of the template and has "
            f"{len(default.text)} characters; at most {_LIMIT} are served",
        )
    evidence = Evidence(
        field="scoring.instruction",
        value=quote(default.text, limit=200),
        file=reading.library.path,
        key="default_prompt_name",
        note="the instruction in the template, unless a request brings its own",
    )
    return default.text, (evidence,)


def _describe_own(reading: Reading, *, template: str) -> Evidence:
    own = RERANK_TEMPLATES[template].instruction
    return Evidence(
        field="scoring.instruction",
        value="none" if own is None else quote(own, limit=200),
        file=reading.library.path,
        key="default_prompt_name",
        note=f"none declared; the own one of the template {template}",
    )
