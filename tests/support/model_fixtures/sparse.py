"""Sparse models: token logits over the vocabulary, with or without a table that replaces the model for queries."""

from embedding_model.refusal import Reason
from embedding_model.resolved import Declared, Pooling, Task
from model_fixtures import parts, tokenizers
from model_fixtures.fixture import Answer, Files, ModelFixture, Reference, Refused, Sparse
from model_fixtures.formats import Stored, card, json_file, library_file, modules_file, safetensors_file, sentence_file
from model_fixtures.parts import encoder_tensors, folder

_SE = Reference.SPARSE_ENCODER
_PATH = "sentence_transformers.sparse_encoder.models"
_POOLING = json_file(
    {"pooling_strategy": "max", "activation_function": "relu", "word_embedding_dimension": tokenizers.VOCABULARY}
)
_WORDPIECES = len(tokenizers.wordpiece()["vocab.txt"].splitlines())  # the table has one weight for each token
_NEW_POOLING = json_file(
    {"pooling_strategy": "max", "activation_function": "log1p_relu", "embedding_dimension": _WORDPIECES}
)


def _bare() -> Files:
    config = parts.bert("BertForMaskedLM")
    return folder(config, encoder_tensors("BertForMaskedLM", config), tokenizers.wordpiece())


def _splade() -> Files:
    return {
        **_bare(),
        "modules.json": modules_file(
            f"{_PATH}.MLMTransformer", f"{_PATH}.SpladePooling", folders=("", "1_SpladePooling")
        ),
        "1_SpladePooling/config.json": _POOLING,
        "sentence_bert_config.json": sentence_file(256),
        "config_sentence_transformers.json": library_file(
            model_type="SparseEncoder", prompts={"query": "", "document": ""}, similarity_fn_name="dot"
        ),
        "README.md": card("# SPLADE", pipeline_tag="feature-extraction", tags=["splade", "sparse-encoder"]),
    }


def _distilbert(vocabulary: int) -> dict[str, object]:
    return {
        "activation": "gelu",
        "architectures": ["DistilBertForMaskedLM"],
        "attention_dropout": 0.1,
        "dim": 16,
        "dropout": 0.1,
        "hidden_dim": 24,
        "initializer_range": 0.02,
        "max_position_embeddings": 512,
        "model_type": "distilbert",
        "n_heads": 2,
        "n_layers": 2,
        "pad_token_id": 0,
        "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2,
        "sinusoidal_pos_embds": False,
        "tie_weights_": True,
        "torch_dtype": "float32",
        "vocab_size": vocabulary,
    }


def _inference_free() -> Files:
    """As opensearch's third version is published: a Router with a table for queries and a model for documents."""
    config = _distilbert(_WORDPIECES)
    tensors = encoder_tensors("DistilBertForMaskedLM", config, "dim", "hidden_dim", "n_heads", "n_layers")
    tokenizer = tokenizers.wordpiece(kind="DistilBertTokenizer")
    document = {f"document_0_MLMTransformer/{path}": data for path, data in folder(config, tensors, tokenizer).items()}
    query = {f"query_0_SparseStaticEmbedding/{path}": data for path, data in tokenizer.items()}
    types = {
        "query_0_SparseStaticEmbedding": f"{_PATH}.SparseStaticEmbedding.SparseStaticEmbedding",
        "document_0_MLMTransformer": f"{_PATH}.MLMTransformer.MLMTransformer",
        "document_1_SpladePooling": f"{_PATH}.SpladePooling.SpladePooling",
    }
    structure = {"query": list(types)[:1], "document": list(types)[1:]}
    return {
        **document,
        **query,
        "query_0_SparseStaticEmbedding/config.json": json_file({"frozen": False}),
        "query_0_SparseStaticEmbedding/model.safetensors": safetensors_file({"weight": Stored((_WORDPIECES,))}),
        "document_0_MLMTransformer/sentence_bert_config.json": sentence_file(512),
        "document_1_SpladePooling/config.json": _NEW_POOLING,
        "router_config.json": json_file(
            {
                "types": types,
                "structure": structure,
                "parameters": {"default_route": "document", "allow_empty_key": True},
            }
        ),
        "modules.json": modules_file("sentence_transformers.models.Router", folders=("",)),
        "config_sentence_transformers.json": library_file(
            model_type="SparseEncoder", prompts={"query": "", "document": ""}, similarity_fn_name="dot"
        ),
        "idf.json": json_file({"a": 1.5, "b": 2.5}),
        "README.md": card("# OpenSearch", license="apache-2.0", tags=["sparse-encoder", "asymmetric"]),
    }


def _opensearch_old() -> Files:
    return {
        **_bare(),
        "idf.json": json_file({"a": 1.5, "b": 2.5}),
        "query_token_weights.txt": b"a\t1.5\nb\t2.5\n",
        "README.md": card("# OpenSearch", license="apache-2.0", tags=["opensearch", "neural-sparse"]),
    }


def _answer(
    length: int,
    *,
    architecture: str = "BertForMaskedLM",
    dimensions: int = tokenizers.VOCABULARY,
    folder: str | None = None,
    **sparse: str,
) -> Answer:
    values = {"activation": "relu", **sparse}
    return Answer(
        task=Task.SPARSE,
        architecture=architecture,
        max_input_tokens=length,
        dimensions=dimensions,
        folder=folder,
        sparse=Sparse(pooling=Pooling.MAX, **values),
    )


SPARSE = (
    ModelFixture(
        name="naver/splade-cocondenser-ensembledistil",
        trap="ends in logits over the vocabulary, not in a dense vector",
        build=_splade,
        reference=_SE,
        answer=_answer(256),
    ),
    ModelFixture(
        name="rasyosef/SPLADE-BERT-Tiny",
        variant="without sentence-transformers' files",
        trap="a masked language model may be a sparse model, or an encoder before its training",
        build=_bare,
        answer=Refused(reasons=(Reason.AMBIGUOUS_TASK,), field="task", says="sparse"),
    ),
    ModelFixture(
        name="rasyosef/SPLADE-BERT-Tiny",
        variant="declared sparse",
        trap="the spec settles it",
        build=_bare,
        declared=Declared(task=Task.SPARSE),
        answer=_answer(512),
    ),
    ModelFixture(
        name="opensearch-project/opensearch-neural-sparse-encoding-doc-v3-distill",
        trap="queries never see the model: a table of weights stands in for it",
        build=_inference_free,
        reference=_SE,
        answer=_answer(
            512,
            architecture="DistilBertForMaskedLM",
            dimensions=_WORDPIECES,
            activation="log1p_relu",
            folder="document_0_MLMTransformer",
            query_weights="query_0_SparseStaticEmbedding/model.safetensors",
        ),
    ),
    ModelFixture(
        name="opensearch-project/opensearch-neural-sparse-encoding-doc-v1",
        trap="a masked language model with a query table that no module names",
        build=_opensearch_old,
        answer=Refused(reasons=(Reason.AMBIGUOUS_TASK,), field="task"),
    ),
    ModelFixture(
        name="naver/splade-cocondenser-ensembledistil",
        variant="declared an embedder",
        trap="the modules say sparse, the spec says embedding",
        build=_splade,
        declared=Declared(task=Task.EMBEDDING),
        answer=Refused(reasons=(Reason.TASK_MISMATCH,), field="task"),
    ),
)
