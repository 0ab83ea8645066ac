"""The same small encoder in every layout: lengths, poolings, folders, revisions, and what is no embedder at all."""

from embedding_model.refusal import Reason
from embedding_model.resolved import Declared, Pooling, Task
from model_fixtures import parts, tokenizers
from model_fixtures.fixture import Files, ModelFixture, Reference, Refused
from model_fixtures.formats import (
    Stored,
    Tensors,
    card,
    json_file,
    library_file,
    modules_file,
    new_pooling_file,
    pooling_file,
)
from model_fixtures.multilingual import bge_m3
from model_fixtures.parts import WIDTH, encoder_tensors, folder, pipeline

_ST = Reference.SENTENCE_TRANSFORMER


def _instructor_like() -> Files:
    return parts.bert_embedder(
        pooling=pooling_file(WIDTH, "mean_tokens", include_prompt=False),
        library=library_file(prompts={"query": "Represent the question: "}, default="query"),
    )


def _old_instructor() -> Files:
    return parts.bert_embedder(pooling=pooling_file(WIDTH, "mean_tokens"))


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
    root = parts.bert_embedder(length=128)
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
    return parts.bert_embedder(pooling=pooling_file(WIDTH, "max_tokens"), types=("Transformer", "Pooling"), length=128)


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


LAYOUTS = (
    ModelFixture(
        name="hkunlp/instructor-base",
        variant="INSTRUCTOR's pooling on BERT",
        trap="include_prompt false: the prompt's tokens stay out of the mean",
        build=_instructor_like,
        reference=_ST,
        answer=parts.embedding(
            "BertModel",
            512,
            Pooling.MEAN,
            include_prompt=False,
            default_prompt="query",
            prompts={"query": "Represent the question: "},
        ),
    ),
    ModelFixture(
        name="hkunlp/instructor-large",
        variant="its Pooling file on BERT, older than include_prompt",
        trap="only its name tells that the prompt's tokens stay out of the mean",
        build=_old_instructor,
        answer=parts.embedding(
            "BertModel",
            512,
            Pooling.MEAN,
            include_prompt=False,
            evidence=(("includePrompt", "known by its name"),),
        ),
    ),
    ModelFixture(
        name="sentence-transformers/all-MiniLM-L6-v2",
        variant="saved again by sentence-transformers 6",
        trap="new class paths, pooling as a word, no length in sentence_bert_config",
        build=_new_style,
        reference=_ST,
        answer=parts.embedding("BertModel", 512, Pooling.LAST_TOKEN, prompts={"query": "", "document": ""}),
    ),
    ModelFixture(
        name="sentence-transformers/all-MiniLM-L6-v2",
        variant="absurd lengths",
        trap="1e30 in tokenizer_config and null in sentence_bert_config are no lengths, nor is tokenizer.json's 64",
        build=lambda: _absurd(sentence=None, settings=tokenizers.UNLIMITED),
        reference=_ST,
        answer=parts.embedding("BertModel", 512, Pooling.MEAN),
    ),
    ModelFixture(
        name="sentence-transformers/all-MiniLM-L6-v2",
        variant="a length of -1",
        trap="-1 in sentence_bert_config is no length",
        build=lambda: _absurd(sentence=-1, settings=256),
        answer=parts.embedding("BertModel", 256, Pooling.MEAN),
    ),
    ModelFixture(
        name="sentence-transformers/all-MiniLM-L6-v2",
        variant="a length beyond the positions",
        trap="8192 in sentence_bert_config where the weights have 512 positions: a longer input would crash",
        build=lambda: _absurd(sentence=8192, settings=8192),
        answer=parts.embedding("BertModel", 512, Pooling.MEAN),
    ),
    ModelFixture(
        name="sentence-transformers/bert-base-nli-mean-tokens",
        trap="the transformer lies in 0_Transformer",
        build=_own_folder,
        reference=_ST,
        answer=parts.embedding("BertModel", 128, Pooling.MEAN, normalize=False, folder="0_Transformer"),
    ),
    ModelFixture(
        name="sentence-transformers/nli-bert-base-max-pooling",
        trap="max pooling, which others take for the mean",
        build=_max_pooling,
        reference=_ST,
        answer=parts.embedding("BertModel", 128, Pooling.MAX, normalize=False),
    ),
    ModelFixture(
        name="Muennighoff/SGPT-125M-weightedmean-nli",
        variant="its pooling on BERT",
        trap="a mean weighted by position",
        build=lambda: parts.bert_embedder(
            pooling=pooling_file(WIDTH, "weightedmean_tokens", include_prompt=True),
            types=("Transformer", "Pooling"),
            length=128,
        ),
        reference=_ST,
        answer=parts.embedding("BertModel", 128, Pooling.WEIGHTED_MEAN, normalize=False),
    ),
    ModelFixture(
        name="sentence-transformers/stsb-bert-base",
        variant="two poolings at once",
        trap="cls and mean side by side make a vector twice as wide",
        build=lambda: parts.bert_embedder(
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
        reference=_ST,
        answer=parts.embedding(
            "BertModel",
            512,
            Pooling.CLS,
            further_poolings=(Pooling.MEAN,),
            dimensions=2 * WIDTH,
            evidence=(("pooling", "side by side"),),
        ),
    ),
    ModelFixture(
        name="thenlper/gte-base-zh",
        variant="safetensors beside an older pytorch_model.bin",
        trap="the pickle holds other numbers; only safetensors is read",
        reference=_ST,
        build=lambda: _gte_zh(**{"pytorch_model.bin": b"PK\x03\x04" + bytes(400)}),
        answer=parts.embedding("BertModel", 512, Pooling.CLS),
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
            **{path: data for path, data in bge_m3().items() if path != "model.safetensors"},
            "pytorch_model.bin": b"PK\x03\x04",
        },
        answer=Refused(reasons=(Reason.PICKLE_ONLY,), field="model.conversion", says="conversion"),
    ),
    ModelFixture(
        name="acme/product-reranker",
        reference=_ST,
        trap="a folder called a reranker that is an embedder: a name proves nothing",
        build=lambda: parts.bert_embedder(length=256),
        answer=parts.embedding("BertModel", 256, Pooling.MEAN),
    ),
    ModelFixture(
        name="sentence-transformers/ELECTRA-like",
        variant="ELECTRA body",
        trap="narrow embeddings, then a projection",
        build=_electra,
        reference=_ST,
        answer=parts.embedding("ElectraModel", 128, Pooling.MEAN, normalize=False),
    ),
    ModelFixture(
        name="BAAI/bge-large-zh",
        variant="asked for as a reranker",
        trap="a head would be made up at random",
        build=lambda: parts.bert_embedder(pooling="cls_token", length=512),
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
        answer=parts.embedding("BertModel", 512, Pooling.CLS, normalize=False, prompts={}),
    ),
)
