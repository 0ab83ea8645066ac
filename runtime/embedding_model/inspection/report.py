"""An inspection as text for people: a short summary, then each value with the file that said so and what lost.

Both command lines print it for `inspect`.
"""

from collections.abc import Iterable, Iterator, Sequence

from embedding_model.inspection.quoting import escape, quote
from embedding_model.rerank_templates import RERANK_TEMPLATES
from embedding_model.resolved import Evidence, Inspection, ScoreRule, Scoring, Task

_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_MOST_LABELS = 20

Row = tuple[str, ...]


def render_inspection(inspection: Inspection) -> str:
    """Several lines, the last one without a line end. Prompts are shown: they are the model's, not a user's."""
    sections = [_align(_summarise(inspection)), "Evidence", _align(map(_explain, inspection.evidence), indent="  ")]
    overruled = [_describe_loss(item) for item in inspection.evidence if item.overruled]
    if overruled:
        sections += ["Overruled", _align(overruled, indent="  ")]
    return "\n".join(sections)


def _summarise(inspection: Inspection) -> list[Row]:
    weights = inspection.weights
    files = f"{_size(weights.bytes)} in {_count(weights.files, 'file')}, {weights.parameters:,} parameters"
    tokens = _count(inspection.max_input_tokens, "token")
    rows: list[Row] = [
        ("Task", inspection.task),
        ("Architecture", f"{inspection.architecture} ({inspection.family})"),
        ("Weights", files),
        *_SUMMARIES[inspection.task](inspection),
        ("Max input", f"{tokens}, cut on the {inspection.truncation_side.lower()}"),
        ("Lowercase", "yes" if inspection.lowercase else "no"),
    ]
    if inspection.avoid_dtypes:
        rows.append(("Avoid", ", ".join(inspection.avoid_dtypes)))
    if inspection.licence is not None:
        rows.append(("Licence", inspection.licence))
    return [*rows, *_summarise_prompts(inspection)]


def _summarise_embedding(inspection: Inspection) -> Iterator[Row]:
    pooling = ", ".join([inspection.pooling or "none", *inspection.further_poolings])
    yield "Pooling", pooling + ("" if inspection.include_prompt else ", without the prompt's tokens")
    for head in inspection.modules:
        activation = "" if head.activation is None else f", {head.activation}"
        residual = ", with what comes in added" if head.residual else ""
        yield "Module", f"{head.kind} {head.input_dimensions} -> {head.output_dimensions}{activation}{residual}"
    for layer in inspection.token_heads:
        values = _count(layer.output_dimensions, "value")
        yield "Further head", f"{layer.kind}, {values} a token ({layer.file})"
    yield "Normalize", "yes" if inspection.normalize else "no"
    yield "Dimensions", str(inspection.dimensions)
    yield "Matryoshka", ", ".join(map(str, inspection.matryoshka_dimensions)) or "none declared"
    if inspection.layer_norm_before_cut:
        yield "Cut", "after a layer norm over the whole vector"
    if inspection.end_token is not None:
        yield "End token", quote(inspection.end_token)


def _summarise_reranking(inspection: Inspection) -> Iterator[Row]:
    scoring = inspection.scoring
    if scoring is not None and scoring.rule is ScoreRule.TOKEN_LOGITS:
        minus = "" if scoring.false_token is None else f" minus logit of {quote(scoring.false_token)}"
        yield "Score", f"logit of {quote(scoring.true_token)}{minus}"
    elif scoring is not None:
        label = "" if scoring.label is None else f", label {quote(scoring.label)}"
        yield "Score", f"classification head{label}"
    if scoring is not None and scoring.template is not None:
        yield "Template", scoring.template
        yield "Instruction", _describe_instruction(scoring)
    yield "Activation", inspection.activation or "none"


def _describe_instruction(scoring: Scoring) -> str:
    if scoring.instruction is not None:
        return quote(scoring.instruction, limit=100)
    template = RERANK_TEMPLATES.get(scoring.template or "")
    own = template.instruction if template else None
    return "none" if own is None else f"{quote(own, limit=100)} (the template's own)"


def _summarise_classification(inspection: Inspection) -> Iterator[Row]:
    labels = inspection.labels
    more = f" and {len(labels) - _MOST_LABELS} more" if len(labels) > _MOST_LABELS else ""
    yield "Labels", ", ".join(quote(label) for label in labels[:_MOST_LABELS]) + more or "without names"
    yield "Activation", inspection.activation or "none"


def _summarise_sparse(inspection: Inspection) -> Iterator[Row]:
    sparse = inspection.sparse
    if sparse is not None:
        yield "Pooling", f"{sparse.pooling} of {sparse.activation}"
        yield "Queries", "the model" if sparse.query_weights is None else f"the table {sparse.query_weights}"
    yield "Dimensions", f"{inspection.dimensions} (the vocabulary)"


_SUMMARIES = {
    Task.EMBEDDING: _summarise_embedding,
    Task.RERANKING: _summarise_reranking,
    Task.CLASSIFICATION: _summarise_classification,
    Task.SPARSE: _summarise_sparse,
}


def _summarise_prompts(inspection: Inspection) -> list[Row]:
    default = inspection.default_prompt
    prompts = [
        f"{prompt.name}: {quote(prompt.text, limit=100)}" + (" (default)" if prompt.name == default else "")
        for prompt in inspection.prompts
    ]
    if not prompts and inspection.task is not Task.EMBEDDING:
        return []
    first, *rest = prompts or ["none"]
    return [("Prompts", first), *(("", prompt) for prompt in rest)]


def _explain(evidence: Evidence) -> Row:
    source = evidence.file if evidence.key is None else f"{evidence.file} {evidence.key}"
    return evidence.field, evidence.value, source + (f" ({evidence.note})" if evidence.note else "")


def _describe_loss(evidence: Evidence) -> Row:
    return evidence.field, "; ".join(evidence.overruled)


def _align(rows: Iterable[Sequence[str]], *, indent: str = "") -> str:
    table = [tuple(escape(cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]) - 1)]
    return "\n".join(
        indent + "  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=False)] + [row[-1]])
        for row in table
    )


def _size(count: int) -> str:
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
