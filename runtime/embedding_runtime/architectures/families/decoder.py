"""What all language models share when they embed: no cache of keys, and attention that takes long texts."""

from collections.abc import Callable
from typing import Any

from embedding_runtime.architectures.attention import register
from embedding_runtime.architectures.families.architecture import Architecture, Config

_HONOURS = ("head_dim", "hidden_act", "num_attention_heads", "num_key_value_heads", "rms_norm_eps", "rope_parameters")


def reads_forward(config: Config) -> bool:
    """Whether no token sees those behind it. `is_causal` is what transformers' classes read."""
    return config.get("is_causal") is not False


def decoder(
    name: str,
    *,
    config: str,
    source: str,
    package: str | None = None,
    honours: tuple[str, ...] = (),
    is_causal: Callable[[Config], bool] = reads_forward,
) -> Architecture:
    """A language model's entry; its package in transformers has the family's name unless said otherwise."""
    return Architecture(
        name=name,
        source=source,
        honours=(*_HONOURS, *honours),
        package=package or name,
        config=config,
        adapt=_adapt,
        is_causal=is_causal,
    )


def _adapt(config: Config) -> dict[str, Any]:
    """Without `use_cache` false the keys and values of all layers are kept: 7.5 GB for 32768 tokens of Qwen3 0.6B."""
    return {**config, "use_cache": False, "attn_implementation": register()}
