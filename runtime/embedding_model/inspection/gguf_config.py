"""What a GGUF header says of a model, in the words of config.json, and its tensors under transformers' names.

The keys are those of llama.cpp (gguf-py, gguf/constants.py); how they map is in transformers' integrations/ggml.py,
which a test compares. A key that is not known may change every number, so it is a refusal and never passed over.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from embedding_model.inspection.quoting import quote
from embedding_model.inspection.tensors import Tensor
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.gguf import GgufArray, GgufHeader, GgufTensor

ARCHITECTURE_KEY = "general.architecture"
SERVED_ARCHITECTURES = ("llama", "qwen2", "qwen3")  # Mistral's files say llama
POOLING_KEY = "pooling_type"
NO_POOLING = 0

# Keys behind the architecture's name to keys of config.json.
CONFIG_KEYS: Mapping[str, str] = {
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.key_length": "head_dim",
    "rope.freq_base": "rope_theta",
    "vocab_size": "vocab_size",
    "attention.causal": "is_causal",
}
_REQUIRED = ("context_length", "block_count", "embedding_length", "feed_forward_length", "attention.head_count")
_EPSILON = "attention.layer_norm_rms_epsilon"
_ROTARY_BASE = 10000.0  # llama.cpp's and transformers' where the file names none
# Keys whose only values that are computed are those that say what is so anyway.
_HEAD_SIZES = ("attention.value_length", "rope.dimension_count")
_WITHOUT_EFFECT = frozenset({POOLING_KEY, "rope.scaling.finetuned", "rope.scaling.original_context_length"})
_FIXED: Mapping[str, tuple[object, ...]] = {
    "rope.scaling.type": ("none",),
    "expert_count": (0,),
    "expert_used_count": (0,),
}

_TENSORS = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_PARTS = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_LAYER = re.compile(r"blk\.(\d{1,4})\.(\w+)\.(weight|bias)")
_TURNED = {"attn_q": "attention.head_count", "attn_k": "attention.head_count_kv"}


def architecture_of(header: GgufHeader) -> str | None:
    """general.architecture, where it is a served one."""
    name = header.values.get(ARCHITECTURE_KEY)
    return name if isinstance(name, str) and name in SERVED_ARCHITECTURES else None


def read_gguf_config(header: GgufHeader) -> dict[str, Any]:
    """config.json as transformers would have it, of a served architecture.

    Raises Refusal: INVALID_FILE for keys that are missing or of another type, UNSUPPORTED_ARCHITECTURE for keys and
    values that are not computed.
    """
    architecture = architecture_of(header)
    if architecture is None:
        raise ValueError("only headers of served architectures have a configuration")
    prefix = f"{architecture}."
    own = {key.removeprefix(prefix): value for key, value in header.values.items() if key.startswith(prefix)}
    config: dict[str, Any] = {
        "model_type": architecture,
        "hidden_act": "silu",
        "rope_theta": _ROTARY_BASE,
        "tie_word_embeddings": all(tensor.name != "output.weight" for tensor in header.tensors),
    }
    for key, value in own.items():
        if isinstance(value, GgufArray):
            raise _refuse(header, key=prefix + key, problem="is a list; known is one value for all layers")
        if key in CONFIG_KEYS:
            config[CONFIG_KEYS[key]] = value
        elif key in _FIXED:
            if value not in _FIXED[key]:
                raise _refuse(header, key=prefix + key, problem="has a value that is not computed from a GGUF file")
        elif key not in _HEAD_SIZES and key not in _WITHOUT_EFFECT:
            raise _refuse(header, key=prefix + key, problem="is not known, and may change every vector")
    missing = next((key for key in (*_REQUIRED, _EPSILON) if key not in own), None)
    if missing is not None:
        raise Refusal(Reason.INVALID_FILE, f"{header.path}: there is no {prefix}{missing}; copy the file anew")
    words = next((tensor for tensor in header.tensors if tensor.name == "token_embd.weight"), None)
    if words is not None:
        config.setdefault("vocab_size", words.shape[0])
    config.setdefault("num_key_value_heads", config["num_attention_heads"])
    if architecture == "llama":
        config["attention_bias"] = any(tensor.name == "blk.0.attn_q.bias" for tensor in header.tensors)
    _require_numbers(header, config=config, prefix=prefix)
    # llama.cpp's rule; the classes of some architectures have a size of their own where none is named.
    config.setdefault("head_dim", config["hidden_size"] // config["num_attention_heads"])
    _require_whole_heads(header, own=own, config=config, prefix=prefix)
    return config


def name_tensors(header: GgufHeader) -> dict[str, GgufTensor]:
    """The tensors under the names of transformers' class with a language head.

    Raises Refusal(UNSUPPORTED_ARCHITECTURE) for one that is not known: its numbers would be left out.
    """
    named: dict[str, GgufTensor] = {}
    for tensor in header.tensors:
        stem, _, kind = tensor.name.rpartition(".")
        layer = _LAYER.fullmatch(tensor.name)
        if layer is not None and layer[2] in _PARTS:
            named[f"model.layers.{int(layer[1])}.{_PARTS[layer[2]]}.{layer[3]}"] = tensor
        elif stem in _TENSORS and kind == "weight":
            named[f"{_TENSORS[stem]}.weight"] = tensor
        else:
            note = " (rotary frequencies of their own, as Llama 3.1 has)" if stem == "rope_freqs" else ""
            raise Refusal(
                Reason.UNSUPPORTED_ARCHITECTURE,
                f"{header.path} holds the tensor {quote(tensor.name)}{note}, which is not computed from a GGUF file; "
                "use the safetensors weights that it was made from",
            )
    return named


def describe_tensors(header: GgufHeader) -> dict[str, Tensor]:
    """As inspection sees them: plain floats, which is what they are once they are loaded. Raises as `name_tensors`."""
    return {
        name: Tensor(name=name, dtype="F32", shape=tensor.shape, file=header.path)
        for name, tensor in name_tensors(header).items()
    }


def count_turned_heads(header: GgufHeader) -> Callable[[str], int | None]:
    """Of how many heads the rows of a tensor lie in pairs, by the tensor's name in the file; None where they do not.

    llama.cpp turns neighbours where transformers turns halves; for the architecture llama its converter lays the rows
    of queries and keys accordingly (convert_hf_to_gguf.py, LlamaModel.permute).
    """
    if architecture_of(header) != "llama":
        return lambda name: None
    config = read_gguf_config(header)
    heads = {part: config[CONFIG_KEYS[key]] for part, key in _TURNED.items()}

    def find(name: str) -> int | None:
        layer = _LAYER.fullmatch(name)
        return None if layer is None else heads.get(layer[2])

    return find


def _require_numbers(header: GgufHeader, *, config: Mapping[str, Any], prefix: str) -> None:
    floats = {"rms_norm_eps", "rope_theta"}
    for key, name in CONFIG_KEYS.items():
        if name not in config:
            continue
        value = config[name]
        kind = bool if name == "is_causal" else float if name in floats else int
        if type(value) is not kind or (kind is not bool and not 0 < value < 2**40):
            raise Refusal(Reason.INVALID_FILE, f"{header.path}: {prefix}{key} has a value that cannot be")


def _require_whole_heads(header: GgufHeader, *, own: Mapping[str, Any], config: Mapping[str, Any], prefix: str) -> None:
    """Rotary positions in all of a head, and values as wide as keys: nothing else is in config.json's words."""
    head = config["head_dim"]
    for key in _HEAD_SIZES:
        if key in own and own[key] != head:
            raise _refuse(header, key=prefix + key, problem=f"is not the size of a head, {head}")
    if head % 2 or head < 2:
        raise _refuse(header, key=prefix + "attention.head_count", problem=f"leaves heads of {head} values, no pairs")


def _refuse(header: GgufHeader, *, key: str, problem: str) -> Refusal:
    return Refusal(
        Reason.UNSUPPORTED_ARCHITECTURE,
        f"{header.path}: {quote(key)} {problem}; use the safetensors weights that it was made from",
    )
