"""The values that every task shares, and one Inspection of them and of those of the task."""

from collections.abc import Sequence
from dataclasses import dataclass

from embedding_model.inspection.architecture import hash_configuration
from embedding_model.inspection.card import CARD_FILE
from embedding_model.inspection.lengths import read_max_input_tokens, read_side
from embedding_model.inspection.quoting import escape
from embedding_model.inspection.reading import Reading
from embedding_model.inspection.verdict import Decision
from embedding_model.resolved import (
    Activation,
    Evidence,
    HeadModule,
    Inspection,
    Pooling,
    Prompt,
    Scoring,
    SparseHead,
    TokenHead,
)


@dataclass(frozen=True, kw_only=True)
class TaskValues:
    """What belongs to one task; the fields are Inspection's."""

    pooling: Pooling | None = None
    further_poolings: tuple[Pooling, ...] = ()
    include_prompt: bool = True
    normalize: bool | None = None
    modules: tuple[HeadModule, ...] = ()
    dimensions: int | None = None
    matryoshka_dimensions: tuple[int, ...] = ()
    layer_norm_before_cut: bool = False
    token_heads: tuple[TokenHead, ...] = ()
    end_token: str | None = None
    prompts: tuple[Prompt, ...] = ()
    default_prompt: str | None = None
    labels: tuple[str, ...] = ()
    activation: Activation | None = None
    scoring: Scoring | None = None
    sparse: SparseHead | None = None
    evidence: Sequence[Evidence] = ()


def assemble(reading: Reading, *, decision: Decision, values: TaskValues) -> Inspection:
    """The inspection. Raises Refusal(INVALID_FILE) for lengths and sides that are none."""
    found = reading.identified
    length, length_evidence = read_max_input_tokens(
        sentence_config=reading.sentence.document,
        tokenizer_config=reading.tokenizer_config,
        config=reading.config,
        identified=found,
    )
    truncation, truncation_evidence = read_side(
        reading.tokenizer_config,
        key="truncation_side",
        field="truncationSide",
        default="transformers cuts on the right",
    )
    padding, padding_evidence = read_side(
        reading.tokenizer_config, key="padding_side", field="paddingSide", default="transformers pads on the right"
    )
    architecture = found.architectures.get(decision.head) or found.architectures[None]
    return Inspection(
        task=decision.task,
        architecture=architecture,
        family=found.family,
        folder=reading.folder or None,
        pooling=values.pooling,
        further_poolings=values.further_poolings,
        include_prompt=values.include_prompt,
        normalize=values.normalize,
        modules=values.modules,
        dimensions=values.dimensions,
        matryoshka_dimensions=values.matryoshka_dimensions,
        layer_norm_before_cut=values.layer_norm_before_cut,
        token_heads=values.token_heads,
        max_input_tokens=length,
        positions=found.positions,
        truncation_side=truncation,
        padding_side=padding,
        end_token=values.end_token,
        lowercase=reading.sentence.lowercase,
        prompts=values.prompts,
        default_prompt=values.default_prompt,
        labels=values.labels,
        activation=values.activation,
        scoring=values.scoring,
        sparse=values.sparse,
        avoid_dtypes=found.avoid_dtypes,
        licence=reading.card.licence,
        configuration=hash_configuration(reading.config, heads=[] if decision.head is None else [decision.head]),
        weights=reading.weights,
        evidence=(
            decision.evidence,
            _describe_architecture(reading, architecture=architecture),
            *values.evidence,
            length_evidence,
            truncation_evidence,
            padding_evidence,
            reading.sentence.evidence,
            reading.tokenizer.evidence,
            *_describe_dtypes(reading),
            _describe_licence(reading),
        ),
    )


def _describe_architecture(reading: Reading, *, architecture: str) -> Evidence:
    config = reading.config
    names = [escape(name[:80]) for name in config.texts("architectures")[:4] if name != architecture]
    chosen = f"{architecture} ("  # the body is one of the losers to a head in the weights that this task leaves unused
    known = [item for item in reading.identified.overruled if not item.startswith(chosen)]
    lost = [f"{name} ({config.path} architectures)" for name in names if not any(name in item for item in known)]
    return Evidence(
        field="architecture",
        value=architecture,
        file=config.path,
        key="model_type",
        note=f"{reading.identified.family}; every tensor of {architecture} is there with its shape",
        overruled=(*known, *lost),
    )


def _describe_dtypes(reading: Reading) -> tuple[Evidence, ...]:
    avoided = reading.identified.avoid_dtypes
    if not avoided:
        return ()
    note = f"known to give wrong numbers with {reading.identified.family}"
    value = ", ".join(avoided)
    return (Evidence(field="avoidDtypes", value=value, file=reading.config.path, key="model_type", note=note),)


def _describe_licence(reading: Reading) -> Evidence:
    licence = reading.card.licence
    note = "what the model card says" if licence else "the model card names none"
    return Evidence(field="licence", value=licence or "none", file=CARD_FILE, key="license", note=note)
