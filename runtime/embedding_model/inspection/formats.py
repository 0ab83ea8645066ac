"""Repositories whose weights exist in other formats only: ONNX, TensorFlow, Flax, or GGUF in more than one file.

They often lack the files that a model for transformers has, or keep the weights in folders of their own, so they are
recognised by what they hold before anything is missed.
"""

from pathlib import PurePosixPath

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.gguf import READABLE, find_gguf
from embedding_model.sources.source import Source

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
    """Raises Refusal(UNSUPPORTED_FORMAT) where all weights are in a format that is not served."""
    by_suffix: dict[str, str] = {}
    for file in source.files():
        path = PurePosixPath(file.path)
        kind = _OPENVINO if path.name.startswith(_OPENVINO) else path.suffix.lower()
        by_suffix.setdefault(kind, file.path)
    if READABLE & set(by_suffix):
        return
    if find_gguf([file.path for file in source.files()]) is not None:
        return
    suffix = next((suffix for suffix in _OTHERS if suffix in by_suffix), None)
    if suffix is not None:
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"the weights are there as {_OTHERS[suffix]} only ({by_suffix[suffix]}); expected safetensors: use "
            "the repository that they were made from, or save the model with save_pretrained",
        )
