"""The second table of docs/model-support.md: which families the runtime computes, and how near to the reference."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from embedding_model.inspection.families import FAMILIES
from embedding_model.resolved import Quantization, Task
from embedding_model.served import SERVED

FIGURES = Path(__file__).resolve().parents[2] / "docs" / "parity.json"

_INTRODUCTION = """\
## Serving

What the runtime computes of it. "native" is this project's own forward pass, the other classes are those of
transformers; the path of a running model is in `/info`. The figures are measured by `hack/measure-parity` with small
models of random weights (docs/parity.json; {libraries}). Each is the worst over texts alone, in batches of several
sizes, in other orders, and padded on either side where the family allows it: the cosine of an embedder's vectors with
those of sentence-transformers, and in float32 the largest difference of a logit from transformers' class, or of a
sparse weight from sentence-transformers. They show that the computation is the same, and nothing about a model's
quality. The tests hold every figure to 0.9999 in float32, 0.999 in bfloat16 and 1e-4 for logits and weights.

The longest input is the longest that was compared, not a limit: a model takes what its own files say.
"""
_DTYPES = ("float32", "bfloat16", "float16")
_FORMULA = "transformers has no class, so it is held to the formula in float64; no published weights were tried"
_NOTES: Mapping[str, str] = {
    "jina_bert": f"{_FORMULA}. One account of the published code gives rerankers with 12 heads other ALiBi slopes than "
    "the paper and the embedders have: hold such a model to golden cases of your own",
    "jina_bert_code": _FORMULA,
}


def read_figures() -> dict[str, Any]:
    """docs/parity.json."""
    figures: dict[str, Any] = json.loads(FIGURES.read_text(encoding="utf-8"))
    return figures


def write_serving_table() -> str:
    figures = read_figures()
    libraries = ", ".join(f"{name} {version}" for name, version in figures["libraries"].items())
    lines = [_INTRODUCTION.format(libraries=libraries), *_write_rows(figures["families"]), ""]
    notes = [f"- {family}: {note}." for family, note in _NOTES.items() if family in SERVED]
    return "\n".join([*lines, *notes, ""])


def _write_rows(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| family | tasks | computed by | dtypes | quantisation | longest input | parity |"
    yield "|---|---|---|---|---|---|---|"
    for family, tasks in SERVED.items():
        of_tasks = {task: figures[family][task] for task in Task if task in tasks}
        allowed = [dtype for dtype in _DTYPES if dtype not in FAMILIES[family].avoid_dtypes]
        quantised = [choice for choice in Quantization if choice is not Quantization.NONE]
        paths = dict.fromkeys(figure["path"] for figure in of_tasks.values())
        cells = (
            f"`{family}`",
            ", ".join(tasks_in_order(of_tasks)),
            "<br>".join(f"`{path}`" for path in paths),
            ", ".join(allowed),
            ", ".join(quantised) + " (embedders)" if FAMILIES[family].is_decoder else "",
            "".join(f"{figure['tokens']} tokens" for figure in of_tasks.values() if "tokens" in figure),
            "<br>".join(_parity(task, figure) for task, figure in of_tasks.items()),
        )
        yield "| " + " | ".join(cells) + " |"


def tasks_in_order(tasks: Mapping[Task, Any]) -> list[str]:
    return [str(task) for task in Task if task in tasks]


def _parity(task: Task, figure: Mapping[str, Any]) -> str:
    if "error" in figure:
        return f"{task}: within {_round_up(figure['error'])}"
    return f"{task}: " + ", ".join(f"{_cut(value)} {dtype}" for dtype, value in figure["cosine"].items())


def _round_up(error: float) -> str:
    """To one digit, never down."""
    if error == 0:
        return "0"
    unit = 10.0 ** math.floor(math.log10(error))
    return f"{math.ceil(round(error / unit, 6)) * unit:.0e}"


def _cut(cosine: float) -> str:
    """Six digits behind the point, never rounded up."""
    return f"{math.floor(cosine * 1e6 + 1e-3) / 1e6:.6f}"
