"""Repositories whose weights exist in other formats only: ONNX, GGUF, TensorFlow, Flax.

They often lack the files that a model for transformers has, or keep the weights in folders of their own, so they are
recognised by what they hold before anything is missed.
"""

from pathlib import PurePosixPath

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.gguf import SUFFIX as GGUF_SUFFIX
from embedding_model.sources.gguf import read_gguf_head
from embedding_model.sources.source import Source

_READABLE = frozenset({".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl"})
_OPENVINO = "openvino_"  # its weights end in .bin as well, and are no pickle
_OTHERS = {
    ".onnx": "ONNX",
    ".h5": "TensorFlow",
    ".msgpack": "Flax",
    ".tflite": "TensorFlow Lite",
    ".mlmodel": "Core ML",
    ".ot": "Rust",
    _OPENVINO: "OpenVINO",
}


def check_formats(source: Source) -> None:
    """Raises Refusal(UNSUPPORTED_FORMAT) where all weights are in a format that is not served, INVALID_FILE for a GGUF
    file that is none."""
    by_suffix: dict[str, str] = {}
    for file in source.files():
        path = PurePosixPath(file.path)
        kind = _OPENVINO if path.name.startswith(_OPENVINO) else path.suffix.lower()
        by_suffix.setdefault(kind, file.path)
    if _READABLE & set(by_suffix):
        return
    found = by_suffix.get(GGUF_SUFFIX)
    if found is not None:
        head = read_gguf_head(source, path=found)
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"{found} is recognised as GGUF (version {head.version}, {head.tensors} tensors, sha256 "
            f"{source.hash(found).sha256}), which is not served yet; use the repository that it was made from, with "
            "safetensors weights",
        )
    suffix = next((suffix for suffix in _OTHERS if suffix in by_suffix), None)
    if suffix is not None:
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"the weights are there as {_OTHERS[suffix]} only ({by_suffix[suffix]}); expected safetensors: use "
            "the repository that they were made from, or save the model with save_pretrained",
        )
