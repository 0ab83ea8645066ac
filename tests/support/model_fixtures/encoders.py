"""Dense embedders on encoders that transformers has."""

from embedding_model.refusal import Reason
from embedding_model.resolved import Declared, Pooling, Side, Task
from model_fixtures import parts, tokenizers
from model_fixtures.fixture import UNSTATED, Answer, Files, ModelFixture, Reference, Refused
from model_fixtures.formats import (
    Stored,
    Tensors,
    card,
    dense_files,
    json_file,
    library_file,
    modules_file,
    new_pooling_file,
    pooling_file,
)
from model_fixtures.parts import WIDTH, encoder_tensors, folder, pipeline
from model_fixtures.weights import with_position_ids

_ST = Reference.SENTENCE_TRANSFORMER
_SIMILARITY = card(pipeline_tag="sentence-similarity", license="apache-2.0", library_name="sentence-transformers")
_E5 = {"query": "query: ", "document": "passage: "}
_BGE = {"query": "Represent this sentence for searching relevant passages: "}


def _bert(**pipe: object) -> Files:
    config = parts.bert()
    return folder(config, encoder_tensors("BertModel", config), tokenizers.wordpiece(), pipeline(**pipe))  # type: ignore[arg-type]


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


def _bge_m3() -> Files:
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


def _instructor_like() -> Files:
    return _bert(
        pooling=pooling_file(WIDTH, "mean_tokens", include_prompt=False),
        library=library_file(prompts={"query": "Represent the question: "}, default="query"),
    )


def _new_style() -> Files:
    config = parts.bert(transformers_version="5.2.0", dtype="float32")
    del config["torch_dtype"], config["position_embedding_type"], config["gradient_checkpointing"]
    modality = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
    return folder(
        config,
        encoder_tensors("BertModel", config),
        tokenizers.wordpiece(vocab_txt=False),
        pipeline(new=True, length="absent", pooling=new_pooling_file(WIDTH, "lasttoken")),
        {
            "sentence_bert_config.json": json_file(
                {
                    "transformer_task": "feature-extraction",
                    "modality_config": modality,
                    "module_output_name": "token_embeddings",
                }
            ),
            "config_sentence_transformers.json": library_file(
                prompts={"query": "", "document": ""}, model_type="SentenceTransformer", similarity_fn_name="cosine"
            ),
        },
    )


def _absurd(*, sentence: int | None, settings: float) -> Files:
    config = parts.bert()
    return folder(
        config,
        encoder_tensors("BertModel", config),
        tokenizers.wordpiece(length=settings, truncation=64),
        pipeline(length=sentence),
    )


def _own_folder() -> Files:
    """Versions before 1.0 put the transformer into a folder of its own."""
    root = _bert(length=128)
    inside = (
        "config.json",
        "model.safetensors",
        "sentence_bert_config.json",
        "vocab.txt",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    )
    moved = {f"0_Transformer/{path}" if path in inside else path: data for path, data in root.items()}
    return {**moved, "modules.json": modules_file("Transformer", "Pooling", folders=("0_Transformer", "1_Pooling"))}


def _max_pooling() -> Files:
    return _bert(pooling=pooling_file(WIDTH, "max_tokens"), types=("Transformer", "Pooling"), length=128)


def _gte_zh(**extra: bytes) -> Files:
    config = parts.bert()
    return {
        **folder(config, encoder_tensors("BertModel", config), tokenizers.wordpiece(), pipeline(pooling="cls_token")),
        **extra,
    }


def _without_weights() -> Files:
    files = dict(_gte_zh())
    files["pytorch_model.bin"] = b"PK\x03\x04" + files.pop("model.safetensors")
    return files


def _electra() -> Files:
    config = parts.bert("ElectraModel", model_type="electra", embedding_size=12, summary_type="first")
    return folder(
        config,
        encoder_tensors("ElectraModel", config, "embedding_size"),
        tokenizers.wordpiece(kind="ElectraTokenizer"),
        pipeline(length=128, types=("Transformer", "Pooling")),
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


def _embedding(architecture: str, length: int, pooling: Pooling, **more: object) -> Answer:
    values = {"dimensions": WIDTH, "normalize": True, "prompts": {}, **more}
    return Answer(
        task=Task.EMBEDDING,
        architecture=architecture,
        max_input_tokens=length,
        pooling=pooling,
        **values,  # type: ignore[arg-type]
    )


ENCODERS = (
    ModelFixture(
        name="sentence-transformers/all-MiniLM-L6-v2",
        trap="three lengths: 512 positions, 256 in sentence_bert_config, 128 in tokenizer.json; 2_Normalize is absent",
        build=_minilm,
        reference=_ST,
        answer=_embedding("BertModel", 256, Pooling.MEAN, padding_side=Side.RIGHT),
    ),
    ModelFixture(
        name="sentence-transformers/all-mpnet-base-v2",
        trap="config.json names MPNetForMaskedLM, the weights are the body alone; positions begin at 2",
        build=_mpnet,
        reference=_ST,
        answer=_embedding("MPNetModel", 384, Pooling.MEAN),
    ),
    ModelFixture(
        name="sentence-transformers/all-distilroberta-v1",
        trap="RoBERTa's 514 positions hold 512 tokens",
        build=_distilroberta,
        reference=_ST,
        answer=_embedding("RobertaModel", 512, Pooling.MEAN),
    ),
    ModelFixture(
        name="ibm-granite/granite-embedding-30m-english",
        trap="RoBERTa with the first token, not the mean",
        build=_granite,
        reference=_ST,
        answer=_embedding("RobertaModel", 512, Pooling.CLS),
    ),
    ModelFixture(
        name="BAAI/bge-small-en-v1.5",
        trap="the first token, not the mean; the query prompt is only in the card; one label in config.json, no head",
        build=_bge,
        reference=_ST,
        answer=_embedding("BertModel", 512, Pooling.CLS, lowercase=True, prompts=_BGE, evidence=(("prompts", "card"),)),
    ),
    ModelFixture(
        name="intfloat/e5-base-v2",
        trap="its prompts are only in the card; without them retrieval is much worse",
        build=lambda: _bert(length=512, readme=card("# E5", license="mit", tags=["sentence-similarity"])),
        reference=_ST,
        answer=_embedding("BertModel", 512, Pooling.MEAN, prompts=_E5, evidence=(("prompts", "card"),)),
    ),
    ModelFixture(
        name="intfloat/e5-base-v2",
        variant="as a folder without its name",
        trap="nothing in the folder names the model, so no prompts are taken from anywhere",
        build=lambda: _bert(length=512),
        in_folder=True,
        reference=_ST,
        answer=_embedding("BertModel", 512, Pooling.MEAN),
    ),
    ModelFixture(
        name="intfloat/multilingual-e5-small",
        trap="BERT's tensors with XLM-R's tokenizer",
        build=_multilingual_e5_small,
        reference=_ST,
        answer=_embedding("BertModel", 512, Pooling.MEAN, prompts=_E5),
    ),
    ModelFixture(
        name="intfloat/multilingual-e5-large-instruct",
        trap="514 positions hold 512 tokens; the instruction belongs to the task, so no fixed prompt is right",
        build=_xlmr,
        reference=_ST,
        answer=_embedding("XLMRobertaModel", 512, Pooling.MEAN, prompts=UNSTATED),
    ),
    ModelFixture(
        name="sentence-transformers/paraphrase-multilingual-mpnet-base-v2",
        trap="no length of its own: XLM-R's 514 positions decide, two fewer than the tensor has rows",
        build=lambda: _xlmr(length=None, settings=1e30, types=("Transformer", "Pooling")),
        variant="without lengths",
        answer=_embedding("XLMRobertaModel", 512, Pooling.MEAN, normalize=False),
    ),
    ModelFixture(
        name="BAAI/bge-m3",
        variant="with safetensors",
        trap="two more heads lie beside the weights as pickles; what is served is the dense vector",
        build=_bge_m3,
        reference=_ST,
        answer=_embedding("XLMRobertaModel", 8192, Pooling.CLS),
    ),
    ModelFixture(
        name="sentence-transformers/distiluse-base-multilingual-cased-v1",
        trap="a Dense layer with tanh after pooling: without it width and direction are wrong",
        build=_distiluse,
        reference=_ST,
        answer=_embedding(
            "DistilBertModel", 128, Pooling.MEAN, normalize=False, dimensions=12, modules=(("Dense", WIDTH, 12),)
        ),
    ),
    ModelFixture(
        name="sentence-transformers/LaBSE",
        trap="Dense between pooling and normalisation",
        build=_labse,
        reference=_ST,
        answer=_embedding("BertModel", 256, Pooling.CLS, modules=(("Dense", WIDTH, WIDTH),)),
    ),
    ModelFixture(
        name="cointegrated/rubert-tiny2",
        trap="BertForPreTraining with its heads, used as an embedder; 2048 positions",
        build=_rubert_tiny,
        reference=_ST,
        answer=_embedding("BertModel", 2048, Pooling.CLS),
    ),
    ModelFixture(
        name="dangvantuan/sentence-camembert-base",
        trap="CamemBERT is RoBERTa with SentencePiece",
        build=_camembert,
        reference=_ST,
        answer=_embedding("CamembertModel", 128, Pooling.MEAN, normalize=False),
    ),
    ModelFixture(
        name="Snowflake/snowflake-arctic-embed-m-v1.5",
        trap="a prompt for queries only, and Matryoshka sizes",
        build=_arctic,
        reference=_ST,
        answer=_embedding("BertModel", 512, Pooling.CLS, prompts=_BGE, matryoshka=(8,)),
    ),
    ModelFixture(
        name="Snowflake/snowflake-arctic-embed-l-v2.0",
        trap="8194 positions hold 8192 tokens; Matryoshka",
        build=_arctic_l_v2,
        reference=_ST,
        answer=_embedding("XLMRobertaModel", 8192, Pooling.CLS, prompts={"query": "query: "}, matryoshka=(8,)),
    ),
    ModelFixture(
        name="mixedbread-ai/mxbai-embed-large-v1",
        trap="an empty prompt for passages counts; nothing normalises",
        build=_mxbai,
        reference=_ST,
        answer=_embedding("BertModel", 512, Pooling.CLS, normalize=False, prompts={**_BGE, "passage": ""}),
    ),
    ModelFixture(
        name="nomic-ai/modernbert-embed-base",
        trap="no position tensor: the length is in the config",
        build=lambda: _modernbert(
            pooling="mean_tokens", normalize=True, prompts={"query": "search_query: ", "document": "search_document: "}
        ),
        reference=_ST,
        answer=_embedding(
            "ModernBertModel", 8192, Pooling.MEAN, prompts={"query": "search_query: ", "document": "search_document: "}
        ),
    ),
    ModelFixture(
        name="Alibaba-NLP/gte-modernbert-base",
        trap="the first token although config.json has classifier_pooling mean; nothing normalises",
        build=lambda: _modernbert(pooling="cls_token", normalize=False, prompts=None),
        reference=_ST,
        answer=_embedding("ModernBertModel", 8192, Pooling.CLS, normalize=False),
    ),
    ModelFixture(
        name="EuroBERT/EuroBERT-210m",
        variant="tuned as an embedder",
        trap="auto_map names code of its own, but transformers has the class and every tensor fits",
        build=_eurobert,
        reference=_ST,
        answer=_embedding("EuroBertModel", 512, Pooling.MEAN, evidence=(("architecture", "auto_map"),)),
    ),
    ModelFixture(
        name="hkunlp/instructor-base",
        variant="INSTRUCTOR's pooling on BERT",
        trap="include_prompt false: the prompt's tokens stay out of the mean",
        build=_instructor_like,
        reference=_ST,
        answer=_embedding(
            "BertModel",
            512,
            Pooling.MEAN,
            include_prompt=False,
            default_prompt="query",
            prompts={"query": "Represent the question: "},
        ),
    ),
    ModelFixture(
        name="sentence-transformers/all-MiniLM-L6-v2",
        variant="saved again by sentence-transformers 6",
        trap="new class paths, pooling as a word, no length in sentence_bert_config",
        build=_new_style,
        reference=_ST,
        answer=_embedding("BertModel", 512, Pooling.LAST_TOKEN, prompts={"query": "", "document": ""}),
    ),
    ModelFixture(
        name="sentence-transformers/all-MiniLM-L6-v2",
        variant="absurd lengths",
        trap="1e30 in tokenizer_config and null in sentence_bert_config are no lengths, nor is tokenizer.json's 64",
        build=lambda: _absurd(sentence=None, settings=tokenizers.unlimited()),
        reference=_ST,
        answer=_embedding("BertModel", 512, Pooling.MEAN),
    ),
    ModelFixture(
        name="sentence-transformers/all-MiniLM-L6-v2",
        variant="a length of -1",
        trap="-1 in sentence_bert_config is no length",
        build=lambda: _absurd(sentence=-1, settings=256),
        answer=_embedding("BertModel", 256, Pooling.MEAN),
    ),
    ModelFixture(
        name="sentence-transformers/all-MiniLM-L6-v2",
        variant="a length beyond the positions",
        trap="8192 in sentence_bert_config where the weights have 512 positions: a longer input would crash",
        build=lambda: _absurd(sentence=8192, settings=8192),
        answer=_embedding("BertModel", 512, Pooling.MEAN),
    ),
    ModelFixture(
        name="sentence-transformers/bert-base-nli-mean-tokens",
        trap="the transformer lies in 0_Transformer",
        build=_own_folder,
        reference=_ST,
        answer=_embedding("BertModel", 128, Pooling.MEAN, normalize=False, folder="0_Transformer"),
    ),
    ModelFixture(
        name="sentence-transformers/nli-bert-base-max-pooling",
        trap="max pooling, which others take for the mean",
        build=_max_pooling,
        reference=_ST,
        answer=_embedding("BertModel", 128, Pooling.MAX, normalize=False),
    ),
    ModelFixture(
        name="Muennighoff/SGPT-125M-weightedmean-nli",
        variant="its pooling on BERT",
        trap="a mean weighted by position",
        build=lambda: _bert(
            pooling=pooling_file(WIDTH, "weightedmean_tokens", include_prompt=True),
            types=("Transformer", "Pooling"),
            length=128,
        ),
        reference=_ST,
        answer=_embedding("BertModel", 128, Pooling.WEIGHTED_MEAN, normalize=False),
    ),
    ModelFixture(
        name="sentence-transformers/stsb-bert-base",
        variant="two poolings at once",
        trap="cls and mean side by side make a vector twice as wide",
        build=lambda: _bert(
            pooling=json_file(
                {
                    "word_embedding_dimension": WIDTH,
                    "pooling_mode_cls_token": True,
                    "pooling_mode_mean_tokens": True,
                    "pooling_mode_max_tokens": False,
                    "pooling_mode_mean_sqrt_len_tokens": False,
                }
            )
        ),
        answer=Refused(reasons=(Reason.UNSUPPORTED_ARCHITECTURE,), says="side by side"),
    ),
    ModelFixture(
        name="thenlper/gte-base-zh",
        variant="safetensors beside an older pytorch_model.bin",
        trap="the pickle holds other numbers; only safetensors is read",
        build=lambda: _gte_zh(**{"pytorch_model.bin": b"PK\x03\x04" + bytes(400)}),
        reference=None,
        answer=_embedding("BertModel", 512, Pooling.CLS),
    ),
    ModelFixture(
        name="thenlper/gte-base-zh",
        variant="old revision, pytorch_model.bin only",
        trap="other servers load the pickle without an error, and wrong",
        build=_without_weights,
        answer=Refused(reasons=(Reason.PICKLE_ONLY,), field="model.conversion", says="conversion"),
    ),
    ModelFixture(
        name="BAAI/bge-m3",
        trap="main has pickles and ONNX only",
        build=lambda: {
            **{path: data for path, data in _bge_m3().items() if path != "model.safetensors"},
            "pytorch_model.bin": b"PK\x03\x04",
        },
        answer=Refused(reasons=(Reason.PICKLE_ONLY,), field="model.conversion", says="conversion"),
    ),
    ModelFixture(
        name="acme/product-reranker",
        trap="a folder called a reranker that is an embedder: a name proves nothing",
        build=lambda: _bert(length=256),
        reference=None,
        answer=_embedding("BertModel", 256, Pooling.MEAN),
    ),
    ModelFixture(
        name="sentence-transformers/ELECTRA-like",
        variant="ELECTRA body",
        trap="narrow embeddings, then a projection",
        build=_electra,
        reference=_ST,
        answer=_embedding("ElectraModel", 128, Pooling.MEAN, normalize=False),
    ),
    ModelFixture(
        name="sentence-transformers/paraphrase-albert-small-v2",
        trap="one layer's tensors serve all layers",
        build=_albert,
        reference=_ST,
        answer=_embedding("AlbertModel", 100, Pooling.MEAN, normalize=False),
    ),
    ModelFixture(
        name="BAAI/bge-large-zh",
        variant="asked for as a reranker",
        trap="a head would be made up at random",
        build=lambda: _bert(pooling="cls_token", length=512),
        declared=Declared(task=Task.RERANKING),
        answer=Refused(reasons=(Reason.TASK_MISMATCH,), field="task"),
    ),
    ModelFixture(
        name="google-bert/bert-base-uncased",
        trap="a language model, no embedder: nothing says how to pool",
        build=lambda: _bare_mlm(),
        answer=Refused(reasons=(Reason.AMBIGUOUS_TASK,), field="task"),
    ),
    ModelFixture(
        name="acme/bare-encoder",
        trap="an encoder without modules.json: cls and mean give different vectors",
        build=lambda: _bare(),
        answer=Refused(reasons=(Reason.AMBIGUOUS_TASK,), says="pooling"),
    ),
    ModelFixture(
        name="acme/bare-encoder",
        variant="task and pooling in the spec",
        trap="the spec settles the doubt",
        build=lambda: _bare(),
        declared=Declared(task=Task.EMBEDDING, pooling=Pooling.CLS),
        answer=_embedding("BertModel", 512, Pooling.CLS, normalize=False, prompts={}),
    ),
)


def _bare_mlm() -> Files:
    config = parts.bert("BertForMaskedLM")
    tensors = _with_old_names(encoder_tensors("BertForMaskedLM", config))
    readme = card("# BERT", language="en", license="apache-2.0", tags=["exbert"])
    return folder(config, tensors, tokenizers.wordpiece(), {"README.md": readme, "tf_model.h5": b"\x89HDF"})


def _with_old_names(tensors: Tensors) -> dict[str, Stored]:
    """As TensorFlow named the weights of a layer norm."""
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    renamed = {}
    for name, tensor in tensors.items():
        ending = next((ending for ending in old if name.endswith(ending)), "")
        renamed[name.removesuffix(ending) + old.get(ending, "")] = tensor
    return renamed


def _bare() -> Files:
    config = parts.bert()
    return folder(config, encoder_tensors("BertModel", config), tokenizers.wordpiece())
