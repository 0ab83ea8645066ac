"""Frameworks that are built on the SDKs, newest versions that go together, against live servers.

What they run are the snippets of docs/clients.md.
"""

from collections.abc import Callable

import pytest


@pytest.mark.parametrize("group", ["llamaindex", "langchain", "haystack-ai", "litellm-sdk"])
def test_embedders_and_rerankers_of_a_framework_work(group: str, assert_group_passes: Callable[[str], None]) -> None:
    assert_group_passes(group)
