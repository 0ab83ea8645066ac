"""Frameworks that are built on the SDKs, newest versions that go together, against live servers.

What they run are the snippets of docs/clients.md.
"""

import re
from collections.abc import Callable

import pytest
from client_groups import CHECKS, ROOT


@pytest.mark.parametrize("group", ["llamaindex", "langchain", "haystack-ai", "litellm-sdk"])
def test_embedders_and_rerankers_of_a_framework_work(group: str, assert_group_passes: Callable[[str], None]) -> None:
    assert_group_passes(group)


def test_the_release_of_llamaindex_cohere_that_the_documentation_warns_of_loses_its_base_url_in_workers(
    assert_group_passes: Callable[[str], None],
) -> None:
    assert_group_passes("llamaindex-cohere-0.3")


def test_every_snippet_of_the_documentation_is_run_by_a_check() -> None:
    documented = re.findall(r"^```python (\S+)$", (ROOT / "docs" / "clients.md").read_text(), re.MULTILINE)
    checks = "".join(path.read_text() for path in CHECKS.rglob("*.py"))
    assert documented
    assert [name for name in documented if f'"{name}"' not in checks] == []


def test_the_versions_that_the_documentation_names_are_those_that_are_run() -> None:
    table = (ROOT / "docs" / "clients.md").read_text().partition("Versions tested:")[2].partition("\n## ")[0]
    locked = "".join(path.read_text() for path in (ROOT / "requirements" / "clients").glob("*.txt"))
    versions = re.findall(r"\d+\.\d+\.\d+", table)
    assert versions
    assert [version for version in versions if not re.search(rf"=={re.escape(version)}(?=\s)", locked)] == []
