"""Folders of tiny models in memory: real-shaped files, weights that are headers and zeros."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.families import FAMILIES
from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.tensors import DTYPES

# The encoders that embed today, each in its smallest form.
ENCODERS = ("bert", "roberta", "xlm-roberta", "camembert", "mpnet", "distilbert")

# Small, all different, so that a mixed-up shape shows.
SIZES = {
    "vocabulary": 17,
    "hidden": 8,
    "positions": 40,
    "types": 2,
    "intermediate": 12,
    "heads": 4,
    "buckets": 32,  # MPNet computes with 32 whatever its config says
}
LAYERS = 2


def json_file(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode()


def safetensors_file(tensors: Mapping[str, Sequence[int]], *, dtype: str = "F32", **dtypes: str) -> bytes:
    """A safetensors file of zeros; `dtypes` gives single tensors (dots written as __) another type."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in tensors.items():
        kind = dtypes.get(name.replace(".", "__"), dtype)
        begin, end = end, end + math.prod(shape) * DTYPES[kind]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + bytes(end)


_USUAL_KEYS = {
    "vocabulary": "vocab_size",
    "hidden": "hidden_size",
    "positions": "max_position_embeddings",
    "intermediate": "intermediate_size",
    "heads": "num_attention_heads",
    "layers": "num_hidden_layers",
}
_OTHER_KEYS = {
    "mpnet": {"buckets": "relative_attention_num_buckets"},
    "distilbert": {"hidden": "dim", "intermediate": "hidden_dim", "heads": "n_heads", "layers": "n_layers"},
}


def size_keys(family: str) -> dict[str, str]:
    """What config.json of one of ENCODERS calls each of SIZES, and the number of layers."""
    types = {} if family in _OTHER_KEYS else {"types": "type_vocab_size"}
    return {**_USUAL_KEYS, **types, **_OTHER_KEYS.get(family, {})}


def tensor_shapes(family: str, *, prefix: str = "", layers: int = LAYERS) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a tiny encoder."""
    config = encoder_config(family, **{size_keys(family)["layers"]: layers})
    blueprint = FAMILIES[family].describe(Settings(JsonObject("config.json", config)))
    return {prefix + name: tuple(size.value for size in shape) for name, shape in blueprint.body.items()}


def encoder_config(family: str, **changes: Any) -> dict[str, Any]:
    """config.json of a tiny encoder."""
    sizes = {**SIZES, "layers": LAYERS}
    return {
        "architectures": [FAMILIES[family].architecture],
        "model_type": family,
        **{key: sizes[symbol] for symbol, key in size_keys(family).items()},
        **changes,
    }


def modules(*types: str, library: str = "sentence_transformers.models") -> list[dict[str, Any]]:
    """modules.json with the transformer in the root and the others in numbered folders."""
    return [
        {"idx": index, "name": str(index), "path": f"{index}_{kind}" if index else "", "type": f"{library}.{kind}"}
        for index, kind in enumerate(types)
    ]


def tokenizer_settings(family: str = "bert", **changes: Any) -> dict[str, Any]:
    """tokenizer.json as transformers saves it for the family by default, without its vocabulary."""
    if family in ("bert", "distilbert", "mpnet"):
        first, last, model = ("<s>", "</s>", "WordPiece") if family == "mpnet" else ("[CLS]", "[SEP]", "WordPiece")
        normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True}
        steps = {
            "normalizer": {**normalizer, "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
        }
    else:
        first, last, model = "<s>", "</s>", "BPE" if family == "roberta" else "Unigram"
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
        metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
        words = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]}
        steps = {"normalizer": None, "pre_tokenizer": byte_level if model == "BPE" else words}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": id_, "content": token, "special": True, "normalized": False, "lstrip": False, "rstrip": False}
            for id_, token in enumerate((first, last))
        ],
        **steps,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": first, "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": last, "type_id": 0}},
            ],
        },
        "model": {"type": model, "vocab": {}},
        **changes,
    }


def tiny_embedder(family: str = "bert", **changes: bytes | None) -> dict[str, bytes]:
    """A mean-pooling, normalising embedder as sentence-transformers saves it; None removes a file."""
    files = {
        "config.json": json_file(encoder_config(family)),
        "model.safetensors": safetensors_file(tensor_shapes(family)),
        "tokenizer.json": json_file(tokenizer_settings(family)),
        "tokenizer_config.json": json_file({"model_max_length": 32}),
        "modules.json": json_file(modules("Transformer", "Pooling", "Normalize")),
        "sentence_bert_config.json": json_file({"max_seq_length": 16, "do_lower_case": False}),
        "config_sentence_transformers.json": json_file({"__version__": {}, "prompts": {}}),
        "1_Pooling/config.json": json_file(
            {
                "word_embedding_dimension": SIZES["hidden"],
                "pooling_mode_cls_token": False,
                "pooling_mode_mean_tokens": True,
            }
        ),
        "README.md": b"---\npipeline_tag: sentence-similarity\n---\n# tiny\n",
    }
    return {path: data for path, data in {**files, **changes}.items() if data is not None}
