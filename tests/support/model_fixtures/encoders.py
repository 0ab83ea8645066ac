"""Embedders for English on encoders that transformers has."""

from embedding_model.resolved import Pooling, Side
from model_fixtures import parts, tokenizers
from model_fixtures.fixture import Files, ModelFixture, Reference
from model_fixtures.formats import (
    card,
    library_file,
    pooling_file,
)
from model_fixtures.parts import WIDTH, encoder_tensors, folder, pipeline
from model_fixtures.weights import with_position_ids

_ST = Reference.SENTENCE_TRANSFORMER


_SIMILARITY = card(pipeline_tag="sentence-similarity", license="apache-2.0", library_name="sentence-transformers")


_E5 = {"query": "query: ", "document": "passage: "}


_BGE = {"query": "Represent this sentence for searching relevant passages: "}


def _minilm() -> Files:
    config = parts.bert(gradient_checkpointing=False)
    tensors = with_position_ids(encoder_tensors("BertModel", config), positions=512)
    return folder(
        config,
        tensors,
        tokenizers.wordpiece(truncation=128),
        pipeline(length=256, readme=_SIMILARITY),
        {"data_config.json": b"[]", "train_script.py": b"import torch\n", "pytorch_model.bin": b"\x80\x02}q\x00."},
    )


def _mpnet() -> Files:
    config = parts.bert(
        "MPNetForMaskedLM",
        positions=514,
        model_type="mpnet",
        relative_attention_num_buckets=32,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        layer_norm_eps=1e-05,
    )
    del config["type_vocab_size"], config["position_embedding_type"]
    tokenizer = tokenizers.wordpiece(kind="MPNetTokenizer", mpnet=True, truncation=128)
    tensors = encoder_tensors("MPNetModel", config, "relative_attention_num_buckets")
    return folder(config, tensors, tokenizer, pipeline(length=384, readme=_SIMILARITY))


def _distilroberta() -> Files:
    config = parts.roberta("RobertaForMaskedLM")
    tensors = with_position_ids(encoder_tensors("RobertaModel", config), positions=514)
    return folder(config, tensors, tokenizers.roberta(), pipeline(length=512, readme=_SIMILARITY))


def _granite() -> Files:
    config = parts.roberta("RobertaModel", classifier_dropout=None)
    return folder(
        config, encoder_tensors("RobertaModel", config), tokenizers.roberta(), pipeline(pooling="cls_token", length=512)
    )


def _bge() -> Files:
    config = parts.bert(**parts.labels("LABEL_0"))
    tensors = with_position_ids(encoder_tensors("BertModel", parts.bert()), positions=512)
    readme = card("# bge", language=["en"], license="mit", pipeline_tag="feature-extraction")
    return folder(
        config,
        tensors,
        tokenizers.wordpiece(),
        pipeline(pooling="cls_token", length=512, lowercase=True, readme=readme),
        {"onnx/model.onnx": b"\x08\x07", "pytorch_model.bin": b"\x80\x02}q\x00."},
    )


def _arctic() -> Files:
    config = parts.bert(matryoshka_dimensions=[8])
    return folder(
        config,
        encoder_tensors("BertModel", parts.bert()),
        tokenizers.wordpiece(),
        pipeline(
            pooling=pooling_file(WIDTH, "cls_token", include_prompt=True),
            library=library_file(prompts=_BGE),
            readme=_SIMILARITY,
        ),
    )


def _mxbai() -> Files:
    config = parts.bert()
    prompts = {**_BGE, "passage": ""}
    return folder(
        config,
        encoder_tensors("BertModel", config),
        tokenizers.wordpiece(),
        pipeline(
            pooling=pooling_file(WIDTH, "cls_token", include_prompt=True),
            types=("Transformer", "Pooling"),
            library=library_file(prompts=prompts),
        ),
    )


def _modernbert(*, pooling: str, prompts: dict[str, str] | None, normalize: bool, length: int = 8192) -> Files:
    config = parts.modernbert("ModernBertModel")
    types = ("Transformer", "Pooling", "Normalize") if normalize else ("Transformer", "Pooling")
    tensors = encoder_tensors("ModernBertModel", config, *_MODERN)
    return folder(
        config,
        tensors,
        tokenizers.modernbert(length=length),
        pipeline(
            length=8192,
            types=types,
            pooling=pooling_file(WIDTH, pooling, include_prompt=True),
            library=library_file(prompts=prompts or {}, similarity_fn_name="cosine"),
        ),
    )


_MODERN = ("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "classifier_pooling")


def _eurobert() -> Files:
    remote = {
        name: f"modeling_eurobert.EuroBert{tail}"
        for name, tail in (("AutoModel", "Model"), ("AutoModelForMaskedLM", "ForMaskedLM"))
    }
    config = parts.decoder(
        "eurobert",
        "EuroBertModel",
        positions=8192,
        num_key_value_heads=2,
        pad_token_id=2,
        mask_token_id=3,
        rope_theta=250000,
        tie_word_embeddings=False,
        attention_bias=False,
        mlp_bias=False,
        head_dim=8,
        clf_pooling="late",
        bos_token="<|begin_of_text|>",
        eos_token="<|end_of_text|>",
        pretraining_tp=1,
        auto_map={"AutoConfig": "configuration_eurobert.EuroBertConfig", **remote},
    )
    tensors = encoder_tensors(
        "EuroBertModel", config, "num_key_value_heads", "bos_token_id", "eos_token_id", "mask_token_id", "head_dim"
    )
    return folder(
        config,
        tensors,
        tokenizers.modernbert(),
        pipeline(length=512, new=True),
        {"modeling_eurobert.py": b"class EuroBertModel: ...\n", "configuration_eurobert.py": b"\n"},
    )


def _albert() -> Files:
    config = parts.bert(
        "AlbertModel",
        model_type="albert",
        embedding_size=12,
        inner_group_num=1,
        num_hidden_groups=1,
        hidden_act="gelu_new",
        bos_token_id=2,
        eos_token_id=3,
    )
    return folder(
        config,
        encoder_tensors("AlbertModel", config, "embedding_size"),
        tokenizers.deberta(tokenizer_class="PreTrainedTokenizerFast", length=100),
        pipeline(length=100, types=("Transformer", "Pooling")),
    )


ENCODERS = (
    ModelFixture(
        name="sentence-transformers/all-MiniLM-L6-v2",
        trap="three lengths: 512 positions, 256 in sentence_bert_config, 128 in tokenizer.json; 2_Normalize is absent",
        build=_minilm,
        reference=_ST,
        answer=parts.embedding("BertModel", 256, Pooling.MEAN, padding_side=Side.RIGHT),
    ),
    ModelFixture(
        name="sentence-transformers/all-mpnet-base-v2",
        trap="config.json names MPNetForMaskedLM, the weights are the body alone; positions begin at 2",
        build=_mpnet,
        reference=_ST,
        answer=parts.embedding("MPNetModel", 384, Pooling.MEAN),
    ),
    ModelFixture(
        name="sentence-transformers/all-distilroberta-v1",
        trap="RoBERTa's 514 positions hold 512 tokens",
        build=_distilroberta,
        reference=_ST,
        answer=parts.embedding("RobertaModel", 512, Pooling.MEAN),
    ),
    ModelFixture(
        name="ibm-granite/granite-embedding-30m-english",
        trap="RoBERTa with the first token, not the mean",
        build=_granite,
        reference=_ST,
        answer=parts.embedding("RobertaModel", 512, Pooling.CLS),
    ),
    ModelFixture(
        name="BAAI/bge-small-en-v1.5",
        trap="the first token, not the mean; the query prompt is only in the card; one label in config.json, no head",
        build=_bge,
        reference=_ST,
        answer=parts.embedding(
            "BertModel",
            512,
            Pooling.CLS,
            lowercase=True,
            prompts=_BGE,
            has_card_prompts=True,
            evidence=(("prompts", "card"),),
        ),
    ),
    ModelFixture(
        name="intfloat/e5-base-v2",
        trap="its prompts are only in the card; without them retrieval is much worse",
        build=lambda: parts.bert_embedder(length=512, readme=card("# E5", license="mit", tags=["sentence-similarity"])),
        reference=_ST,
        answer=parts.embedding(
            "BertModel", 512, Pooling.MEAN, prompts=_E5, has_card_prompts=True, evidence=(("prompts", "card"),)
        ),
    ),
    ModelFixture(
        name="intfloat/e5-base-v2",
        variant="as a folder without its name",
        trap="nothing in the folder names the model, so no prompts are taken from anywhere",
        build=lambda: parts.bert_embedder(length=512),
        in_folder=True,
        reference=_ST,
        answer=parts.embedding("BertModel", 512, Pooling.MEAN),
    ),
    ModelFixture(
        name="Snowflake/snowflake-arctic-embed-m-v1.5",
        trap="a prompt for queries only, and Matryoshka sizes",
        build=_arctic,
        reference=_ST,
        answer=parts.embedding("BertModel", 512, Pooling.CLS, prompts=_BGE, matryoshka=(8,)),
    ),
    ModelFixture(
        name="mixedbread-ai/mxbai-embed-large-v1",
        trap="an empty prompt for passages counts; nothing normalises",
        build=_mxbai,
        reference=_ST,
        answer=parts.embedding("BertModel", 512, Pooling.CLS, normalize=False, prompts={**_BGE, "passage": ""}),
    ),
    ModelFixture(
        name="nomic-ai/modernbert-embed-base",
        trap="no position tensor: the length is in the config",
        build=lambda: _modernbert(
            pooling="mean_tokens", normalize=True, prompts={"query": "search_query: ", "document": "search_document: "}
        ),
        reference=_ST,
        answer=parts.embedding(
            "ModernBertModel", 8192, Pooling.MEAN, prompts={"query": "search_query: ", "document": "search_document: "}
        ),
    ),
    ModelFixture(
        name="Alibaba-NLP/gte-modernbert-base",
        trap="the first token although config.json has classifier_pooling mean; nothing normalises",
        build=lambda: _modernbert(pooling="cls_token", normalize=False, prompts=None),
        reference=_ST,
        answer=parts.embedding("ModernBertModel", 8192, Pooling.CLS, normalize=False),
    ),
    ModelFixture(
        name="EuroBERT/EuroBERT-210m",
        variant="tuned as an embedder",
        trap="auto_map names code of its own, but transformers has the class and every tensor fits",
        build=_eurobert,
        reference=_ST,
        answer=parts.embedding("EuroBertModel", 512, Pooling.MEAN, evidence=(("architecture", "auto_map"),)),
    ),
    ModelFixture(
        name="sentence-transformers/paraphrase-albert-small-v2",
        trap="one layer's tensors serve all layers",
        build=_albert,
        reference=_ST,
        answer=parts.embedding("AlbertModel", 100, Pooling.MEAN, normalize=False),
    ),
)
