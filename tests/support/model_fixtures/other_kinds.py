"""Models that give something else than one vector for a text: many vectors, images, tables."""

from embedding_model.refusal import Reason
from model_fixtures import parts, tokenizers
from model_fixtures.fixture import Files, ModelFixture, Refused
from model_fixtures.formats import (
    Stored,
    card,
    dense_files,
    json_file,
    library_file,
    modules_file,
    safetensors_file,
)
from model_fixtures.parts import WIDTH, encoder_tensors, folder
from model_fixtures.weights import linear


def _colbert() -> Files:
    config = parts.bert("HF_ColBERT")
    plain = encoder_tensors("BertModel", config)
    tensors = {f"bert.{name}": tensor for name, tensor in plain.items()} | linear("linear", 8, WIDTH, bias=False)
    return folder(config, tensors, tokenizers.wordpiece(), {"artifact.metadata": b"{}"})


def _modern_colbert() -> Files:
    config = parts.modernbert("ModernBertModel")
    keys = ("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")
    return folder(
        config,
        encoder_tensors("ModernBertModel", config, *keys),
        tokenizers.modernbert(),
        dense_files("1_Dense", width=WIDTH, out=8, activation="torch.nn.modules.linear.Identity", bias=False),
        {
            "modules.json": modules_file("Transformer", "pylate.models.Dense.Dense", folders=("", "1_Dense")),
            "sentence_bert_config.json": json_file({"max_seq_length": 299, "do_lower_case": False}),
            "config_sentence_transformers.json": json_file(
                {
                    "__version__": {"PyLate": "1.1.7"},
                    "prompts": {},
                    "similarity_fn_name": "MaxSim",
                    "query_prefix": "[Q] ",
                    "document_prefix": "[D] ",
                    "query_length": 32,
                    "document_length": 300,
                }
            ),
        },
    )


def _clip() -> Files:
    config = {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": 16,
        "text_config": {"hidden_size": 16},
        "vision_config": {"hidden_size": 16},
    }
    inside = folder(config, linear("text_projection", 16, 16), tokenizers.roberta(kind="CLIPTokenizer"))
    return {
        **{f"0_CLIPModel/{path}": data for path, data in inside.items()},
        "modules.json": modules_file("CLIPModel", folders=("0_CLIPModel",)),
        "config_sentence_transformers.json": library_file(),
    }


def _static() -> Files:
    return {
        "0_StaticEmbedding/model.safetensors": safetensors_file(
            {"embedding.weight": Stored((tokenizers.VOCABULARY, WIDTH))}
        ),
        "0_StaticEmbedding/tokenizer.json": tokenizers.wordpiece()["tokenizer.json"],
        "modules.json": modules_file("StaticEmbedding", folders=("0_StaticEmbedding",)),
        "config_sentence_transformers.json": library_file(prompts={}),
        "README.md": card("# Static", pipeline_tag="sentence-similarity"),
    }


OTHER_KINDS = (
    ModelFixture(
        name="colbert-ir/colbertv2.0",
        trap="one vector per token: a linear layer that no class of transformers has",
        build=_colbert,
        answer=Refused(
            reasons=(Reason.UNEXPECTED_WEIGHTS, Reason.NOT_AN_EMBEDDING_MODEL, Reason.UNSUPPORTED_ARCHITECTURE)
        ),
    ),
    ModelFixture(
        name="lightonai/GTE-ModernColBERT-v1",
        trap="modules of another library",
        build=_modern_colbert,
        answer=Refused(reasons=(Reason.REMOTE_CODE_REQUIRED, Reason.NOT_AN_EMBEDDING_MODEL)),
    ),
    ModelFixture(
        name="sentence-transformers/clip-ViT-B-32",
        trap="text and images",
        build=_clip,
        answer=Refused(reasons=(Reason.NOT_AN_EMBEDDING_MODEL, Reason.UNSUPPORTED_ARCHITECTURE), says="image"),
    ),
    ModelFixture(
        name="sentence-transformers/static-retrieval-mrl-en-v1",
        trap="a table of vectors, no transformer",
        build=_static,
        answer=Refused(reasons=(Reason.UNSUPPORTED_ARCHITECTURE,), says="StaticEmbedding"),
    ),
)
