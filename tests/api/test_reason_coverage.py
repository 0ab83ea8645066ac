"""Every condition and every reason is made true by a scenario or on a cluster, and asserted there."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedding_model.refusal import Reason as RefusalReason
from embedding_operator.api.reasons import ConditionType, Reason

TESTS = Path(__file__).parent.parent
LAYERS = ("scenario", "e2e")

SAMPLE = """
import pytest

GIVEN = {"reason": "OnlyGiven"}

@pytest.mark.parametrize(("given", "reason"), [(1, "Parametrized"), (2, Reason.BY_MEMBER)])
def test_reasons(given, reason):
    make("OnlyMade")
    assert cluster.says("OnlyAType") == ("False", reason)
    assert cluster.says("Stalled") == ("True", "Literal")

@pytest.mark.parametrize("given", ["OnlyAParameter"])
def test_given(given):
    assert read() == "another"
"""


def find_asserted(source: str) -> set[str]:
    """Strings, and members of enums by name, that an assertion names, or a parameter that it compares with."""
    found: set[str] = set()
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            asserted = [node for node in ast.walk(function) if isinstance(node, ast.Assert)]
            names = {item.id for node in asserted for item in ast.walk(node) if isinstance(item, ast.Name)}
            found |= {word for node in asserted for word in _list_words(node.test)}
            found |= set(_list_parameters(function, names=names))
    return found


def _list_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef, *, names: set[str]) -> Iterator[str]:
    """What `parametrize` gives to those parameters that are asserted."""
    for decorator in function.decorator_list:
        if not isinstance(decorator, ast.Call) or not ast.unparse(decorator.func).endswith("parametrize"):
            continue
        listed, rows = decorator.args[0], decorator.args[1]
        keys = [listed.value] if isinstance(listed, ast.Constant) else [ast.literal_eval(item) for item in listed.elts]  # type: ignore[attr-defined]
        for row in rows.elts if isinstance(rows, ast.List | ast.Tuple) else ():
            values = row.elts if isinstance(row, ast.Tuple) and len(keys) > 1 else [row]
            for key, value in zip(keys, values, strict=False):
                if key in names:
                    yield from _list_words(value)


def _list_words(node: ast.AST) -> Iterator[str]:
    """Not what a condition is asked for by: a type may have the name of a reason."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("Reason"):
        yield node.attr
    elif not (isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".says", ".condition"))):
        for part in ast.iter_child_nodes(node):
            yield from _list_words(part)


@pytest.fixture(scope="module")
def asserted() -> set[str]:
    files = [path for layer in LAYERS for path in (TESTS / layer).glob("test_*.py")]
    return {word for path in files for word in find_asserted(path.read_text(encoding="utf-8"))}


def test_only_what_is_asserted_counts() -> None:
    found = find_asserted(SAMPLE)
    assert {"Parametrized", "BY_MEMBER", "Literal"} <= found
    assert not {"OnlyGiven", "OnlyMade", "OnlyAParameter", "OnlyAType"} & found


@pytest.mark.parametrize("reason", [*Reason, *RefusalReason], ids=str)
def test_a_test_makes_each_reason_true(reason: Reason | RefusalReason, asserted: set[str]) -> None:
    assert {reason.value, reason.name} & asserted, f"no test of {', '.join(LAYERS)} asserts {reason.value}"


@pytest.mark.parametrize("kind", [*ConditionType], ids=str)
def test_a_scenario_makes_each_condition_true(kind: ConditionType) -> None:
    sources = [path.read_text(encoding="utf-8") for path in (TESTS / "scenario").glob("test_*.py")]
    assert any(f'.says("{kind}") == ("True", ' in source for source in sources)
