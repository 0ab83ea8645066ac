"""Prompts by name, kind of input and text, in and out of the pooling, against sentence-transformers."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loaded_model import Loaded
from parity import TEXTS, Array, load_reference
from seeded_models import build
from sentence_modules import vary

from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.prompts import AskedPrompt, InputType, choose_prompt
from embedding_runtime.core.tokenizer import MEASURED_PROMPTS
from embedding_runtime.core.vectors import finish

MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
PROMPTS = {"query": "find the answer to this question : ", "document": "", "passage": "a passage : "}
LONG = "a prompt that is longer than all that the model reads " * 8
LENGTH = 24  # tokens; some of TEXTS are longer

QUERY, DOCUMENT = InputType.QUERY, InputType.DOCUMENT


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("body") / "model", family="bert", normalize=True, max_length=LENGTH)


def with_prompts(folder: Path, *, body: Path, prompts: dict[str, str], default: str | None = None) -> Path:
    written = {"prompts": prompts, "default_prompt_name": default}
    return vary(folder, body=body, changes={"config_sentence_transformers.json": written})


def embed(model: Loaded, texts: Sequence[str], *, prompt: str, dimensions: int | None = None) -> Array:
    outputs = model.compute([Text(text, prompt=prompt) for text in texts])
    pooled = np.stack([output.dense for output in outputs if output.dense is not None])
    return finish(pooled, serving=model.serving, dimensions=dimensions)


def encode(reference: Any, **options: Any) -> Array:
    return np.asarray(reference.encode(list(TEXTS), show_progress_bar=False, **options))


@pytest.mark.parametrize("normalize", [True, False], ids=["normalised", "raw"])
@pytest.mark.parametrize("include_prompt", [True, False], ids=["pooled", "not pooled"])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_prompt_dimension_and_cut_equals_the_reference(
    mode: str, include_prompt: bool, normalize: bool, body: Path, tmp_path: Path
) -> None:
    pooling = {"pooling_mode": mode, "include_prompt": include_prompt}
    modules = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    listed = [
        {"idx": n, "name": str(n), "path": f"{n}_{name}" if n else "", "type": f"sentence_transformers.models.{name}"}
        for n, name in enumerate(modules)
    ]
    for side in ("right", "left"):
        changes = {
            "1_Pooling/config.json": pooling,
            "modules.json": listed,
            "tokenizer_config.json": {"truncation_side": side},
            "config_sentence_transformers.json": {"prompts": PROMPTS},
        }
        folder = vary(tmp_path / side, body=body, changes=changes)
        model, reference = Loaded(folder), load_reference(folder)
        assert model.serving.truncation_side.value.lower() == side
        for prompt, dimensions in product(("", PROMPTS["query"], "a free text "), (None, 10)):
            expected = encode(reference, prompt=prompt, truncate_dim=dimensions, normalize_embeddings=normalize)
            found = embed(model, TEXTS, prompt=prompt, dimensions=dimensions)
            np.testing.assert_allclose(
                found, expected, rtol=1e-3, atol=1e-4, err_msg=f"cut on the {side}, {dimensions}, prompt {prompt!r}"
            )


@pytest.mark.parametrize("mode", MODES)
def test_a_prompt_longer_than_the_model_reads_equals_the_reference(mode: str, body: Path, tmp_path: Path) -> None:
    pooling = {"pooling_mode": mode, "include_prompt": False}
    folder = vary(tmp_path / "model", body=body, changes={"1_Pooling/config.json": pooling})
    expected = encode(load_reference(folder), prompt=LONG)
    np.testing.assert_allclose(embed(Loaded(folder), TEXTS, prompt=LONG), expected, rtol=1e-3, atol=1e-4)


SAVED: dict[str, dict[str, str]] = {
    "query and document": {"query": "a query : ", "document": "a document : "},
    "a query alone": {"query": "a query : "},
    "none": {},
    "others": {"title": "a title : "},
}


@pytest.mark.parametrize("default", [None, "first"])
@pytest.mark.parametrize("name", SAVED)
def test_queries_and_documents_get_the_prompts_that_the_reference_gives_them(
    name: str, default: str | None, body: Path, tmp_path: Path
) -> None:
    prompts = SAVED[name]
    first = next(iter(prompts), None) if default else None
    folder = with_prompts(tmp_path / "model", body=body, prompts=prompts, default=first)
    model, reference = Loaded(folder), load_reference(folder)
    own = prompts[first] if first else ""
    for input_type, encoder in ((QUERY, reference.encode_query), (DOCUMENT, reference.encode_document)):
        prompt = choose_prompt(AskedPrompt(input_type=input_type), serving=model.serving, default=own)
        expected = encoder(list(TEXTS), show_progress_bar=False)
        np.testing.assert_allclose(embed(model, TEXTS, prompt=prompt), expected, rtol=1e-3, atol=1e-4)
    unsaid = choose_prompt(AskedPrompt(), serving=model.serving, default=own)
    np.testing.assert_allclose(embed(model, TEXTS, prompt=unsaid), encode(reference), rtol=1e-3, atol=1e-4)


def test_a_prompt_for_passages_is_used_where_the_library_hides_it_behind_an_empty_one(
    body: Path, tmp_path: Path
) -> None:
    """The one difference from encode_document: the library adds an empty prompt named document to every model."""
    folder = with_prompts(tmp_path / "model", body=body, prompts={"query": "q : ", "passage": "a passage : "})
    model, reference = Loaded(folder), load_reference(folder)
    prompt = choose_prompt(AskedPrompt(input_type=DOCUMENT), serving=model.serving)
    found = embed(model, TEXTS, prompt=prompt)
    np.testing.assert_allclose(found, encode(reference, prompt_name="passage"), rtol=1e-3, atol=1e-4)
    hidden = reference.encode_document(list(TEXTS), show_progress_bar=False)
    np.testing.assert_allclose(hidden, encode(reference, prompt=""), rtol=1e-5, atol=1e-6)


def test_lengths_of_unknown_prompts_are_measured_and_only_some_are_remembered(body: Path) -> None:
    tokenizer = Loaded(body).tokenizer
    for number in range(2 * MEASURED_PROMPTS):
        [tokens] = tokenizer.encode([Text("text", prompt=f"prompt {number} : ")])
        assert 0 < tokens.prompt_length < len(tokens.ids)
    measured = tokenizer._measure.cache_info()
    assert (measured.maxsize, measured.currsize) == (MEASURED_PROMPTS, MEASURED_PROMPTS)


def _count_the_prompt(tokens: Tokens) -> Tokens:
    return replace(tokens, prompt_length=0)


def _miss_one_token_of_it(tokens: Tokens) -> Tokens:
    return replace(tokens, prompt_length=tokens.prompt_length - 1)


@pytest.mark.parametrize("mistake", [_count_the_prompt, _miss_one_token_of_it], ids=lambda mistake: mistake.__name__)
def test_pooling_over_tokens_of_the_prompt_does_not_pass(mistake: Any, body: Path, tmp_path: Path) -> None:
    pooling = {"pooling_mode": "mean", "include_prompt": False}
    folder = vary(tmp_path / "model", body=body, changes={"1_Pooling/config.json": pooling})
    model, texts = Loaded(folder), [text for text in TEXTS if text]
    expected = load_reference(folder).encode(texts, prompt=PROMPTS["query"], show_progress_bar=False)
    inputs = model.tokenizer.encode([Text(text, prompt=PROMPTS["query"]) for text in texts])

    right, wrong = (
        finish(np.stack([output.dense for output in model.backend.compute(batch)]), serving=model.serving)
        for batch in (inputs, [mistake(tokens) for tokens in inputs])
    )

    np.testing.assert_allclose(right, expected, rtol=1e-3, atol=1e-4)
    assert np.abs(wrong - expected).max() > 1e-2
