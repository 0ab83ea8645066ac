"""What is refused, for which reason, and in words that say what to do."""

from typing import Any

import pytest
from tiny_models import encoder_config, json_file, modules, safetensors_file, tensor_shapes, tiny_embedder

from embedding_model.inspection import inspect
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.memory import MemorySource

POOLING_FILE = "1_Pooling/config.json"
BARE = dict.fromkeys(("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", POOLING_FILE))


def refuse(family: str = "bert", **changes: bytes | None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        inspect(MemorySource(tiny_embedder(family, **changes)))
    return caught.value


def config(**changes: Any) -> dict[str, bytes]:
    return {"config.json": json_file(encoder_config("bert", **changes))}


def weights(family: str = "bert", *, without: str = "", **extra: tuple[int, ...]) -> dict[str, bytes]:
    """Tensors whose name contains `without` are left out; dots in extra names are written as __."""
    shapes = {name: shape for name, shape in tensor_shapes(family).items() if not without or without not in name}
    added = {name.replace("__", "."): shape for name, shape in extra.items()}
    return {"model.safetensors": safetensors_file(shapes | added)}


def pooling(**values: Any) -> dict[str, bytes]:
    return {POOLING_FILE: json_file({"embedding_dimension": 8} | values)}


def pipeline(*types: str, library: str = "sentence_transformers.models") -> dict[str, bytes]:
    return {"modules.json": json_file(modules(*types, library=library))}


def sentence(**values: Any) -> dict[str, bytes]:
    return {"sentence_bert_config.json": json_file({"max_seq_length": 16, "do_lower_case": False} | values)}


MASKED_LANGUAGE_HEAD = {
    "cls__predictions__bias": (17,),
    "cls__predictions__transform__dense__weight": (8, 8),
    "cls__predictions__transform__dense__bias": (8,),
    "cls__predictions__transform__LayerNorm__weight": (8,),
    "cls__predictions__transform__LayerNorm__bias": (8,),
}


CASES: dict[str, tuple[dict[str, bytes | None], Reason, str]] = {
    # architecture
    "an unknown family": (
        config(model_type="mamba"),
        Reason.UNSUPPORTED_ARCHITECTURE,
        'model_type is "mamba"; the families that are known are bert',
    ),
    "no model_type": (config(model_type=None), Reason.UNSUPPORTED_ARCHITECTURE, "model_type is not there"),
    "a BERT with a causal mask": (config(is_decoder=True), Reason.UNSUPPORTED_ARCHITECTURE, "is_decoder is true"),
    "a family that only its own code knows": (
        config(model_type="llama_bidirec", auto_map={"AutoModel": "modeling.LlamaBidirectionalModel"}),
        Reason.REMOTE_CODE_REQUIRED,
        "auto_map.AutoModel",
    ),
    "jina-v2 with its auto_map removed": (
        config(position_embedding_type="alibi"),
        Reason.UNSUPPORTED_ARCHITECTURE,
        'position_embedding_type is "alibi"',
    ),
    "jina-v2 with nothing but its weights left": (
        weights(without="position_embeddings", encoder__layer__0__mlp__gated_layers__weight=(24, 8)),
        Reason.INCOMPLETE_WEIGHTS,
        "lack encoder.layer.0.mlp.wo.weight",
    ),
    "quantised weights": (
        config(quantization_config={"quant_method": "bitsandbytes"}),
        Reason.UNSUPPORTED_FORMAT,
        "quantization_config",
    ),
    "heads that do not divide the width": (
        config(num_attention_heads=3),
        Reason.CONTRADICTORY_EVIDENCE,
        "hidden_size 8 cannot be divided among num_attention_heads 3",
    ),
    # weights
    "a layer is missing": (
        weights(without="encoder.layer.1."),
        Reason.INCOMPLETE_WEIGHTS,
        "encoder.layer.1.attention.self.query.weight, encoder.layer.1.attention.self.query.bias, "
        "encoder.layer.1.attention.self.key.weight and 13 more",
    ),
    "config.json promises more layers": (config(num_hidden_layers=3), Reason.INCOMPLETE_WEIGHTS, "encoder.layer.2."),
    "config.json promises fewer layers": (
        config(num_hidden_layers=1),
        Reason.UNEXPECTED_WEIGHTS,
        "BertModel as config.json describes it does not have",
    ),
    "no word embeddings": (weights(without="word_embeddings"), Reason.INCOMPLETE_WEIGHTS, "word_embeddings.weight"),
    "tensors of another family": (weights("mpnet"), Reason.INCOMPLETE_WEIGHTS, "use the complete weights"),
    "tensors that nobody knows": (
        weights(encoder__layer__0__adapter__weight=(4, 8)),
        Reason.UNEXPECTED_WEIGHTS,
        "encoder.layer.0.adapter.weight",
    ),
    "config.json of a wider model": (
        config(hidden_size=16),
        Reason.CONTRADICTORY_EVIDENCE,
        "has the shape [17, 8], but config.json (vocab_size, hidden_size) says [17, 16]",
    ),
    "config.json with another vocabulary": (config(vocab_size=18), Reason.CONTRADICTORY_EVIDENCE, "says [18, 8]"),
    "config.json with more positions": (
        config(max_position_embeddings=512),
        Reason.CONTRADICTORY_EVIDENCE,
        "embeddings.position_embeddings.weight has the shape [40, 8]",
    ),
    "a tensor stored as integers": (
        {"model.safetensors": safetensors_file(tensor_shapes("bert"), encoder__layer__0__output__dense__weight="I8")},
        Reason.UNSUPPORTED_FORMAT,
        "stored as I8",
    ),
    "the same tensor with and without prefix": (
        {
            "model.safetensors": safetensors_file(
                tensor_shapes("bert") | {"bert.embeddings.word_embeddings.weight": (17, 8)}
            )
        },
        Reason.CONTRADICTORY_EVIDENCE,
        "which are the same tensor",
    ),
    # modules
    "a model without pooling": (
        pipeline("Transformer"),
        Reason.UNSUPPORTED_ARCHITECTURE,
        "lists Transformer; understood are",
    ),
    "modules in another order": (
        pipeline("Transformer", "Normalize", "Pooling"),
        Reason.UNSUPPORTED_ARCHITECTURE,
        "lists Transformer, Normalize, Pooling",
    ),
    "an empty modules.json": (pipeline(), Reason.UNSUPPORTED_ARCHITECTURE, "lists no module"),
    "static embeddings": (pipeline("StaticEmbedding"), Reason.UNSUPPORTED_ARCHITECTURE, "StaticEmbedding"),
    "a module of the model's own code": (
        pipeline("Transformer", "Pooling", library="custom_st"),
        Reason.REMOTE_CODE_REQUIRED,
        'names the class "custom_st.Transformer"',
    ),
    "a look-alike of the library": (
        pipeline("Transformer", "Pooling", library="sentence_transformers_custom.models"),
        Reason.REMOTE_CODE_REQUIRED,
        "sentence_transformers_custom.models.Transformer",
    ),
    "modules.json that is an object": ({"modules.json": b"{}"}, Reason.INVALID_FILE, "modules.json"),
    "a module without a type": (
        {"modules.json": b'[{"idx": 0, "path": ""}]'},
        Reason.INVALID_FILE,
        "expected every module to have a type",
    ),
    "a module outside the folder": (
        {"modules.json": json_file([{"path": "../other", "type": "sentence_transformers.models.Transformer"}])},
        Reason.UNSAFE_PATH,
        "outside the model",
    ),
    # pooling
    "a pooling file without a width": (
        pooling(embedding_dimension=None, pooling_mode="mean"),
        Reason.INVALID_FILE,
        "expected embedding_dimension or word_embedding_dimension, found neither",
    ),
    "a pooling module in the transformer's folder": (
        {"modules.json": json_file([{**entry, "path": ""} for entry in modules("Transformer", "Pooling")])},
        Reason.INVALID_FILE,
        "config.json: expected embedding_dimension",
    ),
    "more modules than any model has": (
        pipeline("Transformer", "Pooling", *["Normalize"] * 31),
        Reason.INVALID_FILE,
        "a list of at most 32 modules",
    ),
    "prompts without end": (
        {"config_sentence_transformers.json": json_file({"prompts": {"query": "x" * 300_000}})},
        Reason.TOO_LARGE,
        "the prompts have 300005 bytes",
    ),
    "a file without end": (
        {"config.json": b" " * (4 * 1024 * 1024 + 1)},
        Reason.TOO_LARGE,
        "config.json",
    ),
    "half of a surrogate pair": (
        {"config_sentence_transformers.json": b'{"prompts": {"query": "\\ud800"}}'},
        Reason.INVALID_FILE,
        "config_sentence_transformers.json: expected JSON",
    ),
    "a name that would move the cursor": (
        config(model_type="bert\x1b[2J\n"),
        Reason.UNSUPPORTED_ARCHITECTURE,
        'model_type is "bert\\x1b[2J\\n"',
    ),
    "an activation that nobody knows": (
        config(hidden_act="geglu"),
        Reason.UNSUPPORTED_ARCHITECTURE,
        'hidden_act is "geglu"; known are gelu',
    ),
    "no pooling file": ({POOLING_FILE: None}, Reason.MISSING_FILE, POOLING_FILE),
    "more poolings than there are": (
        pooling(pooling_mode=["cls", "max", "mean", "max", "mean", "max", "mean"]),
        Reason.INVALID_FILE,
        "pooling_mode lists 7 modes; there are 6",
    ),
    "an unknown pooling in a list": (pooling(pooling_mode=["cls", "att"]), Reason.INVALID_FILE, '"att" is not known'),
    "an unknown pooling": (pooling(pooling_mode="attention"), Reason.INVALID_FILE, '"attention" is not known'),
    "an unknown pooling flag": (pooling(pooling_mode_attention=True), Reason.INVALID_FILE, "pooling_mode_attention"),
    "a pooling of the wrong type": (pooling(pooling_mode=3), Reason.INVALID_FILE, "expected pooling_mode to be"),
    "a flag of the wrong type": (pooling(pooling_mode_cls_token="yes"), Reason.INVALID_FILE, "found a string"),
    "the pooling of a wider model": (
        pooling(word_embedding_dimension=384, pooling_mode="mean"),
        Reason.CONTRADICTORY_EVIDENCE,
        "says word_embedding_dimension 384, but the encoder's vectors have 8",
    ),
    # lengths, prompts, library
    "no room for text": (sentence(max_seq_length=2), Reason.INVALID_FILE, "leaves 2 tokens, no room for text"),
    "a length that is a word": (
        sentence(max_seq_length="512"),
        Reason.INVALID_FILE,
        "to be a number, but found a string",
    ),
    "a side that does not exist": (
        {"tokenizer_config.json": json_file({"truncation_side": "middle"})},
        Reason.INVALID_FILE,
        "left or right",
    ),
    "a default prompt that is not there": (
        {"config_sentence_transformers.json": json_file({"prompts": {"a": "b"}, "default_prompt_name": "query"})},
        Reason.INVALID_FILE,
        'default_prompt_name is "query", which is not among its prompts',
    ),
    "a prompt that is not a text": (
        {"config_sentence_transformers.json": json_file({"prompts": {"query": 1}})},
        Reason.INVALID_FILE,
        'the prompt "query" to be a string',
    ),
    "a model saved as a sparse encoder": (
        {"config_sentence_transformers.json": json_file({"model_type": "SparseEncoder"})},
        Reason.CONTRADICTORY_EVIDENCE,
        "says model_type SparseEncoder, but modules.json (Transformer, Pooling, Normalize) describes an embedder",
    ),
    "a model saved as something new": (
        {"config_sentence_transformers.json": json_file({"model_type": "Oracle"})},
        Reason.UNSUPPORTED_ARCHITECTURE,
        "expected one of CrossEncoder, SentenceTransformer, SparseEncoder",
    ),
    "a transformer for another task": (
        sentence(transformer_task="fill-mask"),
        Reason.CONTRADICTORY_EVIDENCE,
        'says transformer_task "fill-mask"',
    ),
    "another output of the transformer": (
        sentence(modality_config={"text": {"method": "forward", "method_output_name": "pooler_output"}}),
        Reason.UNSUPPORTED_ARCHITECTURE,
        "last_hidden_state",
    ),
    "query expansion": (
        sentence(query_expansion={"strategy": "fixed", "length": 32}),
        Reason.UNSUPPORTED_ARCHITECTURE,
        '"query_expansion" is set',
    ),
    "matryoshka sizes beyond the vector": (
        config(matryoshka_dimensions=[16]),
        Reason.INVALID_FILE,
        "whole numbers from 1 to 8",
    ),
    # no modules.json
    "a bare encoder": (BARE, Reason.AMBIGUOUS_TASK, "nothing says how its token vectors become one vector"),
    "a bare masked language model": (
        {**BARE, **weights(**MASKED_LANGUAGE_HEAD)},
        Reason.AMBIGUOUS_TASK,
        "or a sparse model (SPLADE), since the weights hold a language-model head",
    ),
    # files
    "pickled weights only": (
        {"model.safetensors": None, "pytorch_model.bin": b"\x80\x02"},
        Reason.PICKLE_ONLY,
        "pytorch_model.bin is a pickle",
    ),
    "an adapter": ({"model.safetensors": None, "adapter_config.json": b"{}"}, Reason.ADAPTER_ONLY, "merge the adapter"),
    "no tokenizer": ({"tokenizer.json": None}, Reason.MISSING_FILE, "no tokenizer"),
    "no config.json": ({"config.json": None}, Reason.MISSING_FILE, "config.json"),
    "config.json that is a list": ({"config.json": b"[]"}, Reason.INVALID_FILE, "expected a JSON object, found a list"),
    "config.json that is cut": ({"config.json": b'{"model_type": "be'}, Reason.INVALID_FILE, "expected JSON"),
    "config.json that is empty": ({"config.json": b""}, Reason.INVALID_FILE, "found an empty file"),
    "config.json that is nested without end": ({"config.json": b"[" * 100_000}, Reason.INVALID_FILE, "expected JSON"),
    "no hidden_size": (config(hidden_size=None), Reason.INVALID_FILE, "hidden_size to be a whole number of at least 1"),
    "zero layers": (config(num_hidden_layers=0), Reason.INVALID_FILE, "num_hidden_layers to be a whole number"),
    "a million layers": (config(num_hidden_layers=10**9), Reason.INVALID_FILE, "num_hidden_layers"),
}


@pytest.mark.parametrize(("changes", "reason", "says"), CASES.values(), ids=CASES.keys())
def test_what_cannot_be_served_is_refused_with_its_reason(
    changes: dict[str, bytes | None], reason: Reason, says: str
) -> None:
    refusal = refuse(**changes)
    assert refusal.reason is reason, refusal.message
    assert says.lower() in refusal.message.lower()


def test_a_refusal_survives_the_way_to_another_process() -> None:
    document = refuse(**config(model_type="qwen3")).document()
    assert type(document).model_validate_json(document.model_dump_json()) == document


def test_the_roberta_family_lacks_token_types_when_they_are_missing() -> None:
    refusal = refuse("roberta", **weights("roberta", without="token_type"))
    assert refusal.reason is Reason.INCOMPLETE_WEIGHTS
    assert "RobertaModel" in refusal.message


def test_the_relative_positions_of_mpnet_must_be_there() -> None:
    refusal = refuse("mpnet", **weights("mpnet", without="relative_attention_bias"))
    assert "encoder.relative_attention_bias.weight" in refusal.message


def test_a_padding_token_below_zero_is_refused() -> None:
    refusal = refuse("roberta", **{"config.json": json_file(encoder_config("roberta", pad_token_id=-1))})
    assert refusal.reason is Reason.INVALID_FILE
    assert "pad_token_id" in refusal.message
