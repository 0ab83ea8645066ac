"""How long an input is to the library, which counts otherwise than we do, and how long it is served."""

import json
from pathlib import Path

import seeded_models
from reference_under_test import assert_passed, compute, resolve
from sparse_models import build_inference_free


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_of_a_router_documents_are_read_as_far_as_their_own_route_says(tmp_path: Path) -> None:
    """The library gives the greatest length of all routes."""
    folder = build_inference_free(tmp_path / "model", max_length=512)
    edit(folder / "document_0_MLMTransformer/sentence_bert_config.json", max_seq_length=256)
    edit(folder / "query_0_SparseStaticEmbedding/tokenizer_config.json", model_max_length=512)
    model = resolve(folder)
    assert model.model.serving.max_input_tokens == 256
    assert_passed(model, compute(model))


def test_stretched_positions_are_served_though_the_library_does_not_count_them(tmp_path: Path) -> None:
    seeded_models.build(tmp_path / "model", family="qwen3", max_length=2048)
    folder = tmp_path / "model"
    stretched = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}
    rotary = json.loads((folder / "config.json").read_text()).get("rope_parameters") or {}
    edit(folder / "config.json", max_position_embeddings=2048, rope_parameters={**rotary, **stretched})
    edit(folder / "tokenizer_config.json", model_max_length=8192)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"do_lower_case": False}))
    model = resolve(folder)
    assert model.model.serving.max_input_tokens == 8192
    assert_passed(model, compute(model))
