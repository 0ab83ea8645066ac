"""The SDKs' snippets of docs/clients.md."""

import pytest
from service import Service
from snippets import run_snippet


@pytest.mark.parametrize("name", ["openai", "cohere", "huggingface-hub"])
def check_a_snippet_gets_a_vector_of_each_text(name: str, service: Service) -> None:
    vectors = run_snippet(name, service=service)["vectors"]
    assert [len(vector) for vector in vectors] == [service.dimensions] * 2


def check_the_reranking_snippet_finds_a_best_document(service: Service) -> None:
    assert run_snippet("cohere-rerank", service=service)["best"] in range(2)
