"""docs/embeddings.md says what the routes take, and its examples are what they answer."""

import hashlib
import re
from pathlib import Path

import pytest

from embedding_model.resolved import Pooling, Prompt, Serving, Task
from embedding_runtime import errors
from embedding_runtime.core.output_types import OutputType
from embedding_runtime.core.prompts import MOST_CHARACTERS
from embedding_runtime.http.errors import TABLE, find_status
from embedding_runtime.http.openai.embeddings import EmbeddingsRequest
from embedding_runtime.http.openai.routes import OPENAI
from embedding_runtime.http.space_suffix import AnswerKind, write_suffix
from embedding_runtime.http.tei.embed import EmbedRequest
from embedding_runtime.http.tei.routes import TEI

DIALECTS = Path(__file__).parents[4] / "docs" / "dialects"
PAGE = (Path(__file__).parents[4] / "docs" / "embeddings.md").read_text()
FIELDS = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
SERVING = Serving(
    task=Task.EMBEDDING,
    pooling=Pooling.MEAN,
    normalize=True,
    dimensions=384,
    model_dimensions=384,
    max_input_tokens=16,
    lowercase=False,
    prompts=(Prompt(name="query", text="query: "),),
)


def test_every_field_is_documented_and_none_that_is_not_there() -> None:
    assert sorted(FIELDS) == sorted(EmbeddingsRequest.model_fields)
    extensions = set(EmbedRequest.model_fields) - {"inputs", "truncate", "truncation_direction"}
    assert extensions <= set(FIELDS)


def test_the_longest_prompt_is_the_documented_one() -> None:
    assert f"at most {MOST_CHARACTERS} characters" in PAGE


@pytest.mark.parametrize(
    ("suffix", "written"),
    [
        (write_suffix(SERVING, dimensions=256), ";dims=256"),
        (write_suffix(SERVING, normalize=False), ";norm=0"),
        (write_suffix(SERVING.model_copy(update={"normalize": False}), normalize=True), ";norm=1"),
        (write_suffix(SERVING, prompt="other: "), ";prompt="),
        (write_suffix(SERVING, outputs=[OutputType.INT8]), ";type=int8"),
        (write_suffix(SERVING, late=True), ";late=1"),
        *((write_suffix(SERVING, kind=kind), f";out={kind}") for kind in AnswerKind),
    ],
)
def test_the_suffixes_are_the_documented_ones(suffix: str, written: str) -> None:
    assert f"`{written}`" in PAGE
    assert suffix.removeprefix(written) in ("", hashlib.sha256(b"other: ").hexdigest()[:12])


def test_what_is_served_anyway_has_no_suffix() -> None:
    assert write_suffix(SERVING, dimensions=384, normalize=True, prompt="query: ") == ""


def test_every_route_and_error_of_the_dialects_is_documented() -> None:
    for dialect in (OPENAI, TEI):
        page = (DIALECTS / f"{dialect.name}.md").read_text()
        for path, methods in dialect.routes.items():
            written = path.replace("{model}", "{name}")
            assert all(f"`{method} {written}`" in page for method in methods), path


@pytest.mark.parametrize("kind", sorted(TABLE, key=lambda kind: kind.__name__))
def test_every_kind_of_error_is_documented_with_its_status(kind: type[errors.RequestError]) -> None:
    row = TABLE[kind]
    rows = re.findall(r"^\| ([\d, ]+) \| `(\w+)`", (DIALECTS / "tei.md").read_text(), re.MULTILINE)
    found = {(int(status), name) for statuses, name in rows for status in statuses.split(",")}
    assert (find_status(kind, statuses=TEI.statuses), TEI.error_body(kind("x"), row)["error_type"]) in found
    rows = re.findall(r"^\| (\d+) \| `(\w+)`", (DIALECTS / "openai.md").read_text(), re.MULTILINE)
    assert (str(row.status), row.openai_type) in rows
