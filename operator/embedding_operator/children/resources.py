"""Resources of a serving pod: what the user asks for, else the profile's defaults, grown by the weights."""

from collections.abc import Mapping
from typing import Any, Final

from embedding_model.resolved import Manifest, Quantization, Weights
from embedding_operator.api.spec import DtypeChoice, RuntimeSpec
from embedding_operator.children.quantity import MEBIBYTE, format_mebibytes, parse_quantity

Resources = Mapping[str, Mapping[str, str]]

_FLOAT_BYTES: Final[Mapping[DtypeChoice, int]] = {
    DtypeChoice.FLOAT32: 4,
    DtypeChoice.BFLOAT16: 2,
    DtypeChoice.FLOAT16: 2,
}
# Of a weight of a linear layer, with the scales of its group. Embeddings and norms stay in the dtype: a quarter of the
# parameters of Qwen3-Embedding-0.6B, and less of anything larger.
_QUANTIZED_BYTES: Final[Mapping[Quantization, float]] = {Quantization.INT8: 1.01, Quantization.INT4: 0.63}
_UNQUANTIZED_SHARE: Final = 0.25
LOAD_FACTOR: Final = 1.25  # beside the model, while it is loaded: the tensors that are cast or quantised just now
READ_AHEAD: Final = 256 * MEBIBYTE  # of weights, at most, that the runtime holds before it makes tensors of them
VOLUME_MARGIN: Final = 256 * MEBIBYTE  # partial files of a download that is resumed

# The download holds one block per connection; the rest is page cache, which the kernel takes back.
FETCH_RESOURCES: Final[dict[str, dict[str, str]]] = {
    "requests": {"cpu": "100m", "memory": "128Mi"},
    "limits": {"memory": "512Mi"},
}


def size_resources(
    asked: Resources, *, profile: Resources, weights: Weights, runtime: RuntimeSpec
) -> dict[str, dict[str, str]]:
    """Requests and limits of the runtime container.

    A resource that the user names in requests or limits is the user's alone. Memory defaults grow by the weights: the
    request by their size as they are computed with, the limit by what loading them takes.
    """
    loaded = _measure_loaded(weights, runtime=runtime)
    grown = {"requests": loaded, "limits": round(loaded * LOAD_FACTOR) + min(weights.bytes, READ_AHEAD)}
    named = set(asked.get("requests", {})) | set(asked.get("limits", {}))
    sized: dict[str, dict[str, str]] = {}
    for part in ("requests", "limits"):
        defaults = {
            name: _grow(amount, by=grown[part]) if name == "memory" else str(amount)
            for name, amount in profile.get(part, {}).items()
            if name not in named
        }
        merged = defaults | {name: str(amount) for name, amount in asked.get(part, {}).items()}
        if merged:
            sized[part] = merged
    return sized


def _measure_loaded(weights: Weights, *, runtime: RuntimeSpec) -> int:
    """Bytes of all parameters once loaded."""
    quantization = runtime.quantization
    automatic = DtypeChoice.BFLOAT16 if quantization is Quantization.INT4 else DtypeChoice.FLOAT32
    floats = _FLOAT_BYTES[automatic if runtime.dtype is DtypeChoice.AUTO else runtime.dtype]
    if quantization is Quantization.NONE:
        return weights.parameters * floats
    each = _UNQUANTIZED_SHARE * floats + (1 - _UNQUANTIZED_SHARE) * _QUANTIZED_BYTES[quantization]
    return round(weights.parameters * each)


def size_fetch(manifest: Manifest, *, asked: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Resources of the container that fetches. A conversion holds the largest pickle, as read and as written.

    `asked` are the limits of spec.resources.
    """
    largest = max((item.source.size for item in manifest.conversions), default=0)
    memory = FETCH_RESOURCES["limits"]["memory"]
    grown = _grow(memory, by=largest * 2) if largest else memory
    return {**FETCH_RESOURCES, "limits": {"memory": raise_memory(grown, asked=asked)}}


def raise_memory(limit: str, *, asked: Mapping[str, str]) -> str:
    """The limit of a container that is none of the user's, or what spec.resources says where that is more: whichever
    container ran out of memory, raising it helps."""
    named = asked.get("memory")
    ours, theirs = parse_quantity(limit), parse_quantity(named)
    return limit if ours is None or theirs is None or theirs <= ours else str(named)


def volume_limit(manifest: Manifest) -> str:
    """Size limit of the folder that a pod downloads the model into."""
    return format_mebibytes(sum(file.size for file in manifest.files) + VOLUME_MARGIN)


def work_limit(manifest: Manifest) -> str:
    """Size limit of the folder for what is fetched and not kept: pickles."""
    converted = sum(item.source.size for item in manifest.conversions)
    return format_mebibytes(converted + VOLUME_MARGIN)


def _grow(amount: Any, *, by: int) -> str:
    value = parse_quantity(amount)
    return str(amount) if value is None else format_mebibytes(value + by)
