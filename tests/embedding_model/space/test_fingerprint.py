"""What a vector space is named by, and what it is not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from embedding_model.inspection import inspect
from embedding_model.rerank_templates import RERANK_TEMPLATES, RerankTemplate, Slot
from embedding_model.resolved import (
    Activation,
    FileEntry,
    HeadModule,
    Inspection,
    Manifest,
    ModuleKind,
    Pooling,
    Prompt,
    Quantization,
    ScoreRule,
    Scoring,
    Serving,
    Side,
    SparseHead,
    Task,
    TokenHead,
    TokenHeadKind,
    Weights,
)
from embedding_model.serving import Overrides, apply_overrides
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.selection import select
from embedding_model.space import fingerprint

INSPECTION = Inspection(
    task=Task.EMBEDDING,
    architecture="BertModel",
    family="bert",
    pooling=Pooling.MEAN,
    normalize=True,
    dimensions=384,
    max_input_tokens=256,
    positions=512,
    configuration="c" * 64,
    weights=Weights(bytes=100, files=1, parameters=25),
)
SERVING = Serving(
    task=Task.EMBEDDING,
    pooling=Pooling.MEAN,
    include_prompt=True,
    normalize=True,
    dimensions=384,
    model_dimensions=384,
    max_input_tokens=256,
    lowercase=False,
)
PROMPTS = (Prompt(name="query", text="query: "), Prompt(name="document", text=""))


def manifest(**hashes: str) -> Manifest:
    named = {"model.safetensors": "a", "tokenizer.json": "b", "config.json": "d", "README.md": "e"} | hashes
    return Manifest(files=tuple(FileEntry(path=path, size=1, sha256=digit * 64) for path, digit in named.items()))


def name(
    *, files: Manifest | None = None, inspection: dict[str, Any] | None = None, serving: dict[str, Any] | None = None
) -> str:
    return fingerprint(
        manifest=files or manifest(),
        inspection=INSPECTION.model_copy(update=inspection or {}),
        serving=SERVING.model_copy(update=serving or {}),
    )


# Users write these down (spec.space) and index under them. A change here orphans every stored vector: it needs a new
# prefix beside sp1-, and a migration.
STORED = {
    "sp1-c1fe820f7a648e75fdf53a9d11253cb6": name(),
    "sp1-f09dee64136fd6fc0d8773069d2121c0": name(serving={"dimensions": 256}),
    "sp1-c4b99257bc835617d7011b709b3bc5f3": name(serving={"prompts": PROMPTS, "default_prompt": "query"}),
    "sp1-34afbf6ce83a02eb98cabd6218f6f44c": name(
        inspection={"configuration": None}, serving={"pooling": Pooling.CLS, "normalize": False}
    ),
}


@pytest.mark.parametrize(("stored", "computed"), STORED.items())
def test_a_fingerprint_never_changes(stored: str, computed: str) -> None:
    assert computed == stored


DENSE = HeadModule(
    kind=ModuleKind.DENSE, folder="2_Dense", input_dimensions=384, output_dimensions=384, activation="Tanh"
)
CHANGES: list[dict[str, Any]] = [
    {"files": manifest(**{"model.safetensors": "0"})},
    {"files": manifest(**{"tokenizer.json": "0"})},
    {"files": manifest(**{"0_Transformer/vocab.txt": "0"})},
    {"files": manifest(**{"model-00002-of-00002.safetensors": "0"})},
    {"inspection": {"architecture": "RobertaModel"}},
    {"inspection": {"configuration": "0" * 64}},
    {"files": manifest(**{"spm.model": "0"})},
    {"inspection": {"modules": (DENSE,)}},
    {"inspection": {"modules": (DENSE.model_copy(update={"activation": "Identity"}),)}},
    {"inspection": {"modules": (DENSE.model_copy(update={"bias": False}),)}},
    {"inspection": {"modules": (DENSE.model_copy(update={"residual": True}),)}},
    {"inspection": {"end_token": "</s>"}},
    {"inspection": {"labels": ("no", "yes")}},
    {"inspection": {"labels": ("yes", "no")}},
    {"serving": {"activation": Activation.SIGMOID}},
    {"serving": {"activation": Activation.IDENTITY}},
    {"serving": {"instruction": "Find what answers the question."}},
    {"serving": {"quantization": Quantization.INT8}},
    {"serving": {"quantization": Quantization.INT4}},
    {"serving": {"layer_norm_before_cut": True}},
    {"inspection": {"scoring": Scoring(rule=ScoreRule.CLASSIFICATION_HEAD)}},
    {"inspection": {"scoring": Scoring(rule=ScoreRule.CLASSIFICATION_HEAD, template="qwen3-reranker")}},
    {"inspection": {"sparse": SparseHead(pooling=Pooling.MAX, activation="relu")}},
    {"inspection": {"sparse": SparseHead(pooling=Pooling.MAX, activation="log1p_relu")}},
    {"inspection": {"token_heads": (TokenHead(kind=TokenHeadKind.SPARSE, file="a", output_dimensions=1),)}},
    {"inspection": {"token_heads": (TokenHead(kind=TokenHeadKind.MULTI_VECTOR, file="a", output_dimensions=1),)}},
    {"serving": {"pooling": Pooling.CLS}},
    {"serving": {"further_poolings": (Pooling.CLS,)}},
    {"serving": {"further_poolings": (Pooling.CLS, Pooling.MAX)}},
    {"serving": {"further_poolings": (Pooling.MAX, Pooling.CLS)}},
    {"serving": {"include_prompt": False}},
    {"serving": {"normalize": False}},
    {"serving": {"dimensions": 383}},
    {"serving": {"max_input_tokens": 128}},
    {"serving": {"lowercase": True}},
    {"serving": {"truncation_side": Side.LEFT}},
    {"serving": {"prompts": PROMPTS}},
    {"serving": {"prompts": PROMPTS, "default_prompt": "query"}},
    {"serving": {"prompts": PROMPTS, "default_prompt": "document"}},
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_moves_a_number_makes_another_space(change: dict[str, Any]) -> None:
    assert name(**change) != name()


def test_no_two_of_these_changes_make_the_same_space() -> None:
    assert len({name(**change) for change in CHANGES}) == len(CHANGES)


def test_all_these_changes_give_spaces_of_their_own() -> None:
    assert len(set(STORED.values())) == len(STORED)


@pytest.mark.parametrize(
    "change",
    [
        {"files": manifest(**{"README.md": "0"})},
        {"files": manifest(**{"config.json": "0"})},  # what counts in it is `configuration`
        {"files": manifest(**{"config_sentence_transformers.json": "0"})},  # what counts in it is `prompts`
        {"files": Manifest(files=tuple(reversed(manifest().files)))},
        {"inspection": {"matryoshka_dimensions": (128, 256)}},
        {"inspection": {"evidence": ()}},
    ],
)
def test_whatever_leaves_vectors_alone_keeps_the_space(change: dict[str, Any]) -> None:
    assert name(**change) == name()


@pytest.mark.parametrize("template", RERANK_TEMPLATES)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda old: replace(old, instruction="Another one."), id="instruction"),
        pytest.param(lambda old: replace(old, segments=(*old.segments, ("\n",))), id="a line's end behind it"),
        pytest.param(lambda old: replace(old, bare=((Slot.QUERY, Slot.DOCUMENT),)), id="without an instruction"),
        pytest.param(lambda old: replace(old, segments=_write_slots_out(old)), id="words where slots were"),
    ],
)
def test_other_words_of_a_template_make_another_space(
    template: str, change: Callable[[RerankTemplate], RerankTemplate], monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring = {"scoring": Scoring(rule=ScoreRule.TOKEN_LOGITS, template=template)}
    before = name(inspection=scoring)
    monkeypatch.setattr("embedding_model.space.RERANK_TEMPLATES", {template: change(RERANK_TEMPLATES[template])})
    assert name(inspection=scoring) != before


def _write_slots_out(template: RerankTemplate) -> Any:
    return tuple(tuple(str(part) for part in segment) for segment in template.segments)


def test_the_order_of_prompts_does_not_matter() -> None:
    assert name(serving={"prompts": PROMPTS}) == name(serving={"prompts": PROMPTS[::-1]})


def test_a_fingerprint_fits_a_label_value() -> None:
    assert name().startswith("sp1-")
    assert len(name()) == 36


def test_a_manifest_without_weights_has_no_fingerprint() -> None:
    with pytest.raises(ValueError, match="nothing to fingerprint"):
        name(files=Manifest(files=(FileEntry(path="config.json", size=1, sha256="a" * 64),)))


@pytest.mark.parametrize(
    ("folder", "stored"),
    [
        ("minilm_folder", "sp1-d9514f90f51fba3a311fade447030a99"),
        ("sre_folder", "sp1-d09f3e971d5d52999fa8b7933d918a9e"),
    ],
)
def test_the_space_of_a_published_model_never_changes(folder: str, stored: str, request: pytest.FixtureRequest) -> None:
    source = FolderSource(request.getfixturevalue(folder))
    inspection = inspect(source)
    serving, _ = apply_overrides(inspection, overrides=Overrides())
    files = build_manifest(source, paths=select(source))
    assert fingerprint(manifest=files, inspection=inspection, serving=serving) == stored
