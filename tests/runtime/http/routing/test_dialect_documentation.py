"""The tables of docs/dialects against the code: statuses, fields, and which body is whose."""

import re
from pathlib import Path
from typing import Any

import pytest

from embedding_runtime.http.cohere.embed import EmbeddingType, EmbedV2Request
from embedding_runtime.http.cohere.rerank import RerankV1Request, RerankV2Request
from embedding_runtime.http.crossings import choose_embeddings
from embedding_runtime.http.dialect import Dialect
from embedding_runtime.http.errors import TABLE, find_status
from embedding_runtime.http.jina.embeddings import EmbeddingsRequest
from embedding_runtime.http.jina.rerank import RerankRequest
from embedding_runtime.http.routing import CROSSINGS, DIALECTS

DOCS = Path(__file__).parents[4] / "docs" / "dialects"
MINE = [dialect for dialect in DIALECTS if dialect.name in ("cohere", "jina")]


def rows(name: str) -> list[list[str]]:
    """The cells of every row of every table."""
    lines = (DOCS / f"{name}.md").read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


@pytest.mark.parametrize("dialect", MINE, ids=lambda dialect: dialect.name)
def test_the_documented_statuses_are_those_that_are_answered(dialect: Dialect) -> None:
    documented = {int(row[0]) for row in rows(dialect.name) if row[0].isdigit()}
    assert documented == {find_status(kind, statuses=dialect.statuses) for kind in TABLE}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("cohere", EmbedV2Request),
        ("cohere", RerankV1Request),
        ("cohere", RerankV2Request),
        ("jina", EmbeddingsRequest),
        ("jina", RerankRequest),
    ],
)
def test_every_field_is_documented(name: str, form: Any) -> None:
    text = (DOCS / f"{name}.md").read_text()
    left_out = [field for field in form.model_fields if field != "images" and not re.search(rf"`{field}\b", text)]
    assert left_out == []


def test_every_type_of_number_is_documented() -> None:
    documented = {row[0].strip("`") for row in rows("cohere")}
    assert documented >= {kind.value for kind in EmbeddingType}


def test_the_fields_that_make_a_body_jinas_are_documented() -> None:
    [row] = [row for row in rows("jina") if row[0] == "`/v1/embeddings`, `/embeddings`"]
    fields = re.findall(r"`(\w+)`", row[1])
    assert fields
    assert all(choose_embeddings({"input": "x", field: "y"}) for field in fields)
    known = {field for field in EmbeddingsRequest.model_fields if choose_embeddings({field: "y"})}
    assert known == set(fields)


@pytest.mark.parametrize("dialect", MINE, ids=lambda dialect: dialect.name)
def test_every_path_is_documented(dialect: Dialect) -> None:
    text = (DOCS / f"{dialect.name}.md").read_text()
    assert all(f"`{path}`" in text or f"POST {path}`" in text for path in dialect.routes)


def test_sagemakers_paths_are_documented() -> None:
    text = (DOCS / "sagemaker.md").read_text()
    paths = [path for path in CROSSINGS if path in ("/ping", "/invocations")]
    assert len(paths) == 2
    assert all(f"{path}`" in text for path in paths)
