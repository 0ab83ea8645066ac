"""What is served: an inspection with the spec's overrides applied, each override with its evidence."""

from collections import Counter
from dataclasses import dataclass
from typing import NoReturn

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import (
    Activation,
    Evidence,
    Inspection,
    Pooling,
    Prompt,
    Quantization,
    Serving,
    Side,
    Task,
)
from embedding_model.served import require_quantized, require_served

_SPEC = "spec"  # the `file` of evidence that the user wrote


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """The part of `spec.embedding` and `spec.reranking` that is set. None keeps what the model's own files say.

    `prompts` replaces the model's prompts as a whole; none at all also takes its default prompt away.
    `default_prompt` names one of the prompts in force. `instruction` goes into a reranker's template in place of the
    one that the template has by itself. `quantization` is `spec.runtime.quantization`.
    """

    pooling: Pooling | None = None
    normalize: bool | None = None
    dimensions: int | None = None
    max_input_tokens: int | None = None
    truncation: Side | None = None
    prompts: tuple[Prompt, ...] | None = None
    default_prompt: str | None = None
    instruction: str | None = None
    activation: Activation | None = None
    quantization: Quantization = Quantization.NONE


def apply_overrides(inspection: Inspection, *, overrides: Overrides) -> tuple[Serving, tuple[Evidence, ...]]:
    """The values that are served, and one Evidence for each override (`file` is "spec", `key` the spec field).

    Raises Refusal(INVALID_OVERRIDE), `field` naming the spec field, for a value of another task than the model's, one
    pooling in place of several, dimensions outside 1 to the model's own, more input tokens than the weights have
    positions, prompts with the same name, a default prompt that does not exist, an instruction where there is no place
    for it, and a quantisation of what cannot be quantised; Refusal(UNSUPPORTED_ARCHITECTURE) for what this version does
    not serve.
    """
    require_served(inspection)
    require_quantized(inspection, quantization=overrides.quantization)
    _require_task(inspection, overrides=overrides)
    prompts = _choose_prompts(inspection, overrides=overrides)
    serving = Serving(
        task=inspection.task,
        pooling=_choose_pooling(inspection, overrides=overrides),
        further_poolings=inspection.further_poolings,
        include_prompt=inspection.include_prompt,
        normalize=inspection.normalize if overrides.normalize is None else overrides.normalize,
        dimensions=_choose_dimensions(inspection.dimensions, overrides=overrides),
        model_dimensions=inspection.dimensions,
        layer_norm_before_cut=inspection.layer_norm_before_cut,
        max_input_tokens=_choose_max_input_tokens(inspection, overrides=overrides),
        lowercase=inspection.lowercase,
        truncation_side=inspection.truncation_side if overrides.truncation is None else overrides.truncation,
        prompts=prompts,
        default_prompt=_choose_default_prompt(inspection, overrides=overrides, prompts=prompts),
        activation=inspection.activation if overrides.activation is None else overrides.activation,
        instruction=_choose_instruction(inspection, overrides=overrides),
        quantization=overrides.quantization,
    )
    return serving, _collect_evidence(inspection, overrides=overrides, serving=serving)


def overrule_pooling(inspection: Inspection, *, pooling: Pooling) -> Inspection:
    """The inspection with another pooling, as `spec.embedding.pooling` makes it, also for what is not served yet.

    Raises Refusal(INVALID_OVERRIDE) for a model that pools nothing, and for one with several poolings side by side.
    """
    if inspection.pooling is None:
        _refuse(
            "embedding.pooling",
            f"embedding.pooling is {pooling}, but this is a model for {inspection.task}, which has none: leave it out",
        )
    _require_one_pooling(inspection, pooling=pooling)
    if pooling is inspection.pooling:
        return inspection
    lost = _describe(inspection, field="pooling", own=inspection.pooling)
    evidence = Evidence(field="pooling", value=pooling, file=_SPEC, key="embedding.pooling", overruled=(lost,))
    kept = [evidence if item.field == "pooling" else item for item in inspection.evidence]
    return inspection.model_copy(update={"pooling": pooling, "evidence": tuple(kept)})


_OF_EMBEDDERS = ("pooling", "normalize", "dimensions")
_OF_RERANKERS = ("instruction", "activation")
_WITH_PROMPTS = frozenset({Task.EMBEDDING, Task.SPARSE})


def _require_task(inspection: Inspection, *, overrides: Overrides) -> None:
    """Raises Refusal for an override that the model's task has no use for."""
    task = inspection.task
    wrong = [
        f"{section}.{name}"
        for section, names, owner in (
            ("embedding", _OF_EMBEDDERS, Task.EMBEDDING),
            ("reranking", _OF_RERANKERS, Task.RERANKING),
        )
        for name in names
        if task is not owner and getattr(overrides, name) is not None
    ]
    if task not in _WITH_PROMPTS and overrides.prompts:
        wrong.append("embedding.prompts")
    if wrong:
        _refuse(wrong[0], f"{wrong[0]} is set, but this is a model for {task}, which has none: leave it out")
    template = inspection.scoring.template if inspection.scoring else None
    if overrides.instruction is not None and template is None:
        _refuse(
            "reranking.instruction",
            "reranking.instruction is set, but this reranker takes a query and a document and has no place for an "
            "instruction: leave it out",
        )


def _choose_pooling(inspection: Inspection, *, overrides: Overrides) -> Pooling | None:
    if overrides.pooling is None:
        return inspection.pooling
    _require_one_pooling(inspection, pooling=overrides.pooling)
    return overrides.pooling


def _require_one_pooling(inspection: Inspection, *, pooling: Pooling) -> None:
    if inspection.further_poolings:
        poolings = ", ".join([str(inspection.pooling), *inspection.further_poolings])
        _refuse(
            "embedding.pooling",
            f"embedding.pooling is {pooling}, but this model puts {poolings} side by side, and one of them alone would "
            "give vectors of another width: leave it out",
        )


def _choose_dimensions(own: int | None, *, overrides: Overrides) -> int | None:
    if overrides.dimensions is None or own is None:
        return own
    if not 1 <= overrides.dimensions <= own:
        _refuse(
            "embedding.dimensions",
            f"embedding.dimensions is {overrides.dimensions}, but the model's vectors have {own}: "
            f"write a number from 1 to {own}, or leave it out",
        )
    return overrides.dimensions


def _choose_instruction(inspection: Inspection, *, overrides: Overrides) -> str | None:
    own = inspection.scoring.instruction if inspection.scoring else None
    return own if overrides.instruction is None else overrides.instruction


def _choose_max_input_tokens(inspection: Inspection, *, overrides: Overrides) -> int:
    asked = overrides.max_input_tokens
    if asked is None:
        return inspection.max_input_tokens
    if not 1 <= asked <= inspection.positions:
        _refuse(
            "embedding.maxInputTokens",
            f"embedding.maxInputTokens is {asked}, but the weights have {inspection.positions} positions: write a "
            f"number from 1 to {inspection.positions}, or nothing for its own {inspection.max_input_tokens}",
        )
    return asked


def _choose_prompts(inspection: Inspection, *, overrides: Overrides) -> tuple[Prompt, ...]:
    if overrides.prompts is None:
        return inspection.prompts
    counts = Counter(prompt.name for prompt in overrides.prompts)
    if "" in counts:
        _refuse("embedding.prompts", "embedding.prompts holds a prompt without a name: give each prompt a name")
    repeated = sorted(name for name, count in counts.items() if count > 1)
    if repeated:
        _refuse(
            "embedding.prompts",
            f"embedding.prompts names {_quote(repeated)} more than once: give each prompt a name of its own",
        )
    return overrides.prompts


def _choose_default_prompt(inspection: Inspection, *, overrides: Overrides, prompts: tuple[Prompt, ...]) -> str | None:
    names = [prompt.name for prompt in prompts]
    if overrides.default_prompt is not None:
        if overrides.default_prompt not in names:
            known = f"the prompts are {_quote(names)}" if names else "there are no prompts"
            _refuse(
                "embedding.defaultPrompt",
                f"embedding.defaultPrompt is {_quote([overrides.default_prompt])}, but {known}: name one of them, "
                "or add it to embedding.prompts",
            )
        return overrides.default_prompt
    own = inspection.default_prompt
    if own is None or not prompts:
        return None
    if own not in names:
        _refuse(
            "embedding.defaultPrompt",
            f"the model applies its prompt {_quote([own])} by default, but embedding.prompts replaces the model's "
            f"prompts with {_quote(names)}: set embedding.defaultPrompt to one of them, or add a prompt of that name "
            "(with an empty text for none)",
        )
    return own


def _collect_evidence(inspection: Inspection, *, overrides: Overrides, serving: Serving) -> tuple[Evidence, ...]:
    collected: list[Evidence] = []

    def record(field: str, *, value: str, own: str, note: str | None = None, section: str = "embedding") -> None:
        key = f"{section}.{field}"
        overruled = () if own == value else (_describe(inspection, field=field, own=own),)
        collected.append(Evidence(field=field, value=value, file=_SPEC, key=key, note=note, overruled=overruled))

    if overrides.pooling is not None:
        record("pooling", value=overrides.pooling, own=str(inspection.pooling))
    if overrides.normalize is not None:
        record("normalize", value=_word(overrides.normalize), own=_word(bool(inspection.normalize)))
    if overrides.dimensions is not None:
        record(
            "dimensions",
            value=str(overrides.dimensions),
            own=str(inspection.dimensions),
            note=_judge_cut(inspection, dimensions=overrides.dimensions),
        )
    if overrides.max_input_tokens is not None:
        record("maxInputTokens", value=str(overrides.max_input_tokens), own=str(inspection.max_input_tokens))
    if overrides.truncation is not None:
        record("truncationSide", value=overrides.truncation, own=inspection.truncation_side)
    if overrides.prompts is not None:
        record("prompts", value=_names(overrides.prompts), own=_names(inspection.prompts))
    if serving.default_prompt != inspection.default_prompt or overrides.default_prompt is not None:
        record("defaultPrompt", value=serving.default_prompt or "none", own=inspection.default_prompt or "none")
    if overrides.activation is not None:
        record("activation", value=overrides.activation, own=str(inspection.activation), section="reranking")
    if overrides.instruction is not None:
        written = inspection.scoring is not None and inspection.scoring.instruction is not None
        own = "that of the files" if written else "the template's own"
        record("instruction", value="set", own=own, section="reranking")
    if overrides.quantization is not Quantization.NONE:
        note = "the weights of linear layers are rounded: vectors are near those of the model, not equal to them"
        record("quantization", value=overrides.quantization, own="None", note=note, section="runtime")
    return tuple(collected)


def _judge_cut(inspection: Inspection, *, dimensions: int) -> str | None:
    if dimensions == inspection.dimensions:
        return None
    sizes = inspection.matryoshka_dimensions
    if not sizes:
        return "the model declares no Matryoshka sizes: how good its cut vectors are is not known"
    if dimensions in sizes:
        return "a Matryoshka size that the model declares"
    return f"not among the Matryoshka sizes that the model declares ({', '.join(map(str, sizes))})"


def _describe(inspection: Inspection, *, field: str, own: str) -> str:
    """The model's own reading and the file it came from."""
    source = next((item for item in inspection.evidence if item.field == field), None)
    if source is None:
        return own
    return f"{own} ({source.file}{'' if source.key is None else ' ' + source.key})"


def _names(prompts: tuple[Prompt, ...]) -> str:
    return ", ".join(prompt.name for prompt in prompts) or "none"


def _word(flag: bool) -> str:
    return "true" if flag else "false"


def _quote(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _refuse(field: str, message: str) -> NoReturn:
    raise Refusal(Reason.INVALID_OVERRIDE, message, field=field)
