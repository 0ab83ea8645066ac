"""docs/parity.json has a figure for everything that is served, within the bounds that the tests hold."""

import pytest
from parity import CLOSE, EXACT, SCORE_TOLERANCE

from embedding_model.resolved import Task
from embedding_model.served import SERVED
from embedding_runtime.architectures.families import ARCHITECTURES
from generators.serving_table import read_figures, write_serving_table

MEASURED = [(family, task) for family, tasks in SERVED.items() for task in sorted(tasks)]


def test_the_runtime_has_a_forward_pass_for_every_family_that_is_served_and_for_no_other() -> None:
    assert set(SERVED) == set(ARCHITECTURES)


@pytest.mark.parametrize(("family", "task"), MEASURED, ids=[f"{family}, {task}" for family, task in MEASURED])
def test_everything_that_is_served_was_measured_and_is_near_enough(family: str, task: Task) -> None:
    families = read_figures()["families"]
    assert task in families.get(family, {}), f"run hack/measure-parity {family}, then hack/generate"
    figure = families[family][task]

    if task is Task.EMBEDDING:
        assert figure["cosine"]["float32"] >= EXACT
        assert figure["cosine"]["bfloat16"] >= CLOSE
        assert figure["tokens"] >= 512
    else:
        assert 0 <= figure["error"] <= SCORE_TOLERANCE


def test_every_family_is_a_row_of_the_table() -> None:
    rows = [line for line in write_serving_table().splitlines() if line.startswith("| `")]

    assert [row.split("`")[1] for row in rows] == list(SERVED)
