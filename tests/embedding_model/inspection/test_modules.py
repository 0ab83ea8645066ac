"""The modules behind the pooling, prompts that only cards have, the end token: what else makes an embedder's vector."""

from typing import Any

import pytest
from model_fixtures.catalogue import CATALOGUE
from tiny_models import encoder_config, json_file, modules, safetensors_file, tiny_embedder

from embedding_model.inspection import inspect
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence, Inspection, ModuleKind, Origin, SourceKind
from embedding_model.sources.memory import MemorySource

Files = dict[str, bytes]

TANH = "torch.nn.modules.activation.Tanh"
DENSE = {"in_features": 8, "out_features": 6, "bias": True, "activation_function": TANH}


def dense(shapes: dict[str, tuple[int, ...]] | None = None, *, folder: str = "2_Dense", **changes: Any) -> Files:
    """An embedder with a Dense module; a change to None takes the key away."""
    config = {key: value for key, value in (DENSE | changes).items() if value is not None}
    weights = {"linear.weight": (6, 8), "linear.bias": (6,)} if shapes is None else shapes
    return tiny_embedder(
        **{
            "modules.json": json_file(modules("Transformer", "Pooling", "Dense", "Normalize")),
            f"{folder}/config.json": json_file(config),
            f"{folder}/model.safetensors": safetensors_file(weights),
        }
    )


def look(files: Files, *, repo: str | None = None) -> Inspection:
    hub = Origin(kind=SourceKind.HUGGING_FACE, repo=repo, requested="main", revision="0" * 40)
    return inspect(MemorySource(files, origin=hub if repo else None))


def refuse(files: Files) -> Refusal:
    with pytest.raises(Refusal) as caught:
        look(files)
    return caught.value


def evidence(inspection: Inspection, *, field: str) -> Evidence:
    (found,) = [item for item in inspection.evidence if item.field == field]
    return found


def test_a_dense_module_gives_the_vector_its_width() -> None:
    found = look(dense())
    [head] = found.modules
    assert (head.kind, head.folder, head.activation, head.bias) == (ModuleKind.DENSE, "2_Dense", "Tanh", True)
    assert (head.input_dimensions, head.output_dimensions, found.dimensions) == (8, 6, 6)
    assert found.normalize is True
    assert evidence(found, field="dimensions").overruled == ("8 (model.safetensors embeddings.word_embeddings.weight)",)
    assert evidence(found, field="modules[0]").value == "Dense 8 -> 6, Tanh"


@pytest.mark.parametrize(
    ("written", "activation"),
    [
        ("torch.nn.modules.linear.Identity", "Identity"),
        ("torch.nn.modules.activation.GELU", "GELU"),
        ("torch.nn.ReLU", "ReLU"),
        (None, "Tanh"),
    ],
)
def test_the_activation_of_a_dense_module_is_a_class_of_torch(written: str | None, activation: str) -> None:
    assert look(dense(activation_function=written)).modules[0].activation == activation


def test_a_dense_module_may_lack_a_bias() -> None:
    assert look(dense({"linear.weight": (6, 8)}, bias=False)).modules[0].bias is False


def test_several_modules_follow_each_other() -> None:
    files = dense() | {
        "modules.json": json_file(modules("Transformer", "Pooling", "Dense", "LayerNorm")),
        "3_LayerNorm/config.json": json_file({"dimension": 6}),
        "3_LayerNorm/model.safetensors": safetensors_file({"norm.weight": (6,), "norm.bias": (6,)}),
    }
    found = look(files)
    assert [head.kind for head in found.modules] == [ModuleKind.DENSE, ModuleKind.LAYER_NORM]
    assert (found.dimensions, found.normalize) == (6, False)


@pytest.mark.parametrize(
    ("files", "reason", "says"),
    [
        (dense(activation_function="torch.hub.load"), Reason.UNSUPPORTED_ARCHITECTURE, '"torch.hub.load"'),
        (dense(activation_function="os.system"), Reason.UNSUPPORTED_ARCHITECTURE, '"os.system"'),
        (dense(activation_function="torch.nn.modules.activation.Softmax"), Reason.UNSUPPORTED_ARCHITECTURE, "Softmax"),
        (dense(activation_function=3), Reason.INVALID_FILE, "to be a string"),
        (dense(use_residual=True), Reason.INCOMPLETE_WEIGHTS, "lacks residual.weight"),
        (dense(use_residual="yes"), Reason.INVALID_FILE, "use_residual to be true or false"),
        (dense(token_mask=[1]), Reason.UNSUPPORTED_ARCHITECTURE, '"token_mask" is set'),
        (dense(module_input_name="token_embeddings"), Reason.UNSUPPORTED_ARCHITECTURE, '"module_input_name" is set'),
        (dense(in_features=9), Reason.CONTRADICTORY_EVIDENCE, "takes vectors of 9 dimensions, but 8 come in"),
        (
            dense(out_features=7),
            Reason.CONTRADICTORY_EVIDENCE,
            "has the shape [6, 8], but 2_Dense/config.json says [7, 8]",
        ),
        (dense(out_features="6"), Reason.INVALID_FILE, "out_features to be a whole number"),
        (dense({"linear.weight": (6, 8)}), Reason.INCOMPLETE_WEIGHTS, "lacks linear.bias"),
        (dense({"linear.weight": (6, 8), "linear.bias": (6,), "x": (1,)}), Reason.UNEXPECTED_WEIGHTS, '"x"'),
        (dense(folder="3_Dense"), Reason.MISSING_FILE, "2_Dense/config.json"),
        (
            {path: data for path, data in dense().items() if path != "2_Dense/model.safetensors"},
            Reason.INCOMPLETE_WEIGHTS,
            "lacks linear.weight, linear.bias",
        ),
        (
            {
                **{path: data for path, data in dense().items() if path != "2_Dense/model.safetensors"},
                "2_Dense/pytorch_model.bin": b"\x80\x02",
            },
            Reason.PICKLE_ONLY,
            "2_Dense/pytorch_model.bin",
        ),
        (
            tiny_embedder(**{"config_sentence_transformers.json": json_file({"truncate_dim": 4})}),
            Reason.UNSUPPORTED_ARCHITECTURE,
            "truncate_dim 4",
        ),
    ],
)
def test_a_module_that_is_not_understood_to_the_last_key_is_refused(files: Files, reason: Reason, says: str) -> None:
    refusal = refuse(files)
    assert refusal.reason is reason, refusal.message
    assert says in refusal.message


E5 = {"query": "query: ", "document": "passage: "}


def test_a_module_that_modules_json_leaves_out_is_refused() -> None:
    files = dict(CATALOGUE["sentence-transformers/LaBSE"].files)
    files["modules.json"] = json_file(modules("Transformer", "Pooling", "Normalize"))
    refusal = refuse(files)
    assert refusal.reason is Reason.CONTRADICTORY_EVIDENCE
    assert "2_Dense" in refusal.message


@pytest.mark.parametrize(
    ("repo", "query"),
    [
        ("intfloat/e5-base-v2", "query: "),
        ("intfloat/multilingual-e5-small", "query: "),
        ("BAAI/bge-small-en-v1.5", "Represent this sentence for searching relevant passages: "),
        (
            "BAAI/bge-large-zh",
            "\u4e3a\u8fd9\u4e2a\u53e5\u5b50\u751f\u6210\u8868\u793a\u4ee5\u7528\u4e8e\u68c0\u7d22\u76f8\u5173\u6587\u7ae0\uff1a",
        ),
        ("nomic-ai/nomic-embed-text-v1.5", "search_query: "),
        ("Snowflake/snowflake-arctic-embed-l-v2.0", "query: "),
    ],
)
def test_prompts_of_cards_alone_are_known_by_the_repository_and_the_evidence_says_so(repo: str, query: str) -> None:
    found = look(tiny_embedder(), repo=repo)
    assert {prompt.name: prompt.text for prompt in found.prompts}["query"] == query
    assert found.default_prompt is None
    source = evidence(found, field="prompts")
    assert (source.file, source.key) == ("origin", "repo")
    assert f"model card of {repo}" in (source.note or "")


def test_a_folder_is_known_by_the_name_that_its_config_kept() -> None:
    files = tiny_embedder(**{"config.json": json_file(encoder_config("bert", _name_or_path="intfloat/e5-base-v2"))})
    found = look(files)
    assert {prompt.name: prompt.text for prompt in found.prompts} == E5
    assert evidence(found, field="prompts").key == "_name_or_path"


def test_what_a_repository_of_its_own_was_tuned_from_gives_it_no_prompts() -> None:
    files = tiny_embedder(**{"config.json": json_file(encoder_config("bert", _name_or_path="intfloat/e5-base-v2"))})
    assert look(files, repo="acme/tuned").prompts == ()


@pytest.mark.parametrize("repo", [None, "acme/e5-base-v2", "intfloat/e5-base-v3", "intfloat/e5-base-v2-finetuned"])
def test_other_names_get_no_prompts_and_the_evidence_says_where_to_set_them(repo: str | None) -> None:
    found = look(tiny_embedder(), repo=repo)
    assert found.prompts == ()
    assert "embedding.prompts" in (evidence(found, field="prompts").note or "")


def test_what_a_file_says_wins_over_the_table() -> None:
    library = {"config_sentence_transformers.json": json_file({"prompts": {"query": "Q: "}})}
    assert [prompt.text for prompt in look(tiny_embedder(**library), repo="intfloat/e5-base-v2").prompts] == ["Q: "]
    empty = json_file({"prompts": {"query": "", "document": ""}, "default_prompt_name": "document"})
    found = look(tiny_embedder(**{"config_sentence_transformers.json": empty}), repo="intfloat/e5-base-v2")
    assert {prompt.name: prompt.text for prompt in found.prompts} == E5
    assert found.default_prompt is None
    assert "empty" in evidence(found, field="prompts").overruled[0]


def test_the_end_token_is_what_the_tokenizer_puts_behind_the_text() -> None:
    found = look(dict(CATALOGUE["intfloat/e5-mistral-7b-instruct"].files))
    assert found.end_token == "</s>"
    assert evidence(found, field="endToken").key == "post_processor"
    assert look(tiny_embedder()).end_token is None


def test_an_end_token_that_is_asked_for_and_not_put_is_refused() -> None:
    refusal = refuse(dict(CATALOGUE["intfloat/e5-mistral-7b-instruct (the end token is lost)"].files))
    assert refusal.reason is Reason.CONTRADICTORY_EVIDENCE
    assert "add_eos_token true" in refusal.message


def test_a_tokenizer_of_the_models_own_code_is_refused() -> None:
    config = json_file({"auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}})
    refusal = refuse(tiny_embedder(**{"tokenizer_config.json": config}))
    assert refusal.reason is Reason.REMOTE_CODE_REQUIRED


def test_the_padding_side_is_read() -> None:
    found = look(tiny_embedder(**{"tokenizer_config.json": json_file({"padding_side": "left"})}))
    assert found.padding_side == "Left"
