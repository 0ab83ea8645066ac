"""docs/embeddings.md says what the routes take, and its examples are what they answer."""

import hashlib
import re
from pathlib import Path

import pytest

from embedding_model.resolved import Pooling, Prompt, Serving, Task
from embedding_runtime.core.prompts import MOST_CHARACTERS
from embedding_runtime.http.openai.embeddings import EmbeddingsRequest
from embedding_runtime.http.space_suffix import write_suffix
from embedding_runtime.http.tei.embed import EmbedRequest

PAGE = (Path(__file__).parents[3] / "docs" / "embeddings.md").read_text()
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
    ],
)
def test_the_suffixes_are_the_documented_ones(suffix: str, written: str) -> None:
    assert f"`{written}`" in PAGE
    assert suffix.removeprefix(written) in ("", hashlib.sha256(b"other: ").hexdigest()[:12])


def test_what_is_served_anyway_has_no_suffix() -> None:
    assert write_suffix(SERVING, dimensions=384, normalize=True, prompt="query: ") == ""
