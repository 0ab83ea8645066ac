"""Jina's models: an architecture of their own under BERT's name, and heads that config.json does not mention."""

from typing import Any

from embedding_model.refusal import Reason
from embedding_model.resolved import Activation, Declared, Pooling, ScoreRule, Task
from model_fixtures import parts, tokenizers
from model_fixtures.decoders import QWEN_KEYS
from model_fixtures.fixture import Answer, Files, ModelFixture, Reference, Refused, Score
from model_fixtures.formats import (
    Stored,
    card,
    modules_file,
)
from model_fixtures.parts import LAYERS, WIDTH, encoder_tensors, folder, labels, pipeline
from model_fixtures.weights import linear, norm

_INNER = 24


_JINA = "jinaai/jina-bert-implementation--"


_REMOTE = Refused(reasons=(Reason.REMOTE_CODE_REQUIRED,))


def jina_bert_tensors(*, types: int = 2, pooler: bool = True, prefix: str = "") -> dict[str, Stored]:
    """jina_bert v2 as published: ALiBi in place of position embeddings, a gated MLP (wo with bias, gates without)."""
    tensors = {
        "embeddings.word_embeddings.weight": Stored((tokenizers.VOCABULARY, WIDTH)),
        "embeddings.token_type_embeddings.weight": Stored((types, WIDTH)),
        **norm("embeddings.LayerNorm", width=WIDTH),
    }
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}."
        for part in ("query", "key", "value"):
            tensors |= linear(f"{layer}attention.self.{part}", WIDTH, WIDTH)
        tensors |= linear(f"{layer}attention.output.dense", WIDTH, WIDTH)
        tensors |= norm(f"{layer}attention.output.LayerNorm", width=WIDTH)
        tensors |= linear(f"{layer}mlp.gated_layers", 2 * _INNER, WIDTH, bias=False)
        tensors |= linear(f"{layer}mlp.wo", WIDTH, _INNER)
        tensors |= norm(f"{layer}mlp.layernorm", width=WIDTH)
    tensors |= linear("pooler.dense", WIDTH, WIDTH) if pooler else {}
    return {prefix + name: tensor for name, tensor in tensors.items()}


def jina_code_tensors() -> dict[str, Stored]:
    """The variant of the code model: layer norms on queries and keys, another MLP, two norms behind the blocks."""
    tensors = {
        "embeddings.word_embeddings.weight": Stored((tokenizers.VOCABULARY, WIDTH)),
        "embeddings.token_type_embeddings.weight": Stored((2, WIDTH)),
        **norm("embeddings.LayerNorm", width=WIDTH),
    }
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}."
        for part in ("query", "key", "value"):
            tensors |= linear(f"{layer}attention.self.{part}", WIDTH, WIDTH)
        tensors |= norm(f"{layer}attention.self.layer_norm_q", width=WIDTH) | norm(
            f"{layer}attention.self.layer_norm_k", width=WIDTH
        )
        tensors |= linear(f"{layer}attention.output.dense", WIDTH, WIDTH)
        tensors |= norm(f"{layer}attention.output.LayerNorm", width=WIDTH)
        tensors |= norm(f"{layer}layer_norm_1", width=WIDTH) | norm(f"{layer}layer_norm_2", width=WIDTH)
        tensors |= linear(f"{layer}mlp.up_gated_layer", 2 * _INNER, WIDTH, bias=False)
        tensors |= linear(f"{layer}mlp.down_layer", WIDTH, _INNER)
    return tensors | linear("pooler.dense", WIDTH, WIDTH)


def _jina_config(*architectures: str, positions: int = 8192, **changes: Any) -> parts.Config:
    auto = {
        "AutoConfig": f"{_JINA}configuration_bert.JinaBertConfig",
        "AutoModelForMaskedLM": f"{_JINA}modeling_bert.JinaBertForMaskedLM",
        "AutoModel": f"{_JINA}modeling_bert.JinaBertModel",
        "AutoModelForSequenceClassification": f"{_JINA}modeling_bert.JinaBertForSequenceClassification",
    }
    values = {
        "_name_or_path": "jinaai/jina-bert-implementation",
        "attn_implementation": None,
        "auto_map": auto,
        "emb_pooler": "mean",
        "feed_forward_type": "geglu",
        "hidden_dropout_prob": 0.1,
        "position_embedding_type": "alibi",
        "model_max_length": positions,
        "tokenizer_class": "BertTokenizer",
    }
    return parts.bert(*(architectures or ("JinaBertForMaskedLM",)), positions=positions, **{**values, **changes})


def _jina_embedder(config: parts.Config | None = None, tensors: dict[str, Stored] | None = None) -> Files:
    return folder(
        config or _jina_config(),
        tensors or jina_bert_tensors(),
        tokenizers.wordpiece(length=8192),
        pipeline(types=("Transformer", "Pooling"), length=8192),
    )


def _jina_reranker(config: parts.Config) -> Files:
    tensors = jina_bert_tensors(prefix="bert.") | linear("classifier", 1, WIDTH)
    readme = card(
        "# jina-reranker", license="apache-2.0", tags=["reranker", "cross-encoder"], pipeline_tag="text-classification"
    )
    return folder(config, tensors, tokenizers.wordpiece(length=8192), {"README.md": readme})


def _jina_turbo() -> Files:
    """main: architectures names the masked language model, and there is no number of labels."""
    return _jina_reranker(_jina_config("JinaBertForMaskedLM", emb_pooler="mean"))


def _jina_tiny() -> Files:
    config = _jina_config()
    del config["architectures"]
    return _jina_reranker(config)


def _jina_fixed() -> Files:
    return _jina_reranker(_jina_config("JinaBertForSequenceClassification", num_labels=1, **labels("LABEL_0")))


def _without_names() -> Files:
    config = _jina_config("BertModel")
    for key in ("auto_map", "_name_or_path", "emb_pooler", "feed_forward_type", "attn_implementation"):
        del config[key]
    return _jina_embedder(config)


def _flash_config(
    *architectures: str, repo: str = "jinaai/xlm-roberta-flash-implementation", **changes: Any
) -> parts.Config:
    auto = {
        "AutoConfig": f"{repo}--configuration_xlm_roberta.XLMRobertaFlashConfig",
        "AutoModel": f"{repo}--modeling_lora.XLMRobertaLoRA",
        "AutoModelForSequenceClassification": f"{repo}--modeling_xlm_roberta.XLMRobertaForSequenceClassification",
    }
    return parts.roberta(
        *architectures,
        kind="xlm-roberta",
        positions=8194,
        auto_map=auto,
        position_embedding_type="rotary",
        rotary_emb_base=20000.0,
        use_flash_attn=True,
        use_reentrant=False,
        emb_pooler=None,
        **changes,
    )


def _flash_tensors(prefix: str, *, lora: bool) -> dict[str, Stored]:
    tensors = {
        f"{prefix}embeddings.token_type_embeddings.weight": Stored((1, WIDTH)),
        **norm(f"{prefix}emb_ln", width=WIDTH),
    }

    def adapted(name: str, out: int, width: int) -> dict[str, Stored]:
        if not lora:
            return {f"{name}.weight": Stored((out, width))}
        step = f"{name}.parametrizations.weight"
        return {
            f"{step}.original": Stored((out, width)),
            f"{step}.0.lora_A": Stored((5, 4, width)),
            f"{step}.0.lora_B": Stored((5, out, 4)),
        }

    tensors |= adapted(f"{prefix}embeddings.word_embeddings", tokenizers.VOCABULARY, WIDTH)
    for number in range(LAYERS):
        layer = f"{prefix}encoder.layers.{number}."
        for name, out, width in (
            ("mixer.Wqkv", 3 * WIDTH, WIDTH),
            ("mixer.out_proj", WIDTH, WIDTH),
            ("mlp.fc1", _INNER, WIDTH),
            ("mlp.fc2", WIDTH, _INNER),
        ):
            tensors |= adapted(layer + name, out, width) | {f"{layer}{name}.bias": Stored((out,))}
        tensors |= norm(f"{layer}norm1", width=WIDTH) | norm(f"{layer}norm2", width=WIDTH)
    return tensors


_TASKS = ["retrieval.query", "retrieval.passage", "separation", "classification", "text-matching"]


def _jina_v3() -> Files:
    config = _flash_config(
        "XLMRobertaModel",
        lora_adaptations=_TASKS,
        lora_alpha=1,
        lora_rank=4,
        lora_dropout_p=0.0,
        lora_main_params_trainable=False,
        load_trained_adapters=True,
        truncate_dim=None,
        matryoshka_dimensions=[4, 8, 16],
        task_instructions={"retrieval.query": "Represent the query for retrieving evidence documents: "},
    )
    modules = modules_file("custom_st.Transformer", "Pooling", "Normalize", folders=("", "1_Pooling", "2_Normalize"))
    return folder(
        config,
        _flash_tensors("roberta.", lora=True),
        tokenizers.sentencepiece(length=8194),
        pipeline(length=8194),
        {"modules.json": modules, "custom_st.py": b"class Transformer: ...\n"},
    )


def _jina_v3_native() -> Files:
    config = {
        "architectures": ["JinaEmbeddingsV3Model"],
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": 0,
        "dtype": "float32",
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "intermediate_size": _INNER,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 8194,
        "model_type": "jina_embeddings_v3",
        "num_attention_heads": 2,
        "num_hidden_layers": LAYERS,
        "pad_token_id": 1,
        "rope_parameters": {"rope_theta": 20000.0, "rope_type": "default"},
        "tie_word_embeddings": True,
        "transformers_version": "5.5.0",
        "type_vocab_size": 1,
        "vocab_size": tokenizers.VOCABULARY,
    }
    return folder(
        config,
        encoder_tensors("JinaEmbeddingsV3Model", config, "bos_token_id", "eos_token_id"),
        tokenizers.sentencepiece(length=8192),
        pipeline(length=8192, new=True),
    )


def _jina_reranker_v2() -> Files:
    config = _flash_config("XLMRobertaForSequenceClassification", **labels("LABEL_0"))
    tensors = _flash_tensors("roberta.", lora=False)
    tensors |= linear("classifier.dense", WIDTH, WIDTH) | linear("classifier.out_proj", 1, WIDTH)
    return folder(
        config, tensors, tokenizers.sentencepiece(length=1024), {"README.md": card(pipeline_tag="text-classification")}
    )


def _jina_reranker_v3() -> Files:
    config = parts.qwen3("JinaForRanking", positions=131072, auto_map={"AutoModel": "modeling.JinaForRanking"})
    tensors = encoder_tensors("Qwen3ForCausalLM", config, *QWEN_KEYS)
    tensors |= linear("projector.0", 8, WIDTH, bias=False) | linear("projector.2", 8, 8, bias=False)
    readme = card("# jina-reranker-v3", pipeline_tag="text-ranking", license="cc-by-nc-4.0")
    return folder(
        config, tensors, tokenizers.qwen(), {"README.md": readme, "modeling.py": b"class JinaForRanking: ...\n"}
    )


def _jina_m0() -> Files:
    config = parts.decoder(
        "qwen2_vl",
        "JinaVLForRanking",
        auto_map={"AutoModel": "modeling.JinaVLForRanking"},
        vision_config={"depth": 2, "embed_dim": 16, "model_type": "qwen2_vl"},
        vision_start_token_id=3,
    )
    tensors = encoder_tensors("Qwen2ForCausalLM", config, *QWEN_KEYS) | linear("visual.merger.mlp.0", 16, 16)
    tensors |= linear("score.0", WIDTH, WIDTH) | linear("score.2", 1, WIDTH)
    return folder(config, tensors, tokenizers.qwen(), {"README.md": card(pipeline_tag="text-ranking")})


def _jina_answer(architecture: str, length: int = 8192, **more: Any) -> Answer:
    values = {"pooling": Pooling.MEAN, "normalize": False, "dimensions": WIDTH, "prompts": {}, **more}
    return Answer(task=Task.EMBEDDING, architecture=architecture, max_input_tokens=length, **values)


_JINA_RERANKER = Answer(
    task=Task.RERANKING,
    architecture="JinaBertForSequenceClassification",
    max_input_tokens=8192,
    activation=Activation.SIGMOID,
    score=Score(rule=ScoreRule.CLASSIFICATION_HEAD),
)


JINA = (
    ModelFixture(
        name="jinaai/jina-reranker-v1-turbo-en",
        trap="config.json names no classification class and no labels; a scoring head is in the weights",
        build=_jina_turbo,
        answer=_JINA_RERANKER,
    ),
    ModelFixture(
        name="jinaai/jina-reranker-v1-tiny-en",
        trap="config.json names no class at all",
        build=_jina_tiny,
        answer=_JINA_RERANKER,
    ),
    ModelFixture(
        name="jinaai/jina-reranker-v1-turbo-en",
        variant="refs/pr/13",
        trap="the same weights with the config put right",
        build=_jina_fixed,
        answer=_JINA_RERANKER,
    ),
    ModelFixture(
        name="jinaai/jina-reranker-v1-turbo-en",
        variant="declared an embedder",
        trap="the weights score, the spec embeds",
        build=_jina_turbo,
        declared=Declared(task=Task.EMBEDDING),
        answer=Refused(reasons=(Reason.TASK_MISMATCH,), field="task"),
    ),
    ModelFixture(
        name="jinaai/jina-embeddings-v2-base-en",
        trap='model_type says "bert"; ALiBi and a gated MLP: as plain BERT half its tensors would be random',
        build=_jina_embedder,
        answer=_jina_answer("JinaBertModel"),
    ),
    ModelFixture(
        name="jinaai/jina-embeddings-v2-base-en",
        variant="a copy without its names",
        trap="auto_map and _name_or_path are gone; the tensors still tell",
        build=_without_names,
        answer=_jina_answer("JinaBertModel"),
    ),
    ModelFixture(
        name="jinaai/jina-embeddings-v2-base-code",
        trap="another architecture under the same model_type",
        build=lambda: _jina_embedder(
            _jina_config(
                "JinaBertForMaskedLM",
                auto_map={
                    "AutoConfig": "jinaai/jina-bert-v2-qk-post-norm--configuration_bert.JinaBertConfig",
                    "AutoModel": "jinaai/jina-bert-v2-qk-post-norm--modeling_bert.JinaBertModel",
                },
            ),
            jina_code_tensors(),
        ),
        answer=_jina_answer("JinaBertModel"),
    ),
    ModelFixture(
        name="jinaai/jina-embeddings-v3",
        trap="five LoRA adapters and a module of its own code",
        build=_jina_v3,
        answer=_REMOTE,
    ),
    ModelFixture(
        name="jinaai/jina-embeddings-v3",
        variant="merged, for transformers' own class",
        trap="a family that only new versions of transformers have",
        build=_jina_v3_native,
        reference=Reference.SENTENCE_TRANSFORMER,
        answer=_jina_answer("JinaEmbeddingsV3Model", normalize=True),
    ),
    ModelFixture(
        name="jinaai/jina-reranker-v2-base-multilingual",
        trap='model_type "xlm-roberta" with other tensors inside',
        build=_jina_reranker_v2,
        answer=_REMOTE,
    ),
    ModelFixture(
        name="jinaai/jina-reranker-v3",
        trap="ranks a whole list in one prompt: a pair has no score",
        build=_jina_reranker_v3,
        answer=_REMOTE,
    ),
    ModelFixture(
        name="jinaai/jina-reranker-m0",
        trap="reads images too",
        build=_jina_m0,
        answer=Refused(reasons=(Reason.REMOTE_CODE_REQUIRED, Reason.UNSUPPORTED_ARCHITECTURE)),
    ),
)
