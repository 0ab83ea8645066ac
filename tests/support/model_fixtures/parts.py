"""config.json of each kind in its published form, sizes shrunk, and folders put together from parts."""

from collections.abc import Mapping
from typing import Any

from embedding_model.resolved import Pooling, Task
from model_fixtures.fixture import Answer
from model_fixtures.formats import (
    Stored,
    Tensors,
    json_file,
    library_file,
    modules_file,
    pooling_file,
    safetensors_file,
    sentence_file,
)
from model_fixtures.tokenizers import VOCABULARY, wordpiece
from model_fixtures.weights import class_tensors

WIDTH = 16
LAYERS = 2

Config = dict[str, Any]


def bert(*architectures: str, positions: int = 512, **changes: Any) -> Config:
    return {
        "architectures": list(architectures or ("BertModel",)),
        "attention_probs_dropout_prob": 0.1,
        "classifier_dropout": None,
        "gradient_checkpointing": False,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "intermediate_size": 24,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": positions,
        "model_type": "bert",
        "num_attention_heads": 2,
        "num_hidden_layers": LAYERS,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "torch_dtype": "float32",
        "transformers_version": "4.28.1",
        "type_vocab_size": 2,
        "use_cache": True,
        "vocab_size": VOCABULARY,
        **changes,
    }


def roberta(*architectures: str, kind: str = "roberta", positions: int = 514, **changes: Any) -> Config:
    """RoBERTa, XLM-R and CamemBERT: one token type, and positions that begin behind the padding token's id."""
    return bert(
        *architectures,
        positions=positions,
        model_type=kind,
        type_vocab_size=1,
        layer_norm_eps=1e-05,
        bos_token_id=0,
        eos_token_id=2,
        **{"pad_token_id": 1, **changes},
    )


def decoder(kind: str, *architectures: str, positions: int = 32768, **changes: Any) -> Config:
    """Qwen, Llama, Mistral: two query heads share one key head."""
    return {
        "architectures": list(architectures),
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "intermediate_size": 24,
        "max_position_embeddings": positions,
        "model_type": kind,
        "num_attention_heads": 2,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.51.3",
        "use_cache": True,
        "vocab_size": VOCABULARY,
        **changes,
    }


def qwen3(*architectures: str, **changes: Any) -> Config:
    return decoder(
        "qwen3",
        *architectures,
        **{
            "attention_bias": False,
            "head_dim": 8,
            "max_window_layers": LAYERS,
            "sliding_window": None,
            "use_sliding_window": False,
            **changes,
        },
    )


def modernbert(*architectures: str, **changes: Any) -> Config:
    return {
        "architectures": list(architectures),
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 38,
        "classifier_activation": "gelu",
        "classifier_bias": False,
        "classifier_dropout": 0.0,
        "classifier_pooling": "mean",
        "cls_token_id": 38,
        "decoder_bias": True,
        "deterministic_flash_attn": False,
        "embedding_dropout": 0.0,
        "eos_token_id": 39,
        "global_attn_every_n_layers": 3,
        "global_rope_theta": 160000.0,
        "gradient_checkpointing": False,
        "hidden_activation": "gelu",
        "hidden_size": WIDTH,
        "initializer_cutoff_factor": 2.0,
        "initializer_range": 0.02,
        "intermediate_size": 24,
        "layer_norm_eps": 1e-05,
        "local_attention": 128,
        "local_rope_theta": 10000.0,
        "max_position_embeddings": 8192,
        "mlp_bias": False,
        "mlp_dropout": 0.0,
        "model_type": "modernbert",
        "norm_bias": False,
        "norm_eps": 1e-05,
        "num_attention_heads": 2,
        "num_hidden_layers": LAYERS,
        "pad_token_id": 40,
        "position_embedding_type": "absolute",
        "reference_compile": None,
        "sep_token_id": 39,
        "sparse_pred_ignore_index": -100,
        "sparse_prediction": False,
        "torch_dtype": "float16",
        "transformers_version": "4.48.0",
        "vocab_size": VOCABULARY,
        **changes,
    }


def deberta_v2(*architectures: str, **changes: Any) -> Config:
    return {
        "architectures": list(architectures),
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "intermediate_size": 24,
        "layer_norm_eps": 1e-07,
        "max_position_embeddings": 512,
        "max_relative_positions": -1,
        "model_type": "deberta-v2",
        "norm_rel_ebd": "layer_norm",
        "num_attention_heads": 2,
        "num_hidden_layers": LAYERS,
        "pad_token_id": 0,
        "pooler_dropout": 0,
        "pooler_hidden_act": "gelu",
        "pooler_hidden_size": WIDTH,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "position_buckets": 256,
        "relative_attention": True,
        "share_att_key": True,
        "torch_dtype": "float32",
        "transformers_version": "4.37.2",
        "type_vocab_size": 0,
        "vocab_size": VOCABULARY,
        **changes,
    }


def labels(*names: str, **more: Any) -> Config:
    """id2label and label2id as config.json writes them; `labels("LABEL_0")` is what one unnamed logit gets."""
    return {
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
        **more,
    }


def sizes(config: Config, *keys: str) -> Config:
    """The part of a config.json that transformers' class is built with, beside the sizes that every class has."""
    kept = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", *keys)
    kept = (*kept, "max_position_embeddings", "type_vocab_size", "pad_token_id", "id2label")
    return {key: config[key] for key in kept if key in config}


def encoder_tensors(name: str, config: Config, *keys: str) -> dict[str, Stored]:
    return class_tensors(name, sizes(config, *keys))


def folder(config: Config, tensors: Tensors, *others: Mapping[str, bytes]) -> dict[str, bytes]:
    """config.json, model.safetensors and whatever else there is."""
    files = {"config.json": json_file(config), "model.safetensors": safetensors_file(tensors)}
    for other in others:
        files.update(other)
    return files


def pipeline(
    *,
    pooling: bytes | str = "mean_tokens",
    types: tuple[str, ...] = ("Transformer", "Pooling", "Normalize"),
    length: int | str | None = 512,
    lowercase: bool = False,
    library: bytes | None = None,
    new: bool = False,
    width: int = WIDTH,
    readme: bytes | None = None,
) -> dict[str, bytes]:
    """sentence-transformers' files. The folder 2_Normalize is named and absent: it is empty, and git keeps no such."""
    files = {
        "modules.json": modules_file(*types, new=new),
        "1_Pooling/config.json": pooling_file(width, pooling) if isinstance(pooling, str) else pooling,
        "config_sentence_transformers.json": library_file() if library is None else library,
    }
    if not isinstance(length, str):
        files["sentence_bert_config.json"] = sentence_file(length, lowercase=lowercase)
    return {**files, "README.md": readme} if readme is not None else files


def bert_embedder(**pipe: Any) -> dict[str, bytes]:
    """A BERT embedder; `pipe` as in `pipeline`."""
    config = bert()
    return folder(config, encoder_tensors("BertModel", config), wordpiece(), pipeline(**pipe))


def embedding(architecture: str, length: int, pooling: Pooling, **more: Any) -> Answer:
    """The answer for an embedder that normalises and has no prompts, unless `more` says otherwise."""
    values = {"dimensions": WIDTH, "normalize": True, "prompts": {}, **more}
    return Answer(task=Task.EMBEDDING, architecture=architecture, max_input_tokens=length, pooling=pooling, **values)
