"""What a folder is said to be: one row per trap that its files may hold."""

from typing import Any

import pytest
from tiny_models import (
    encoder_config,
    json_file,
    modules,
    safetensors_file,
    tensor_shapes,
    tiny_embedder,
    tokenizer_settings,
)

from embedding_model.inspection import inspect
from embedding_model.resolved import Evidence, Inspection, Pooling, Prompt, Side, Task
from embedding_model.sources.memory import MemorySource

POOLING_FILE = "1_Pooling/config.json"
FLAGS = {
    "pooling_mode_cls_token": Pooling.CLS,
    "pooling_mode_mean_tokens": Pooling.MEAN,
    "pooling_mode_max_tokens": Pooling.MAX,
    "pooling_mode_mean_sqrt_len_tokens": Pooling.MEAN_SQRT_LENGTH,
    "pooling_mode_weightedmean_tokens": Pooling.WEIGHTED_MEAN,
    "pooling_mode_lasttoken": Pooling.LAST_TOKEN,
}


def look(family: str = "bert", **changes: bytes | None) -> Inspection:
    return inspect(MemorySource(tiny_embedder(family, **changes)))


def pooling(**values: Any) -> dict[str, bytes]:
    return {POOLING_FILE: json_file({"embedding_dimension": 8} | values)}


def evidence(inspection: Inspection, *, field: str) -> Evidence:
    (found,) = [item for item in inspection.evidence if item.field == field]
    return found


def test_a_plain_embedder_is_read_from_its_own_files() -> None:
    found = look()
    assert (found.task, found.architecture, found.family) == (Task.EMBEDDING, "BertModel", "bert")
    assert (found.pooling, found.include_prompt, found.normalize) == (Pooling.MEAN, True, True)
    assert (found.dimensions, found.matryoshka_dimensions) == (8, ())
    assert (found.max_input_tokens, found.truncation_side, found.lowercase) == (16, Side.RIGHT, False)
    assert (found.prompts, found.default_prompt) == ((), None)
    assert (found.weights.format, found.weights.files) == ("safetensors", 1)


def test_every_value_has_evidence_that_names_its_file() -> None:
    found = look()
    fields = {item.field for item in found.evidence}
    assert fields >= {
        "task", "architecture", "pooling", "includePrompt", "normalize", "dimensions", "matryoshkaDimensions",
        "maxInputTokens", "truncationSide", "lowercase", "prompts", "defaultPrompt",
    }  # fmt: skip
    assert {item.file for item in found.evidence} <= set(tiny_embedder())
    assert len(fields) == len(found.evidence)


@pytest.mark.parametrize(
    ("mode", "pooling"),
    [
        ("cls", Pooling.CLS),
        ("max", Pooling.MAX),
        ("mean", Pooling.MEAN),
        ("mean_sqrt_len_tokens", Pooling.MEAN_SQRT_LENGTH),
        ("weightedmean", Pooling.WEIGHTED_MEAN),
        ("lasttoken", Pooling.LAST_TOKEN),
        (["cls"], Pooling.CLS),
    ],
)
def test_a_pooling_written_as_a_name_is_read(mode: Any, pooling: Pooling) -> None:
    found = look(**{POOLING_FILE: json_file({"embedding_dimension": 8, "pooling_mode": mode})})
    assert found.pooling is pooling
    assert evidence(found, field="pooling").key == "pooling_mode"


@pytest.mark.parametrize(("flag", "pooling"), FLAGS.items())
def test_a_pooling_written_as_booleans_is_read(flag: str, pooling: Pooling) -> None:
    found = look(**{POOLING_FILE: json_file({"word_embedding_dimension": 8} | {key: key == flag for key in FLAGS})})
    assert found.pooling is pooling
    assert evidence(found, field="pooling").key == flag


@pytest.mark.parametrize(
    ("written", "poolings", "key"),
    [
        ({"pooling_mode": ["mean", "cls"]}, [Pooling.MEAN, Pooling.CLS], "pooling_mode"),
        ({"pooling_mode": ["max", "max"]}, [Pooling.MAX, Pooling.MAX], "pooling_mode"),
        (
            {"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
            [Pooling.CLS, Pooling.MEAN, Pooling.LAST_TOKEN],
            "pooling_mode_cls_token",
        ),
    ],
)
def test_several_poolings_stand_side_by_side_and_make_the_vector_wider(
    written: dict[str, Any], poolings: list[Pooling], key: str
) -> None:
    found = look(**pooling(**written))
    assert [found.pooling, *found.further_poolings] == poolings
    assert found.dimensions == 8 * len(poolings)
    said = evidence(found, field="pooling")
    assert (said.value, said.key) == (", ".join(poolings), key)
    assert f"{len(poolings)} poolings side by side" in str(evidence(found, field="dimensions").note)


def test_the_newer_pooling_key_wins_and_the_loser_is_named() -> None:
    found = look(**pooling(pooling_mode="cls", pooling_mode_mean_tokens=True))
    assert found.pooling is Pooling.CLS
    assert evidence(found, field="pooling").overruled == ("mean (1_Pooling/config.json pooling_mode_mean_tokens)",)


def test_a_pooling_without_any_mode_is_the_mean_and_says_that_it_is_a_default() -> None:
    found = look(**{POOLING_FILE: json_file({"word_embedding_dimension": 8} | dict.fromkeys(FLAGS, False))})
    assert found.pooling is Pooling.MEAN
    assert evidence(found, field="pooling").note == "no mode is named; sentence-transformers then takes the mean"


def test_a_prompt_may_be_kept_out_of_the_pooling() -> None:
    found = look(**pooling(pooling_mode="mean", include_prompt=False))
    assert found.include_prompt is False


def test_the_pooling_folder_is_the_one_that_modules_json_names() -> None:
    written = modules("Transformer", "Pooling")
    written[1]["path"] = "pool/"
    found = look(
        **{
            "modules.json": json_file(written),
            POOLING_FILE: json_file({"embedding_dimension": 8, "pooling_mode": "cls"}),
            "pool/config.json": json_file({"embedding_dimension": 8, "pooling_mode": "max"}),
        }
    )
    assert found.pooling is Pooling.MAX


@pytest.mark.parametrize(
    "library",
    [
        "sentence_transformers.models",
        "sentence_transformers.base.modules.normalize",
        "sentence_transformers.sentence_transformer.modules.pooling",
    ],
)
def test_modules_are_known_by_their_last_name(library: str) -> None:
    written = modules("Transformer", "Pooling", "Dropout", "Normalize", library=library)
    found = look(**{"modules.json": json_file(written)})
    assert (found.pooling, found.normalize) == (Pooling.MEAN, True)


def test_without_a_normalize_module_vectors_are_not_normalised() -> None:
    assert look(**{"modules.json": json_file(modules("Transformer", "Pooling"))}).normalize is False


def test_a_transformer_in_a_folder_of_its_own_is_read_from_there() -> None:
    moved = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json")
    files = tiny_embedder()
    written = modules("Transformer", "Pooling")
    written[0]["path"] = "0_Transformer"
    files |= {f"0_Transformer/{path}": files.pop(path) for path in moved}
    files["modules.json"] = json_file(written)
    found = inspect(MemorySource(files))
    assert (found.max_input_tokens, found.dimensions) == (16, 8)
    assert evidence(found, field="dimensions").file == "0_Transformer/model.safetensors"
    assert (found.folder, look().folder) == ("0_Transformer", None)


LONG = 1000000000000000019884624838656


@pytest.mark.parametrize(
    ("family", "sentence", "tokenizer", "expected", "file"),
    [
        ("bert", 16, 32, 16, "sentence_bert_config.json"),
        ("bert", 32, 16, 32, "sentence_bert_config.json"),
        ("bert", None, 32, 32, "tokenizer_config.json"),
        ("bert", None, None, 40, "model.safetensors"),
        ("bert", None, LONG, 40, "model.safetensors"),
        ("bert", None, 1e30, 40, "model.safetensors"),
        ("bert", -1, 32, 32, "tokenizer_config.json"),
        ("bert", 0, -1, 40, "model.safetensors"),
        ("bert", LONG, LONG, 40, "model.safetensors"),
        ("bert", 41, 41, 40, "model.safetensors"),
        ("bert", 40, 512, 40, "sentence_bert_config.json"),
        ("distilbert", 64, None, 40, "model.safetensors"),
        ("roberta", 40, 40, 38, "model.safetensors"),
        ("xlm-roberta", None, LONG, 38, "model.safetensors"),
        ("camembert", 38, 512, 38, "sentence_bert_config.json"),
        ("mpnet", 40, 512, 38, "model.safetensors"),
    ],
)
def test_the_longest_input_is_what_the_files_claim_within_the_positions_of_the_weights(
    family: str, sentence: Any, tokenizer: Any, expected: int, file: str
) -> None:
    found = look(
        family,
        **{
            "sentence_bert_config.json": json_file({"max_seq_length": sentence, "do_lower_case": False}),
            "tokenizer_config.json": json_file({"model_max_length": tokenizer}),
        },
    )
    assert found.max_input_tokens == expected
    assert evidence(found, field="maxInputTokens").file == file


def test_a_length_that_lost_is_named() -> None:
    assert evidence(look(), field="maxInputTokens").overruled == (
        "32 (tokenizer_config.json model_max_length)",
        "40 (model.safetensors embeddings.position_embeddings.weight)",
    )


def test_the_position_of_the_first_token_follows_the_padding_token() -> None:
    config = encoder_config("roberta", pad_token_id=4)
    found = look("roberta", **{"config.json": json_file(config), "sentence_bert_config.json": None})
    assert found.max_input_tokens == 32  # the tokenizer's; positions would allow 35
    assert "35 (model.safetensors embeddings.position_embeddings.weight)" in str(found.evidence)


def test_the_truncation_of_tokenizer_json_does_not_count() -> None:
    found = look(**{"tokenizer.json": json_file(tokenizer_settings(truncation={"max_length": 5}))})
    assert found.max_input_tokens == 16


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_side_that_is_cut_is_the_tokenizers(side: str) -> None:
    assert look(**{"tokenizer_config.json": json_file({"truncation_side": side})}).truncation_side.lower() == side


def test_text_is_lowercased_where_sentence_transformers_does_so() -> None:
    config = {"max_seq_length": 16, "do_lower_case": True}
    assert look(**{"sentence_bert_config.json": json_file(config)}).lowercase is True


def test_the_tokenizers_own_lowercasing_is_not_repeated() -> None:
    assert look(**{"tokenizer_config.json": json_file({"do_lower_case": True})}).lowercase is False


def test_an_old_name_of_the_sentence_config_is_read() -> None:
    found = look(
        "xlm-roberta",
        **{
            "sentence_bert_config.json": None,
            "sentence_xlm-roberta_config.json": json_file({"max_seq_length": 12, "do_lower_case": False}),
        },
    )
    assert found.max_input_tokens == 12


def test_prompts_keep_their_order_and_empty_ones_stay() -> None:
    config = {"prompts": {"query": "query: ", "document": ""}, "default_prompt_name": "query"}
    found = look(**{"config_sentence_transformers.json": json_file(config)})
    assert found.prompts == (Prompt(name="query", text="query: "), Prompt(name="document", text=""))
    assert found.default_prompt == "query"


def test_optional_files_may_be_missing() -> None:
    found = look(
        **dict.fromkeys(
            ("sentence_bert_config.json", "config_sentence_transformers.json", "tokenizer_config.json", "README.md")
        )
    )
    assert (found.max_input_tokens, found.prompts, found.lowercase) == (40, (), False)


@pytest.mark.parametrize(
    ("config", "card", "expected", "file"),
    [
        ({"matryoshka_dimensions": [4, 2, 8]}, b"", (2, 4, 8), "config.json"),
        ({}, b'```json\n{"loss": "X", "matryoshka_dims": [8, 4]}\n```', (4, 8), "README.md"),
        ({"matryoshka_dimensions": [4]}, b'"matryoshka_dims": [8]', (4,), "config.json"),
        ({}, b'"matryoshka_dims": [768, 4]', (), "config.json"),
        ({}, b'"matryoshka_dims": [,]', (), "config.json"),
        ({}, b"", (), "config.json"),
    ],
)
def test_matryoshka_sizes_are_those_that_are_declared(
    config: dict[str, Any], card: bytes, expected: tuple[int, ...], file: str
) -> None:
    found = look(**{"config.json": json_file(encoder_config("bert", **config)), "README.md": card})
    assert found.matryoshka_dimensions == expected
    assert evidence(found, field="matryoshkaDimensions").file == file


_CUT_CODE = """
```python
embeddings = F.layer_norm(embeddings, normalized_shape=(embeddings.shape[1],))
embeddings = embeddings[:, :matryoshka_dim]
```
"""
_CUT_DIFF = """
```diff
+ vectors = torch.nn.functional.layer_norm(vectors, (vectors.shape[-1],))
+ vectors = vectors[..., :size]
```
"""


@pytest.mark.parametrize("card", [_CUT_CODE, _CUT_DIFF])
def test_a_layer_norm_before_the_cut_is_what_the_code_in_the_card_shows(card: str) -> None:
    found = look(**{"README.md": card.encode()})
    assert found.layer_norm_before_cut
    said = evidence(found, field="layerNormBeforeCut")
    assert (said.file, said.key) == ("README.md", "layer_norm")
    assert "weak evidence" in str(said.note)


@pytest.mark.parametrize(
    "card",
    [
        b"",
        b"a layer_norm(x) somewhere, and x = x[:, :dim] elsewhere",
        _CUT_CODE.replace("embeddings[:,", "others[:,").encode(),
        _CUT_CODE.replace("embeddings = embeddings[:, :matryoshka_dim]", "print(embeddings)").encode(),
        _CUT_CODE.replace("embeddings = F.layer_norm", "embeddings = F.normalize").encode(),
    ],
)
def test_nothing_else_in_a_card_makes_a_layer_norm(card: bytes) -> None:
    found = look(**{"README.md": card})
    assert not found.layer_norm_before_cut
    assert all(item.field != "layerNormBeforeCut" for item in found.evidence)


def test_a_folder_is_known_by_the_name_that_its_config_keeps_and_says_so() -> None:
    named = encoder_config("bert", _name_or_path="nomic-ai/nomic-embed-text-v1.5")
    found = look(**{"config.json": json_file(named)})
    assert found.layer_norm_before_cut
    said = evidence(found, field="layerNormBeforeCut")
    assert (said.file, said.key) == ("config.json", "_name_or_path")


def test_a_card_that_says_otherwise_is_shown_and_does_not_decide() -> None:
    found = look(**{"README.md": b"---\nlicense: mit\npipeline_tag: text-ranking\n---\n"})
    assert found.task is Task.EMBEDDING
    assert evidence(found, field="task").overruled == ("text-ranking (README.md pipeline_tag, weak)",)


def test_a_name_that_sounds_like_a_reranker_does_not_decide() -> None:
    config = encoder_config("bert", _name_or_path="acme/mini-reranker", architectures=["BertForSequenceClassification"])
    found = look(**{"config.json": json_file(config)})
    assert found.task is Task.EMBEDDING
    assert evidence(found, field="architecture").overruled == (
        "BertForSequenceClassification (config.json architectures)",
    )


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_weights_may_be_stored_in_any_plain_float_type(dtype: str) -> None:
    found = look(**{"model.safetensors": safetensors_file(tensor_shapes("bert"), dtype=dtype)})
    assert found.dimensions == 8


@pytest.mark.parametrize(
    ("family", "prefix", "extra"),
    [
        ("bert", "bert.", {"cls.predictions.bias": (17,), "cls.seq_relationship.weight": (2, 8)}),
        ("bert", "", {"embeddings.position_ids": (1, 40), "pooler.dense.weight": (8, 8), "pooler.dense.bias": (8,)}),
        ("roberta", "roberta.", {"lm_head.bias": (17,)}),
        ("xlm-roberta", "roberta.", {"lm_head.dense.weight": (8, 8)}),
        ("camembert", "roberta.", {}),
        ("mpnet", "mpnet.", {"lm_head.bias": (17,)}),
        ("distilbert", "distilbert.", {"vocab_projector.bias": (17,)}),
    ],
)
def test_weights_may_carry_a_prefix_and_what_an_embedder_does_not_use(
    family: str, prefix: str, extra: dict[str, tuple[int, ...]]
) -> None:
    found = look(family, **{"model.safetensors": safetensors_file(tensor_shapes(family, prefix=prefix) | extra)})
    assert found.dimensions == 8


def test_layer_norms_may_have_their_tensorflow_names() -> None:
    shapes = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): shape
        for name, shape in tensor_shapes("bert").items()
    }
    assert look(**{"model.safetensors": safetensors_file(shapes)}).dimensions == 8


def test_integer_buffers_do_not_count_as_parameters() -> None:
    plain = look().weights.parameters
    shapes = tensor_shapes("bert") | {"embeddings.position_ids": (1, 40)}
    data = safetensors_file(shapes, embeddings__position_ids="I64")
    assert look(**{"model.safetensors": data}).weights.parameters == plain


def test_sharded_weights_are_read_whole() -> None:
    names = sorted(tensor_shapes("bert"))
    halves = (names[::2], names[1::2])
    shards = {
        f"model-0000{number}-of-00002.safetensors": safetensors_file(
            {name: tensor_shapes("bert")[name] for name in half}
        )
        for number, half in enumerate(halves, start=1)
    }
    index = {"weight_map": {name: path for path, half in zip(shards, halves, strict=True) for name in half}}
    found = look(**{"model.safetensors": None, "model.safetensors.index.json": json_file(index)}, **shards)
    assert found.weights.files == 2
    assert found.weights.bytes == sum(map(len, shards.values()))
    assert found.weights.parameters == look().weights.parameters


def test_an_old_config_may_leave_out_the_number_of_token_types() -> None:
    config = encoder_config("bert")
    del config["type_vocab_size"]
    assert look(**{"config.json": json_file(config)}).dimensions == 8


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"hidden_act": "relu"}, False),
        ({"layer_norm_eps": 1e-5}, False),
        ({"num_attention_heads": 2}, False),
        ({"some_new_key": 1}, False),
        ({"transformers_version": "5.0.0"}, True),
        ({"_name_or_path": "acme/base"}, True),
        ({"hidden_dropout_prob": 0.5}, True),
        ({"dtype": "float16"}, True),
        ({"position_embedding_type": "absolute"}, True),
        ({"is_decoder": False}, True),
        ({"id2label": {"0": "A"}}, True),
        ({"classifier_dropout": None}, True),
    ],
)
def test_the_configuration_hash_sees_what_changes_vectors_and_nothing_else(change: dict[str, Any], same: bool) -> None:
    changed = look(**{"config.json": json_file(encoder_config("bert", **change))})
    assert (changed.configuration == look().configuration) is same
