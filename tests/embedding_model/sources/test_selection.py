"""Which files of a repository are loaded, and which repositories cannot be."""

import json

import pytest
from small_model import LOADED, small_model_files

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.listing import Listed
from embedding_model.sources.memory import MemorySource
from embedding_model.sources.selection import module_folders, router_folders, select, select_files

BASE = ("config.json", "tokenizer.json", "tokenizer_config.json")


def listing(*paths: str) -> list[Listed]:
    return [Listed(path, 1) for path in paths]


def test_a_sentence_transformers_folder_loads_exactly_its_models_files() -> None:
    assert select(MemorySource(small_model_files())) == LOADED


def test_the_real_minilm_loads_its_weights_configs_and_tokenizer() -> None:
    published = (
        ".gitattributes",
        "1_Pooling/config.json",
        "README.md",
        "config.json",
        "config_sentence_transformers.json",
        "data_config.json",
        "model.safetensors",
        "modules.json",
        "onnx/model.onnx",
        "openvino/openvino_model.bin",
        "pytorch_model.bin",
        "rust_model.ot",
        "sentence_bert_config.json",
        "special_tokens_map.json",
        "tf_model.h5",
        "tokenizer.json",
        "tokenizer_config.json",
        "train_script.py",
        "vocab.txt",
    )

    assert select_files(listing(*published)) == (
        "1_Pooling/config.json",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    )


def test_weights_of_a_dense_module_are_loaded_too() -> None:
    paths = (*BASE, "model.safetensors", "modules.json", "2_Dense/config.json", "2_Dense/model.safetensors")

    assert "2_Dense/model.safetensors" in select_files(listing(*paths))


def test_modules_of_unusual_names_are_found_where_modules_json_says_so() -> None:
    files = dict.fromkeys((*BASE, "model.safetensors", "pool/config.json", "other/config.json"), b"{}")
    files["modules.json"] = json.dumps([{"path": ""}, {"path": "./pool/"}]).encode()

    selected = select(MemorySource(files))

    assert "pool/config.json" in selected
    assert "other/config.json" not in selected


def test_a_transformer_in_a_folder_of_its_own_is_found_with_and_without_modules_json() -> None:
    paths = ("0_Transformer/config.json", "0_Transformer/tokenizer.json", "0_Transformer/model.safetensors")
    expected = tuple(sorted((*paths, "1_Pooling/config.json", "modules.json")))

    listed = listing(*expected)

    assert select_files(listed) == expected
    assert select_files(listed, modules=("0_Transformer", "1_Pooling")) == expected


def test_weights_in_the_root_are_left_out_where_the_transformer_is_in_a_folder() -> None:
    own = ("0_Transformer/config.json", "0_Transformer/tokenizer.json", "0_Transformer/model.safetensors")

    selected = select_files(listing(*own, *BASE, "model.safetensors"), modules=("0_Transformer",))

    assert [path for path in selected if path.endswith(".safetensors")] == ["0_Transformer/model.safetensors"]


def test_sharded_weights_are_loaded_with_their_index() -> None:
    shards = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")

    selected = select_files(listing(*BASE, *shards, "model.safetensors.index.json"))

    assert {*shards, "model.safetensors.index.json"} <= set(selected)


INDEX = "model.safetensors.index.json"


def with_index(index: object, *names: str, index_name: str = INDEX) -> MemorySource:
    files = dict.fromkeys((*BASE, *names), b"{}")
    return MemorySource({**files, index_name: json.dumps(index).encode()})


def test_the_shards_are_those_that_the_index_names_whatever_their_names_are() -> None:
    source = with_index(
        {"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors", "c": "part-1.safetensors"}},
        "part-1.safetensors",
        "part-2.safetensors",
        "model-00001-of-00001.safetensors",
    )

    selected = select(source)

    assert [path for path in selected if "safetensors" in path] == [INDEX, "part-1.safetensors", "part-2.safetensors"]


def test_a_shard_that_the_index_names_and_nobody_has_is_missing_by_name() -> None:
    with pytest.raises(Refusal, match=r"names 2 shards; missing gone\.safetensors") as refused:
        select(with_index({"weight_map": {"a": "here.safetensors", "b": "gone.safetensors"}}, "here.safetensors"))
    assert refused.value.reason is Reason.MISSING_FILE


@pytest.mark.parametrize(
    "index",
    [
        pytest.param([], id="a list"),
        pytest.param({"weight_map": {}}, id="empty"),
        pytest.param({"weight_map": ["model.bin"]}, id="no map"),
        pytest.param({"weight_map": {"a": 3}}, id="a number"),
        pytest.param({"weight_map": {"a": ""}}, id="no name"),
        pytest.param({"weight_map": {"a": "../other.safetensors"}}, id="another folder"),
        pytest.param({"weight_map": {"a": "pytorch_model.bin"}}, id="a pickle"),
        pytest.param({"weight_map": {"a": "modeling.py"}}, id="code"),
    ],
)
def test_an_index_that_names_no_safetensors_beside_it_is_refused(index: object) -> None:
    with pytest.raises(Refusal) as refused:
        select(with_index(index, "pytorch_model.bin", "modeling.py"))
    assert refused.value.reason is Reason.INVALID_FILE


def test_with_conversion_pickles_take_the_place_of_missing_safetensors() -> None:
    paths = (*BASE, "pytorch_model.bin", "2_Dense/config.json", "2_Dense/pytorch_model.bin", "modeling.py", "a.pt")

    selected = select_files(listing(*paths), conversion=True)

    assert selected == tuple(sorted((*BASE, "pytorch_model.bin", "2_Dense/config.json", "2_Dense/pytorch_model.bin")))


def test_with_conversion_safetensors_are_still_loaded_where_they_are() -> None:
    paths = (*BASE, "model.safetensors", "pytorch_model.bin", "2_Dense/config.json", "2_Dense/pytorch_model.bin")

    selected = select_files(listing(*paths), conversion=True)

    assert [path for path in selected if path.endswith((".bin", ".safetensors"))] == [
        "2_Dense/pytorch_model.bin",
        "model.safetensors",
    ]


def test_with_conversion_pickled_shards_are_selected_whole_with_their_index() -> None:
    shards = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    name = "pytorch_model.bin.index.json"

    assert {*shards, name} <= set(select(with_index(index, *shards, index_name=name), conversion=True))
    assert {*shards, name} <= set(select_files(listing(*BASE, *shards, name), conversion=True))
    with pytest.raises(Refusal, match="missing"):
        select(with_index(index, shards[0], index_name=name), conversion=True)


def test_pickles_of_other_names_are_not_converted() -> None:
    with pytest.raises(Refusal, match=r"only pytorch_model\.bin") as refused:
        select_files(listing(*BASE, "model.pt"), conversion=True)
    assert refused.value.reason is Reason.PICKLE_ONLY
    assert refused.value.field is None


def test_the_refusal_of_a_pickle_names_the_field_that_allows_its_conversion() -> None:
    with pytest.raises(Refusal, match=r"spec\.model\.conversion") as refused:
        select_files(listing(*BASE, "pytorch_model.bin"))
    assert refused.value.field == "model.conversion"


def test_weights_of_other_names_are_no_weights() -> None:
    assert select_files(listing(*BASE, "model.safetensors", "consolidated.safetensors")) == tuple(
        sorted((*BASE, "model.safetensors"))
    )
    with pytest.raises(Refusal, match=r"consolidated\.safetensors.* is not a name that is loaded"):
        select_files(listing(*BASE, "consolidated.safetensors"))


def router(types: dict[str, str], *paths: str) -> MemorySource:
    files = dict.fromkeys(paths, b"{}")
    files["modules.json"] = json.dumps([{"path": "", "type": "sentence_transformers.models.Router"}]).encode()
    files["router_config.json"] = json.dumps({"types": types, "structure": {}, "parameters": {}}).encode()
    return MemorySource(files)


def test_the_modules_of_a_router_are_loaded_from_their_own_folders() -> None:
    table, model = "query_0_SparseStaticEmbedding", "document_0_MLMTransformer"
    paths = (
        f"{table}/config.json",
        f"{table}/model.safetensors",
        f"{table}/tokenizer.json",
        f"{model}/config.json",
        f"{model}/model.safetensors",
        f"{model}/tokenizer.json",
        "document_1_SpladePooling/config.json",
    )
    source = router(dict.fromkeys((table, model, "document_1_SpladePooling"), "a.Class"), *paths, "idf.json", "code.py")

    assert select(source) == tuple(sorted((*paths, "modules.json", "router_config.json")))


def test_a_router_whose_model_is_in_the_root_loads_it_from_there() -> None:
    paths = (*BASE, "model.safetensors", "query_0_SparseStaticEmbedding/config.json")

    selected = select(router({"": "a.MLMTransformer", "query_0_SparseStaticEmbedding": "a.Class"}, *paths))

    assert selected == tuple(sorted((*paths, "modules.json", "router_config.json")))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"types": []}', '{"types": {}}'])
def test_a_router_config_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        router_folders(text.encode(), path="router_config.json")
    assert refused.value.reason is Reason.INVALID_FILE


def test_a_repository_of_many_files_and_module_folders_is_read_in_little_time() -> None:
    """Looking through all files for each of four thousand folders would take minutes."""
    files = {f"folder{number % 100}/{number}": b"" for number in range(15_000)}
    files["modules.json"] = json.dumps([{"path": f"{number}"} for number in range(64)]).encode()
    routes = json.dumps({"types": {f"r{number}": "x" for number in range(64)}}).encode()
    files |= {f"{number}/router_config.json": routes for number in range(64)}
    files |= {f"0/{name}": b"{}" for name in ("config.json", "tokenizer.json", "model.safetensors")}

    assert "0/model.safetensors" in select(MemorySource(files))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"weight_map":' * 50_000, '[{"path": "a"}' + ', {"path": "a"}' * 100])
def test_hostile_nesting_and_length_are_refused(text: str) -> None:
    for parse in (module_folders, lambda data: router_folders(data, path="router_config.json")):
        with pytest.raises(Refusal) as refused:
            parse(text.encode())
        assert refused.value.reason is Reason.INVALID_FILE


def test_a_single_file_is_preferred_to_shards_as_transformers_does() -> None:
    selected = select_files(
        listing(*BASE, "model.safetensors", "model.safetensors.index.json", "model-00001-of-00001.safetensors")
    )

    assert [path for path in selected if path.endswith("safetensors")] == ["model.safetensors"]


def test_variants_checkpoints_and_code_are_left_out() -> None:
    extra = ("model.fp16.safetensors", "checkpoint-5/model.safetensors", "modeling_custom.py", "training_args.bin")

    assert select_files(listing(*BASE, "model.safetensors", *extra)) == tuple(sorted((*BASE, "model.safetensors")))


@pytest.mark.parametrize(
    ("paths", "reason", "words"),
    [
        ((), Reason.MISSING_FILE, "config.json"),
        (("README.md", "model.safetensors"), Reason.MISSING_FILE, "config.json"),
        (("1_Pooling/config.json", "tokenizer.json"), Reason.MISSING_FILE, "no config.json"),
        (BASE, Reason.MISSING_FILE, "no weights"),
        (("config.json", "model.safetensors"), Reason.MISSING_FILE, "no tokenizer"),
        ((*BASE, "pytorch_model.bin"), Reason.PICKLE_ONLY, "pytorch_model.bin"),
        ((*BASE, "pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin"), Reason.PICKLE_ONLY, "pickle"),
        ((*BASE, "model.pt"), Reason.PICKLE_ONLY, "model.pt"),
        (
            (*BASE, "model.safetensors", "2_Dense/config.json", "2_Dense/pytorch_model.bin"),
            Reason.PICKLE_ONLY,
            "2_Dense/pytorch_model.bin",
        ),
        ((*BASE, "model.onnx"), Reason.UNSUPPORTED_FORMAT, "ONNX"),
        ((*BASE, "model.Q4.gguf", "model.Q8.gguf"), Reason.UNSUPPORTED_FORMAT, "GGUF"),
        ((*BASE, "training_args.bin"), Reason.MISSING_FILE, "no weights"),
        (("adapter_config.json", "adapter_model.safetensors"), Reason.ADAPTER_ONLY, "merge"),
        ((*BASE, "adapter_config.json", "adapter_model.safetensors"), Reason.ADAPTER_ONLY, "merge"),
        ((*BASE, "model.safetensors.index.json"), Reason.MISSING_FILE, "no shard"),
        (
            (*BASE, "model.safetensors.index.json", "model-00001-of-00003.safetensors"),
            Reason.MISSING_FILE,
            "missing model-00002-of-00003.safetensors, model-00003-of-00003.safetensors",
        ),
        (
            (
                *BASE,
                "model.safetensors.index.json",
                "model-00001-of-00001.safetensors",
                "model-00001-of-00002.safetensors",
            ),
            Reason.MISSING_FILE,
            "unexpected model-00001-of-00002.safetensors",
        ),
    ],
)
def test_a_repository_that_cannot_be_loaded_is_refused_with_its_reason(
    paths: tuple[str, ...], reason: Reason, words: str
) -> None:
    with pytest.raises(Refusal) as refused:
        select_files(listing(*paths))

    assert refused.value.reason is reason
    assert words in refused.value.message


@pytest.mark.parametrize("text", ["", "{}x", "[1]", '{"path": 1}', '[{"path": 1}]', "[{}]", "null", "3"])
def test_a_modules_json_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        module_folders(text.encode())
    assert refused.value.reason is Reason.INVALID_FILE


@pytest.mark.parametrize("folder", ["../outside", "/etc", "a/../..", "..\\x"])
def test_a_module_outside_the_model_is_refused(folder: str) -> None:
    with pytest.raises(Refusal) as refused:
        module_folders(json.dumps([{"path": folder}]).encode())
    assert refused.value.reason is Reason.UNSAFE_PATH
