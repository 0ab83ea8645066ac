"""An inspection as text for people: a short summary, then each value with the file that said so and what lost.

Both command lines print it for `inspect`.
"""

from collections.abc import Iterable, Sequence

from embedding_model.inspection.quoting import escape, quote
from embedding_model.resolved import Evidence, Inspection

_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def render_inspection(inspection: Inspection) -> str:
    """Several lines, the last one without a line end. Prompts are shown: they are the model's, not a user's."""
    sections = [_align(_summarise(inspection)), "Evidence", _align(map(_explain, inspection.evidence), indent="  ")]
    overruled = [_describe_loss(item) for item in inspection.evidence if item.overruled]
    if overruled:
        sections += ["Overruled", _align(overruled, indent="  ")]
    return "\n".join(sections)


def _summarise(inspection: Inspection) -> list[tuple[str, ...]]:
    weights = inspection.weights
    rows = [
        ("Task", inspection.task),
        ("Architecture", f"{inspection.architecture} ({inspection.family})"),
        ("Weights", f"{_size(weights.bytes)} in {_count(weights.files, 'file')}, {weights.parameters:,} parameters"),
        (
            "Pooling",
            (inspection.pooling or "none") + ("" if inspection.include_prompt else ", without the prompt's tokens"),
        ),
        ("Normalize", "yes" if inspection.normalize else "no"),
        ("Dimensions", str(inspection.dimensions)),
        ("Matryoshka", ", ".join(map(str, inspection.matryoshka_dimensions)) or "none declared"),
        (
            "Max input",
            _count(inspection.max_input_tokens, "token") + f", cut on the {inspection.truncation_side.lower()}",
        ),
        ("Lowercase", "yes" if inspection.lowercase else "no"),
    ]
    default = inspection.default_prompt
    prompts = [
        ("", f"{prompt.name}: {quote(prompt.text, limit=100)}" + (" (default)" if prompt.name == default else ""))
        for prompt in inspection.prompts
    ]
    first, *rest = prompts or [("", "none")]
    return [*rows, ("Prompts", first[1]), *rest]


def _explain(evidence: Evidence) -> tuple[str, ...]:
    source = evidence.file if evidence.key is None else f"{evidence.file} {evidence.key}"
    return evidence.field, evidence.value, source + (f" ({evidence.note})" if evidence.note else "")


def _describe_loss(evidence: Evidence) -> tuple[str, ...]:
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
