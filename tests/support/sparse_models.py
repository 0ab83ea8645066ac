"""Tiny sparse models with seeded weights, saved as sentence-transformers saves them, and its answers for them."""

import json
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import seeded_models
from safetensors.numpy import save_file

from embedding_model.inspection.families.heads import Head
from embedding_runtime.core.jobs import Output

Array = npt.NDArray[np.float32]

_PATH = "sentence_transformers.sparse_encoder.models"
_DOCUMENT, _QUERY = "document_0_MLMTransformer", "query_0_SparseStaticEmbedding"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def build_splade(
    folder: Path,
    *,
    family: str = "bert",
    activation: str = "relu",
    prompts: dict[str, str] | None = None,
    max_length: int = 64,
    **config: Any,
) -> Path:
    """MLMTransformer and SpladePooling."""
    seeded_models.build(folder, family=family, head=Head.MASKED_LANGUAGE_MODEL, max_length=max_length, **config)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": f"{_PATH}.MLMTransformer"},
        {"idx": 1, "name": "1", "path": "1_SpladePooling", "type": f"{_PATH}.SpladePooling"},
    ]
    _write(folder / "modules.json", modules)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    _save_library_files(folder, pooling="1_SpladePooling", activation=activation, prompts=prompts or {})
    return folder


def build_inference_free(folder: Path, *, prompts: dict[str, str] | None = None, max_length: int = 64) -> Path:
    """A Router: a table of weights for queries, a masked language model for documents."""
    document, query = folder / _DOCUMENT, folder / _QUERY
    seeded_models.build(document, family="distilbert", head=Head.MASKED_LANGUAGE_MODEL, max_length=max_length)
    query.mkdir()
    for name in _TOKENIZER:
        if (document / name).exists():
            shutil.copy(document / name, query / name)
    size = json.loads((document / "config.json").read_text())["vocab_size"]
    weights = np.random.default_rng(5).random(size, dtype=np.float32)
    weights[::7] = 0  # a token without a weight is in no vector
    save_file({"weight": weights}, query / "model.safetensors")
    _write(query / "config.json", {"frozen": False})
    _write(document / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    types = {
        _QUERY: f"{_PATH}.SparseStaticEmbedding.SparseStaticEmbedding",
        _DOCUMENT: f"{_PATH}.MLMTransformer.MLMTransformer",
        "document_1_SpladePooling": f"{_PATH}.SpladePooling.SpladePooling",
    }
    structure = {"query": [_QUERY], "document": [_DOCUMENT, "document_1_SpladePooling"]}
    parameters = {"default_route": "document", "allow_empty_key": True}
    _write(folder / "router_config.json", {"types": types, "structure": structure, "parameters": parameters})
    _write(
        folder / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Router"}]
    )
    _save_library_files(
        folder,
        pooling="document_1_SpladePooling",
        activation="log1p_relu",
        prompts=prompts or {"query": "", "document": ""},
    )
    return folder


def load_sparse_reference(folder: Path) -> Any:
    """sentence-transformers' SparseEncoder of the folder, on the CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference implementation's own deprecations
        from sentence_transformers import SparseEncoder

        return SparseEncoder(str(folder), device="cpu", local_files_only=True)


def encode_by_reference(reference: Any, texts: Sequence[str], **options: Any) -> Array:
    """What SparseEncoder.encode answers: float32 [texts, vocabulary]."""
    found = reference.encode(list(texts), convert_to_sparse_tensor=False, show_progress_bar=False, **options)
    return np.asarray(found.numpy() if hasattr(found, "numpy") else found, dtype=np.float32)


def spread(outputs: Sequence[Output], *, size: int) -> Array:
    """Sparse vectors written out: float32 [outputs, size]."""
    found = np.zeros((len(outputs), size), dtype=np.float32)
    for row, output in zip(found, outputs, strict=True):
        assert output.sparse is not None
        assert (np.diff(output.sparse.indices) > 0).all(), "indices must ascend"
        assert (output.sparse.values != 0).all(), "what is 0 is left out"
        row[output.sparse.indices] = output.sparse.values
    return found


def _save_library_files(folder: Path, *, pooling: str, activation: str, prompts: dict[str, str]) -> None:
    (folder / pooling).mkdir()
    _write(folder / pooling / "config.json", {"pooling_strategy": "max", "activation_function": activation})
    library = {"model_type": "SparseEncoder", "prompts": prompts, "default_prompt_name": None}
    _write(folder / "config_sentence_transformers.json", {**library, "similarity_fn_name": "dot"})


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2))
