"""docs/private-port.md and docs/operations.md say what is there."""

import re
from pathlib import Path

from private_under_test import PrivateUnderTest
from runtime_under_test import app_under_test
from starlette.routing import Route

from embedding_model import ports
from embedding_model.goldens.questions import QuestionKind
from embedding_runtime.gate.answer_checks import TEXTS, check_answers
from embedding_runtime.gate.token_checks import check_tokens

DOCS = Path(__file__).parents[3] / "docs"
PRIVATE_PORT = (DOCS / "private-port.md").read_text()
OPERATIONS = (DOCS / "operations.md").read_text()


async def test_the_table_of_routes_is_complete_and_says_who_may() -> None:
    written = set(re.findall(r"^\| `(GET|POST) (/\w+)` \| (everybody|the operator) \|", PRIVATE_PORT, re.MULTILINE))
    found = set()
    async with app_under_test() as runtime:
        for route in PrivateUnderTest(runtime, cases=[]).port.asgi.routes:
            assert isinstance(route, Route)
            [method] = (route.methods or set()) - {"HEAD"}
            is_guarded = route.endpoint.__qualname__.startswith("Guard.")
            found.add((method, route.path, "the operator" if is_guarded else "everybody"))
    assert written == found


def test_every_kind_of_question_and_the_limits_are_written() -> None:
    assert set(re.findall(r'"kind": "(\w+)", "text"', PRIVATE_PORT)) == set(QuestionKind)
    assert f"at most {ports.MAX_QUESTIONS} of them in at most {ports.MAX_QUESTION_BYTES // 1024**2} MiB" in PRIVATE_PORT


async def test_the_table_of_built_in_checks_names_what_a_pod_reports() -> None:
    written = set(re.findall(r"^\| `(check\.\w+)` \|", OPERATIONS, re.MULTILINE))
    async with app_under_test() as runtime:
        assert runtime.app.loaded is not None
        results = [*await check_answers(runtime.app), *await check_tokens(runtime.app.loaded)]
    assert written == {result.name for result in results} | {"check.end_token"}  # of models that have one
    assert len(TEXTS) == 4
    assert "four texts of mixed lengths" in OPERATIONS
