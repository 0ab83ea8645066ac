"""config.json as transformers' configuration: what says what the network is, and nothing else.

transformers takes any key for an attribute. Some do not describe a network but tell transformers what to do: which
kernels to fetch and run (attn_implementation), what to answer (return_dict), in which pieces to compute
(chunk_size_feed_forward); others would overwrite its own methods. All that PreTrainedConfig itself has is left out.
"""

from typing import Any

from embedding_model.inspection.quoting import escape
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.selection import CONFIG_FILE
from embedding_runtime.architectures.families import Architecture, Config

# Read by PreTrainedConfig, though they are no attributes of it.
_HOW_TO_COMPUTE = frozenset({"attn_implementation", "experts_implementation"})
# What a family's `adapt` may ask for; transformers' class has its own.
_FAMILY = "model_type"
# Though PreTrainedConfig has attributes of these names.
_KEPT = frozenset({_FAMILY, "rope_scaling"})
_SHOWN = 300  # characters of what transformers says


def build_configuration(architecture: Architecture, *, config: Config, labels: int) -> Any:
    """The family's configuration for `labels` outputs of a head. Slow (seconds).

    What `Architecture.adapt` adds to config.json is the runtime's own word and always counts. Raises
    Refusal(INVALID_FILE).
    """
    from transformers import PreTrainedConfig

    described = {key: value for key, value in config.items() if _describes_network(key, base=PreTrainedConfig)}
    config_class = architecture.import_config()
    try:
        adapted = {key: value for key, value in architecture.adapt(described).items() if key != _FAMILY}
        return config_class.from_dict({**adapted, "num_labels": labels})
    except Exception as error:  # transformers checks little; any line of it may fail
        raise cannot_build(error) from error


def cannot_build(error: Exception) -> Refusal:
    """What a file says is in the message of the error, which is cut."""
    said = escape(" ".join(str(error)[:_SHOWN].split()))
    return Refusal(
        Reason.INVALID_FILE,
        f"{CONFIG_FILE} does not describe a model that can be computed: {type(error).__name__}: {said}",
    )


def _describes_network(key: str, *, base: type) -> bool:
    return key in _KEPT or not (key.startswith("_") or key in _HOW_TO_COMPUTE or hasattr(base, key))
