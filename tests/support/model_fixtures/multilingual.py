"""Embedders with XLM-R's tokenizer or body, and others for more than English."""

from embedding_model.resolved import Pooling
from model_fixtures import parts, tokenizers
from model_fixtures.fixture import UNSTATED, Files, ModelFixture, Reference
from model_fixtures.formats import (
    card,
    dense_files,
    library_file,
    pooling_file,
)
from model_fixtures.parts import WIDTH, encoder_tensors, folder, pipeline

_ST = Reference.SENTENCE_TRANSFORMER


_SIMILARITY = card(pipeline_tag="sentence-similarity", license="apache-2.0", library_name="sentence-transformers")


_E5 = {"query": "query: ", "document": "passage: "}


def _xlmr(*, positions: int = 514, length: int | None = 512, settings: float | None = 512, **pipe: object) -> Files:
    config = parts.roberta("XLMRobertaModel", kind="xlm-roberta", positions=positions, output_past=True)
    return folder(
        config,
        encoder_tensors("XLMRobertaModel", config),
        tokenizers.sentencepiece(length=settings),
        pipeline(length=length, **pipe),  # type: ignore[arg-type]
    )


def _multilingual_e5_small() -> Files:
    config = parts.bert(tokenizer_class="XLMRobertaTokenizer", pad_token_id=0)
    return folder(
        config,
        encoder_tensors("BertModel", config),
        tokenizers.sentencepiece(),
        pipeline(length=512, readme=card("# multilingual-e5", license="mit", tags=["mteb", "sentence-similarity"])),
    )


def bge_m3() -> Files:
    return {
        **_xlmr(positions=8194, length=8192, settings=8192, pooling="cls_token"),
        "sparse_linear.pt": b"PK\x03\x04",
        "colbert_linear.pt": b"PK\x03\x04",
        "onnx/model.onnx": b"\x08\x07",
    }


def _distiluse() -> Files:
    config = {
        "activation": "gelu",
        "architectures": ["DistilBertModel"],
        "attention_dropout": 0.1,
        "dim": WIDTH,
        "dropout": 0.1,
        "hidden_dim": 24,
        "initializer_range": 0.02,
        "max_position_embeddings": 512,
        "model_type": "distilbert",
        "n_heads": 2,
        "n_layers": 2,
        "output_hidden_states": True,
        "output_past": True,
        "pad_token_id": 0,
        "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2,
        "sinusoidal_pos_embds": False,
        "tie_weights_": True,
        "vocab_size": tokenizers.VOCABULARY,
    }
    tensors = encoder_tensors("DistilBertModel", config, "dim", "hidden_dim", "n_heads", "n_layers")
    return folder(
        config,
        tensors,
        tokenizers.wordpiece(kind="DistilBertTokenizer", lowercase=False),
        pipeline(length=128, types=("Transformer", "Pooling", "Dense"), readme=_SIMILARITY),
        dense_files("2_Dense", width=WIDTH, out=12, activation="torch.nn.modules.activation.Tanh"),
    )


def _labse() -> Files:
    config = parts.bert(directionality="bidi", pooler_fc_size=16, pooler_type="first_token_transform")
    return folder(
        config,
        encoder_tensors("BertModel", config),
        tokenizers.wordpiece(lowercase=False),
        pipeline(pooling="cls_token", length=256, types=("Transformer", "Pooling", "Dense", "Normalize")),
        dense_files("2_Dense", width=WIDTH, out=WIDTH, activation="torch.nn.modules.activation.Tanh"),
    )


def _rubert_tiny() -> Files:
    config = parts.bert("BertForPreTraining", positions=2048, emb_size=16, gradient_checkpointing=False)
    return folder(
        config,
        encoder_tensors("BertForPreTraining", config),
        tokenizers.wordpiece(lowercase=False, length=2048),
        pipeline(pooling="cls_token", length=2048),
    )


def _camembert() -> Files:
    config = parts.roberta("CamembertModel", kind="camembert")
    return folder(
        config,
        encoder_tensors("CamembertModel", config),
        tokenizers.sentencepiece(kind="CamembertTokenizer"),
        pipeline(length=128, types=("Transformer", "Pooling")),
    )


def _arctic_l_v2() -> Files:
    config = parts.roberta("XLMRobertaModel", kind="xlm-roberta", positions=8194, matryoshka_dimensions=[8])
    tensors = encoder_tensors("XLMRobertaModel", config)
    return folder(
        config,
        tensors,
        tokenizers.sentencepiece(length=8192),
        pipeline(
            length=8192,
            pooling=pooling_file(WIDTH, "cls_token", include_prompt=True),
            library=library_file(prompts={"query": "query: "}, similarity_fn_name="cosine"),
        ),
    )


MULTILINGUAL = (
    ModelFixture(
        name="intfloat/multilingual-e5-small",
        trap="BERT's tensors with XLM-R's tokenizer",
        build=_multilingual_e5_small,
        reference=_ST,
        answer=parts.embedding("BertModel", 512, Pooling.MEAN, prompts=_E5, has_card_prompts=True),
    ),
    ModelFixture(
        name="intfloat/multilingual-e5-large-instruct",
        trap="514 positions hold 512 tokens; the instruction belongs to the task, so no fixed prompt is right",
        build=_xlmr,
        reference=_ST,
        answer=parts.embedding("XLMRobertaModel", 512, Pooling.MEAN, prompts=UNSTATED),
    ),
    ModelFixture(
        name="sentence-transformers/paraphrase-multilingual-mpnet-base-v2",
        trap="no length of its own: XLM-R's 514 positions decide, two fewer than the tensor has rows",
        build=lambda: _xlmr(length=None, settings=1e30, types=("Transformer", "Pooling")),
        variant="without lengths",
        answer=parts.embedding("XLMRobertaModel", 512, Pooling.MEAN, normalize=False),
    ),
    ModelFixture(
        name="BAAI/bge-m3",
        variant="with safetensors",
        trap="two more heads lie beside the weights as pickles; what is served is the dense vector",
        build=bge_m3,
        reference=_ST,
        answer=parts.embedding("XLMRobertaModel", 8192, Pooling.CLS),
    ),
    ModelFixture(
        name="sentence-transformers/distiluse-base-multilingual-cased-v1",
        trap="a Dense layer with tanh after pooling: without it width and direction are wrong",
        build=_distiluse,
        reference=_ST,
        answer=parts.embedding(
            "DistilBertModel", 128, Pooling.MEAN, normalize=False, dimensions=12, modules=(("Dense", WIDTH, 12),)
        ),
    ),
    ModelFixture(
        name="sentence-transformers/LaBSE",
        trap="Dense between pooling and normalisation",
        build=_labse,
        reference=_ST,
        answer=parts.embedding("BertModel", 256, Pooling.CLS, modules=(("Dense", WIDTH, WIDTH),)),
    ),
    ModelFixture(
        name="cointegrated/rubert-tiny2",
        trap="BertForPreTraining with its heads, used as an embedder; 2048 positions",
        build=_rubert_tiny,
        reference=_ST,
        answer=parts.embedding("BertModel", 2048, Pooling.CLS),
    ),
    ModelFixture(
        name="dangvantuan/sentence-camembert-base",
        trap="CamemBERT is RoBERTa with SentencePiece",
        build=_camembert,
        reference=_ST,
        answer=parts.embedding("CamembertModel", 128, Pooling.MEAN, normalize=False),
    ),
    ModelFixture(
        name="Snowflake/snowflake-arctic-embed-l-v2.0",
        trap="8194 positions hold 8192 tokens; Matryoshka",
        build=_arctic_l_v2,
        reference=_ST,
        answer=parts.embedding("XLMRobertaModel", 8192, Pooling.CLS, prompts={"query": "query: "}, matryoshka=(8,)),
    ),
)
