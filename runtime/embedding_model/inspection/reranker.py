"""A reranker: where its score comes from, and what turns a logit into it."""

from embedding_model.inspection.activation import find_written, read_activation
from embedding_model.inspection.assembly import TaskValues
from embedding_model.inspection.identified import Head
from embedding_model.inspection.instruction import read_instruction
from embedding_model.inspection.labels import describe_labels, find_relevant, read_labels
from embedding_model.inspection.reading import Reading
from embedding_model.inspection.templates import find_head_template, read_token_scoring
from embedding_model.inspection.verdict import Decision
from embedding_model.resolved import Activation, Evidence, ScoreRule, Scoring
from embedding_model.tokenizer_files import TOKENIZER_FILE


def read_reranker(reading: Reading, *, decision: Decision) -> TaskValues:
    """The values of a reranker. Raises Refusal, as the readers of the single files do."""
    labels: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...]
    if decision.head is Head.CAUSAL_LANGUAGE_MODEL:
        scoring, template = read_token_scoring(reading)
        activation, activation_evidence = read_activation(reading)
        evidence = (_describe(reading, scoring=scoring), template, activation_evidence)
    else:
        scoring, labels, evidence = _read_head(reading)
        if scoring.label is None:
            activation, activation_evidence = read_activation(reading)
        else:
            activation, activation_evidence = _read_two(reading, label=scoring.label)
        evidence = (*evidence, activation_evidence)
    instruction, instruction_evidence = read_instruction(reading, decision=decision, template=scoring.template)
    return TaskValues(
        activation=activation,
        scoring=scoring.model_copy(update={"instruction": instruction}),
        labels=labels,
        evidence=(*evidence, *instruction_evidence),
    )


def _read_head(reading: Reading) -> tuple[Scoring, tuple[str, ...], tuple[Evidence, ...]]:
    """Labels are kept for two outputs only: they say which of them is the score."""
    count = reading.identified.label_count or 1
    labels = read_labels(reading.config, count=count) if count == 2 else ()
    evidence: tuple[Evidence, ...] = ()
    if labels:
        evidence = (describe_labels(reading.config, labels=labels, count=count),)
    template = None
    if reading.identified.is_decoder:
        template, template_evidence = find_head_template(reading)
        evidence = (*evidence, template_evidence)
    scoring = Scoring(
        rule=ScoreRule.CLASSIFICATION_HEAD,
        label=find_relevant(labels),
        template=None if template is None else template.name,
    )
    return scoring, labels, (_describe(reading, scoring=scoring), *evidence)


def _describe(reading: Reading, *, scoring: Scoring) -> Evidence:
    tensor = reading.identified.head_tensor or reading.identified.word_tensor
    if scoring.rule is ScoreRule.TOKEN_LOGITS:
        numbers = f"{scoring.true_token!r} ({scoring.true_token_id})"
        if scoring.false_token is not None:
            numbers += f" minus that of {scoring.false_token!r} ({scoring.false_token_id})"
        note = f"at the last position the logit of {numbers}, numbered by {TOKENIZER_FILE}"
    elif scoring.label is None:
        note = "the one output"
    else:
        note = f"the probability of {scoring.label!r}"
    return Evidence(field="scoring", value=scoring.rule, file=tensor.file, key=tensor.name, note=note)


def _read_two(reading: Reading, *, label: str) -> tuple[Activation, Evidence]:
    """Of two labels the score is the probability of one: what a file says of single logits does not apply."""
    return Activation.SOFTMAX, Evidence(
        field="activation",
        value=Activation.SOFTMAX,
        file=reading.config.path,
        key="id2label",
        note=f"the score is the probability of {label!r} among the two labels",
        overruled=tuple(f"{str(written)[:80]} ({file} {key})" for written, file, key in find_written(reading)),
    )
