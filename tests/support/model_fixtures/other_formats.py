"""Repositories without weights that are served: adapters, other formats, quantised tensors."""

import struct

from embedding_model.refusal import Reason
from model_fixtures import parts, tokenizers
from model_fixtures.fixture import Files, ModelFixture, Refused
from model_fixtures.formats import Stored, card, json_file, safetensors_file
from model_fixtures.parts import encoder_tensors, folder, pipeline


def _only(*, keep_config: bool = True, **weights: bytes) -> Files:
    config = parts.bert()
    files = folder(config, encoder_tensors("BertModel", config), tokenizers.wordpiece(), pipeline(length=256))
    del files["model.safetensors"]
    if not keep_config:
        files = {"README.md": card("# GGUF", tags=["gguf"])}
    return {**files, **weights}


def _adapter() -> Files:
    config = {
        "base_model_name_or_path": "meta-llama/Llama-2-7b-hf",
        "bias": "none",
        "inference_mode": True,
        "lora_alpha": 64,
        "lora_dropout": 0.1,
        "peft_type": "LORA",
        "r": 32,
        "target_modules": ["q_proj", "v_proj"],
        "task_type": "FEATURE_EXTRACTION",
    }
    name = "base_model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    tensors = {name.format("A"): Stored((4, 16)), name.format("B"): Stored((16, 4))}
    return {
        "adapter_config.json": json_file(config),
        "adapter_model.safetensors": safetensors_file(tensors),
        "README.md": card("# RepLLaMA", library_name="peft"),
    }


def _colpali() -> Files:
    return {**_adapter(), **tokenizers.llama(ends=False, gemma=True), "preprocessor_config.json": b"{}"}


def _gptq() -> Files:
    config = parts.decoder(
        "qwen2", "Qwen2Model", quantization_config={"bits": 4, "quant_method": "gptq", "group_size": 128}
    )
    layer = "layers.0.self_attn.q_proj."
    tensors = {
        "embed_tokens.weight": Stored((64, 16), "F16"),
        f"{layer}qweight": Stored((2, 16), "I32"),
        f"{layer}qzeros": Stored((1, 2), "I32"),
        f"{layer}scales": Stored((1, 16), "F16"),
    }
    return folder(config, tensors, tokenizers.qwen(ends=True), pipeline(pooling="lasttoken", length=512))


OTHER_FORMATS = (
    ModelFixture(
        name="Xenova/all-MiniLM-L6-v2",
        trap="ONNX only",
        build=lambda: _only(**{"onnx/model.onnx": b"\x08\x07", "onnx/model_quantized.onnx": b"\x08\x07"}),
        answer=Refused(reasons=(Reason.UNSUPPORTED_FORMAT,), says="ONNX"),
    ),
    ModelFixture(
        name="nomic-ai/nomic-embed-text-v1.5-GGUF",
        trap="GGUF only, and no config.json",
        build=lambda: _only(
            keep_config=False, **{"nomic-embed-text-v1.5.Q4_K_M.gguf": struct.pack("<4sIQQ", b"GGUF", 3, 0, 0)}
        ),
        answer=Refused(reasons=(Reason.UNSUPPORTED_FORMAT,), says="GGUF"),
    ),
    ModelFixture(
        name="acme/tensorflow-only",
        trap="TensorFlow weights only",
        build=lambda: _only(**{"tf_model.h5": b"\x89HDF\r\n"}),
        answer=Refused(reasons=(Reason.UNSUPPORTED_FORMAT,), says="TensorFlow"),
    ),
    ModelFixture(
        name="castorini/repllama-v1-7b-lora-passage",
        trap="an adapter without its base",
        build=_adapter,
        answer=Refused(reasons=(Reason.ADAPTER_ONLY,), says="merge"),
    ),
    ModelFixture(
        name="vidore/colpali-v1.2",
        trap="an adapter of a model that reads pages as images",
        build=_colpali,
        answer=Refused(reasons=(Reason.ADAPTER_ONLY,), says="merge"),
    ),
    ModelFixture(
        name="acme/gte-qwen2-gptq",
        trap="quantised tensors need kernels of their own",
        build=_gptq,
        answer=Refused(reasons=(Reason.UNSUPPORTED_FORMAT,), says="quanti"),
    ),
)
