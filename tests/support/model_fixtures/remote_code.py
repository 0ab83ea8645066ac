"""Models that were published with Python code of their own. What a class of transformers cannot read alike is refused."""

from typing import Any

from embedding_model.refusal import Reason
from embedding_model.resolved import Activation, Declared, Pooling, ScoreRule, Task
from model_fixtures import parts, tokenizers
from model_fixtures.decoders import QWEN_KEYS
from model_fixtures.fixture import Answer, Files, ModelFixture, Reference, Refused, Score
from model_fixtures.formats import (
    Stored,
    card,
    dense_files,
    json_file,
    library_file,
    modules_file,
    pooling_file,
    safetensors_file,
)
from model_fixtures.parts import LAYERS, WIDTH, encoder_tensors, folder, labels, pipeline

_INNER = 24
_V = tokenizers.VOCABULARY
_JINA = "jinaai/jina-bert-implementation--"
_REMOTE = Refused(reasons=(Reason.REMOTE_CODE_REQUIRED,))


def _linear(name: str, out: int, width: int, *, bias: bool = True) -> dict[str, Stored]:
    return {f"{name}.weight": Stored((out, width)), **({f"{name}.bias": Stored((out,))} if bias else {})}


def _norm(name: str) -> dict[str, Stored]:
    return {f"{name}.weight": Stored((WIDTH,)), f"{name}.bias": Stored((WIDTH,))}


def jina_bert_tensors(*, types: int = 2, pooler: bool = True, prefix: str = "") -> dict[str, Stored]:
    """jina_bert v2 as published: ALiBi in place of position embeddings, a gated MLP (wo with bias, gates without)."""
    tensors = {
        "embeddings.word_embeddings.weight": Stored((_V, WIDTH)),
        "embeddings.token_type_embeddings.weight": Stored((types, WIDTH)),
        **_norm("embeddings.LayerNorm"),
    }
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}."
        for part in ("query", "key", "value"):
            tensors |= _linear(f"{layer}attention.self.{part}", WIDTH, WIDTH)
        tensors |= _linear(f"{layer}attention.output.dense", WIDTH, WIDTH)
        tensors |= _norm(f"{layer}attention.output.LayerNorm")
        tensors |= _linear(f"{layer}mlp.gated_layers", 2 * _INNER, WIDTH, bias=False)
        tensors |= _linear(f"{layer}mlp.wo", WIDTH, _INNER)
        tensors |= _norm(f"{layer}mlp.layernorm")
    tensors |= _linear("pooler.dense", WIDTH, WIDTH) if pooler else {}
    return {prefix + name: tensor for name, tensor in tensors.items()}


def jina_code_tensors() -> dict[str, Stored]:
    """The variant of the code model: layer norms on queries and keys, another MLP, two norms behind the blocks."""
    tensors = {
        "embeddings.word_embeddings.weight": Stored((_V, WIDTH)),
        "embeddings.token_type_embeddings.weight": Stored((2, WIDTH)),
        **_norm("embeddings.LayerNorm"),
    }
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}."
        for part in ("query", "key", "value"):
            tensors |= _linear(f"{layer}attention.self.{part}", WIDTH, WIDTH)
        tensors |= _norm(f"{layer}attention.self.layer_norm_q") | _norm(f"{layer}attention.self.layer_norm_k")
        tensors |= _linear(f"{layer}attention.output.dense", WIDTH, WIDTH)
        tensors |= _norm(f"{layer}layer_norm_1") | _norm(f"{layer}layer_norm_2")
        tensors |= _linear(f"{layer}mlp.up_gated_layer", 2 * _INNER, WIDTH, bias=False)
        tensors |= _linear(f"{layer}mlp.down_layer", WIDTH, _INNER)
    return tensors | _linear("pooler.dense", WIDTH, WIDTH)


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
    tensors = jina_bert_tensors(prefix="bert.") | _linear("classifier", 1, WIDTH)
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


def new_config(*architectures: str, **changes: Any) -> parts.Config:
    """config.json for Alibaba-NLP/new-impl."""
    auto = {
        "AutoConfig": "Alibaba-NLP/new-impl--configuration.NewConfig",
        "AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel",
        "AutoModelForMaskedLM": "Alibaba-NLP/new-impl--modeling.NewForMaskedLM",
        "AutoModelForSequenceClassification": "Alibaba-NLP/new-impl--modeling.NewForSequenceClassification",
        "AutoModelForTokenClassification": "Alibaba-NLP/new-impl--modeling.NewForTokenClassification",
    }
    return parts.bert(
        *architectures,
        positions=8192,
        **{
            "model_type": "new",
            "auto_map": auto,
            "layer_norm_type": "layer_norm",
            "logn_attention_clip1": False,
            "logn_attention_scale": False,
            "pack_qkv": True,
            "position_embedding_type": "rope",
            "rope_scaling": {"factor": 8.0, "type": "ntk"},
            "rope_theta": 20000,
            "type_vocab_size": 1,
            "pad_token_id": 1,
            "unpad_inputs": False,
            "use_memory_efficient_attention": False,
            **changes,
        },
    )


def _new_tensors(prefix: str = "", *, types: int = 1) -> dict[str, Stored]:
    config = new_config()
    plain = encoder_tensors("GteModel", {**config, "type_vocab_size": max(types, 1)})
    kept = {name: tensor for name, tensor in plain.items() if types or "token_type" not in name}
    return {prefix + name: tensor for name, tensor in kept.items()}


def _gte_multilingual() -> Files:
    config = new_config("NewModel", "NewForTokenClassification", **labels("LABEL_0"))
    tensors = _new_tensors("new.") | _linear("classifier", 1, WIDTH)
    return folder(
        config,
        tensors,
        tokenizers.sentencepiece(length=32768),
        pipeline(pooling="cls_token", length=8192),
    )


def _gte_en() -> Files:
    config = new_config(
        "NewModel", rope_scaling={"factor": 2.0, "type": "ntk"}, rope_theta=500000, type_vocab_size=0, pad_token_id=0
    )
    return folder(
        config,
        _new_tensors(types=0),
        tokenizers.wordpiece(length=32768),
        pipeline(pooling="cls_token", types=("Transformer", "Pooling"), length=8192),
    )


def _gte_reranker() -> Files:
    config = new_config("NewForSequenceClassification", **labels("LABEL_0"))
    tensors = _new_tensors("new.") | _linear("new.pooler.dense", WIDTH, WIDTH) | _linear("classifier", 1, WIDTH)
    return folder(
        config, tensors, tokenizers.sentencepiece(length=8192), {"README.md": card(pipeline_tag="text-ranking")}
    )


def _stella() -> Files:
    config = new_config(
        "NewModel",
        rope_scaling={"factor": 2.0, "type": "ntk"},
        rope_theta=160000,
        type_vocab_size=2,
        pad_token_id=0,
        auto_map={"AutoConfig": "configuration.NewConfig", "AutoModel": "modeling.NewModel"},
    )
    identity = "torch.nn.modules.linear.Identity"
    other = dense_files("2_Dense_8192", width=WIDTH, out=32, activation=identity)
    return folder(
        config,
        _new_tensors("new.", types=2),
        tokenizers.wordpiece(),
        pipeline(length=512),
        dense_files("2_Dense_1024", width=WIDTH, out=12, activation=identity),
        other,
        {"modules.json": modules_file("Transformer", "Pooling", "Dense", folders=("", "1_Pooling", "2_Dense_1024"))},
    )


def _several_dense() -> Files:
    """stella's and jasper's layout on a body that transformers has: one folder for each width, modules.json picks one."""
    config = parts.bert()
    identity = "torch.nn.modules.linear.Identity"
    return folder(
        config,
        encoder_tensors("BertModel", config),
        tokenizers.wordpiece(),
        pipeline(length=512),
        dense_files("2_Dense_1024", width=WIDTH, out=12, activation=identity),
        dense_files("2_Dense_8192", width=WIDTH, out=32, activation=identity),
        {"modules.json": modules_file("Transformer", "Pooling", "Dense", folders=("", "1_Pooling", "2_Dense_1024"))},
    )


def _arctic_m_v2() -> Files:
    config = new_config(
        "GteModel",
        model_type="gte",
        rope_scaling=None,
        rope_theta=160000,
        matryoshka_dimensions=[8],
        auto_map={
            "AutoConfig": "configuration_hf_alibaba_nlp_gte.GteConfig",
            "AutoModel": "modeling_hf_alibaba_nlp_gte.GteModel",
        },
    )
    return folder(
        config,
        _new_tensors() | _linear("pooler.dense", WIDTH, WIDTH),
        tokenizers.sentencepiece(length=32768),
        pipeline(
            pooling=pooling_file(WIDTH, "cls_token", include_prompt=True),
            length=8192,
            library=library_file(prompts={"query": "query: "}),
        ),
    )


def nomic_config(**changes: Any) -> parts.Config:
    """config.json for nomic-ai/nomic-bert-2048: GPT-2's names for the sizes."""
    auto = {
        "AutoConfig": "nomic-ai/nomic-bert-2048--configuration_hf_nomic_bert.NomicBertConfig",
        "AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel",
        "AutoModelForMaskedLM": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertForPreTraining",
    }
    return {
        "activation_function": "swiglu",
        "architectures": ["NomicBertModel"],
        "attn_pdrop": 0.0,
        "auto_map": auto,
        "bos_token_id": None,
        "causal": False,
        "dense_seq_output": True,
        "embd_pdrop": 0.0,
        "eos_token_id": None,
        "fused_bias_fc": True,
        "fused_dropout_add_ln": True,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-12,
        "max_trained_positions": 2048,
        "mlp_fc1_bias": False,
        "mlp_fc2_bias": False,
        "model_type": "nomic_bert",
        "n_embd": WIDTH,
        "n_head": 2,
        "n_inner": _INNER,
        "n_layer": LAYERS,
        "n_positions": 8192,
        "pad_vocab_size_multiple": 64,
        "parallel_block": False,
        "parallel_block_tied_norm": False,
        "prenorm": False,
        "qkv_proj_bias": False,
        "reorder_and_upcast_attn": False,
        "resid_pdrop": 0.0,
        "rotary_emb_base": 1000,
        "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False,
        "rotary_emb_scale_base": None,
        "rotary_scaling_factor": None,
        "scale_attn_by_inverse_layer_idx": False,
        "scale_attn_weights": True,
        "summary_activation": None,
        "summary_first_dropout": 0.0,
        "summary_proj_to_labels": True,
        "summary_type": "cls_index",
        "summary_use_proj": True,
        "torch_dtype": "float32",
        "transformers_version": "4.34.0",
        "type_vocab_size": 2,
        "use_cache": True,
        "use_flash_attn": True,
        "use_rms_norm": False,
        "use_xentropy": True,
        "vocab_size": _V,
        **changes,
    }


def _nomic_tensors() -> dict[str, Stored]:
    native = {
        "vocab_size": _V,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": _INNER,
        "max_position_embeddings": 2048,
        "type_vocab_size": 2,
    }
    return encoder_tensors("NomicBertModel", native)


_NOMIC_PROMPTS = {"search_query": "search_query: ", "search_document": "search_document: "}


def _nomic(config: parts.Config, tensors: dict[str, Stored] | None = None) -> Files:
    return folder(
        config,
        tensors or _nomic_tensors(),
        tokenizers.wordpiece(length=8192),
        pipeline(types=("Transformer", "Pooling"), length=8192),
    )


def _nomic_native() -> Files:
    config = {
        "architectures": ["NomicBertModel"],
        "attention_probs_dropout_prob": 0.0,
        "dtype": "float32",
        "head_dim": 8,
        "hidden_act": "silu",
        "hidden_dropout_prob": 0.0,
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "intermediate_size": _INNER,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 2048,
        "model_type": "nomic_bert",
        "num_attention_heads": 2,
        "num_hidden_layers": LAYERS,
        "pad_token_id": 0,
        "rope_parameters": {"rope_theta": 1000.0, "rope_type": "default"},
        "tie_word_embeddings": True,
        "transformers_version": "5.5.0",
        "type_vocab_size": 2,
        "vocab_size": _V,
    }
    return folder(
        config,
        _nomic_tensors(),
        tokenizers.wordpiece(length=2048),
        pipeline(
            types=("Transformer", "Pooling"),
            length=2048,
            library=library_file(prompts={"query": "search_query: ", "document": "search_document: "}),
        ),
    )


def _nomic_moe() -> Files:
    config = nomic_config(
        moe_every_n_layers=2,
        moe_top_k=2,
        moe_impl="megablocks",
        moe_normalize_expert_weights=False,
        num_experts=2,
        num_shared_experts=0,
        ffn_div=1,
        expert_choice_router=False,
        activation_function="gelu",
        n_positions=2048,
        mlp_fc1_bias=True,
        mlp_fc2_bias=True,
        qkv_proj_bias=True,
        rotary_emb_base=10000,
        type_vocab_size=1,
        add_pooling_layer=False,
        pad_token_id=1,
        router_aux_loss_coef=0.1,
        tokenizer_class="XLMRobertaTokenizerFast",
    )
    tensors = {
        "embeddings.word_embeddings.weight": Stored((_V, WIDTH)),
        "embeddings.token_type_embeddings.weight": Stored((1, WIDTH)),
        **_norm("emb_ln"),
    }
    for number in range(LAYERS):
        layer = f"encoder.layers.{number}."
        tensors |= _linear(f"{layer}attn.Wqkv", 3 * WIDTH, WIDTH) | _linear(f"{layer}attn.out_proj", WIDTH, WIDTH)
        tensors |= _norm(f"{layer}norm1") | _norm(f"{layer}norm2")
        if number % 2:
            tensors[f"{layer}mlp.router.layer.weight"] = Stored((2, WIDTH))
            tensors[f"{layer}mlp.experts.mlp.w1"] = Stored((2 * _INNER, WIDTH))
            tensors[f"{layer}mlp.experts.mlp.w2"] = Stored((2 * _INNER, WIDTH))
            tensors[f"{layer}mlp.experts.bias"] = Stored((WIDTH,))
        else:
            tensors |= _linear(f"{layer}mlp.fc1", _INNER, WIDTH) | _linear(f"{layer}mlp.fc2", WIDTH, _INNER)
    return folder(
        config,
        tensors,
        tokenizers.sentencepiece(length=512),
        pipeline(length=512, library=library_file(prompts={"query": "search_query: ", "passage": "search_document: "})),
    )


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
    tensors = {f"{prefix}embeddings.token_type_embeddings.weight": Stored((1, WIDTH)), **_norm(f"{prefix}emb_ln")}

    def adapted(name: str, out: int, width: int) -> dict[str, Stored]:
        if not lora:
            return {f"{name}.weight": Stored((out, width))}
        step = f"{name}.parametrizations.weight"
        return {
            f"{step}.original": Stored((out, width)),
            f"{step}.0.lora_A": Stored((5, 4, width)),
            f"{step}.0.lora_B": Stored((5, out, 4)),
        }

    tensors |= adapted(f"{prefix}embeddings.word_embeddings", _V, WIDTH)
    for number in range(LAYERS):
        layer = f"{prefix}encoder.layers.{number}."
        for name, out, width in (
            ("mixer.Wqkv", 3 * WIDTH, WIDTH),
            ("mixer.out_proj", WIDTH, WIDTH),
            ("mlp.fc1", _INNER, WIDTH),
            ("mlp.fc2", WIDTH, _INNER),
        ):
            tensors |= adapted(layer + name, out, width) | {f"{layer}{name}.bias": Stored((out,))}
        tensors |= _norm(f"{layer}norm1") | _norm(f"{layer}norm2")
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
        "vocab_size": _V,
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
    tensors |= _linear("classifier.dense", WIDTH, WIDTH) | _linear("classifier.out_proj", 1, WIDTH)
    return folder(
        config, tensors, tokenizers.sentencepiece(length=1024), {"README.md": card(pipeline_tag="text-classification")}
    )


def _jina_reranker_v3() -> Files:
    config = parts.qwen3("JinaForRanking", positions=131072, auto_map={"AutoModel": "modeling.JinaForRanking"})
    tensors = encoder_tensors("Qwen3ForCausalLM", config, *QWEN_KEYS)
    tensors |= _linear("projector.0", 8, WIDTH, bias=False) | _linear("projector.2", 8, 8, bias=False)
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
    tensors = encoder_tensors("Qwen2ForCausalLM", config, *QWEN_KEYS) | _linear("visual.merger.mlp.0", 16, 16)
    tensors |= _linear("score.0", WIDTH, WIDTH) | _linear("score.2", 1, WIDTH)
    return folder(config, tensors, tokenizers.qwen(), {"README.md": card(pipeline_tag="text-ranking")})


def _own_decoder(kind: str, architecture: str, module: str) -> Files:
    config = parts.decoder(
        kind,
        architecture,
        auto_map={
            "AutoConfig": f"configuration_{module}.LayerWiseConfig",
            "AutoModelForCausalLM": f"modeling_{module}.{architecture}",
        },
        start_layer=1,
        head_multi=True,
        head_type="simple",
    )
    tensors = encoder_tensors("LlamaModel", config, *QWEN_KEYS) | _linear("lm_head.0.linear_head", 1, WIDTH)
    return folder(
        config, tensors, tokenizers.llama(ends=False), {"README.md": card(pipeline_tag="text-classification")}
    )


def _colbert() -> Files:
    config = parts.bert("HF_ColBERT")
    plain = encoder_tensors("BertModel", config)
    tensors = {f"bert.{name}": tensor for name, tensor in plain.items()} | _linear("linear", 8, WIDTH, bias=False)
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
    inside = folder(config, _linear("text_projection", 16, 16), tokenizers.roberta(kind="CLIPTokenizer"))
    return {
        **{f"0_CLIPModel/{path}": data for path, data in inside.items()},
        "modules.json": modules_file("CLIPModel", folders=("0_CLIPModel",)),
        "config_sentence_transformers.json": library_file(),
    }


def _static() -> Files:
    return {
        "0_StaticEmbedding/model.safetensors": safetensors_file({"embedding.weight": Stored((_V, WIDTH))}),
        "0_StaticEmbedding/tokenizer.json": tokenizers.wordpiece()["tokenizer.json"],
        "modules.json": modules_file("StaticEmbedding", folders=("0_StaticEmbedding",)),
        "config_sentence_transformers.json": library_file(prompts={}),
        "README.md": card("# Static", pipeline_tag="sentence-similarity"),
    }


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

REMOTE_CODE = (
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
    ModelFixture(
        name="BAAI/bge-reranker-v2-minicpm-layerwise",
        trap="a head behind every layer, in its own code",
        build=lambda: _own_decoder("minicpm", "LayerWiseMiniCPMForCausalLM", "minicpm_reranker"),
        answer=_REMOTE,
    ),
    ModelFixture(
        name="BAAI/bge-reranker-v2.5-gemma2-lightweight",
        trap="compresses layers, in its own code",
        build=lambda: _own_decoder("cost_wise_gemma", "CostWiseGemmaForCausalLM", "gemma_model"),
        answer=_REMOTE,
    ),
    ModelFixture(
        name="Alibaba-NLP/gte-multilingual-base",
        trap='model_type "new", a sparse head beside the dense one, and a scaling of positions of its own',
        build=_gte_multilingual,
        answer=_REMOTE,
    ),
    ModelFixture(
        name="Alibaba-NLP/gte-base-en-v1.5",
        trap='model_type "new" without token types, positions scaled by NTK',
        build=_gte_en,
        answer=_REMOTE,
    ),
    ModelFixture(
        name="Alibaba-NLP/gte-multilingual-reranker-base",
        trap='model_type "new" with one logit',
        build=_gte_reranker,
        answer=_REMOTE,
    ),
    ModelFixture(
        name="NovaSearch/stella_en_400M_v5",
        trap="code of its own, and a Dense folder for each width",
        build=_stella,
        answer=_REMOTE,
    ),
    ModelFixture(
        name="NovaSearch/stella_en_400M_v5",
        variant="its layout on BERT",
        trap="several Dense folders lie there, modules.json names the one that counts",
        build=_several_dense,
        reference=Reference.SENTENCE_TRANSFORMER,
        answer=Answer(
            task=Task.EMBEDDING,
            architecture="BertModel",
            max_input_tokens=512,
            pooling=Pooling.MEAN,
            normalize=False,
            dimensions=12,
            modules=(("Dense", WIDTH, 12),),
            prompts={},
        ),
    ),
    ModelFixture(
        name="Snowflake/snowflake-arctic-embed-m-v2.0",
        trap='auto_map names code of its own, but "gte" is a class of transformers and every tensor fits',
        build=_arctic_m_v2,
        reference=None,
        answer=Answer(
            task=Task.EMBEDDING,
            architecture="GteModel",
            max_input_tokens=8192,
            pooling=Pooling.CLS,
            normalize=True,
            dimensions=WIDTH,
            matryoshka=(8,),
            prompts={"query": "query: "},
            evidence=(("architecture", "auto_map"),),
        ),
    ),
    ModelFixture(
        name="nomic-ai/nomic-embed-text-v1.5",
        trap="config.json has GPT-2's keys; prompts are only in the card; trained on 2048 positions, named 8192",
        build=lambda: _nomic(nomic_config()),
        answer=Answer(
            task=Task.EMBEDDING,
            architecture="NomicBertModel",
            max_input_tokens=2048,
            pooling=Pooling.MEAN,
            normalize=False,
            dimensions=WIDTH,
            prompts=_NOMIC_PROMPTS,
        ),
    ),
    ModelFixture(
        name="nomic-ai/nomic-embed-text-v1.5",
        variant="scaled to 8192",
        trap="positions scaled by its own code",
        build=lambda: _nomic(nomic_config(rotary_scaling_factor=2)),
        answer=_REMOTE,
    ),
    ModelFixture(
        name="nomic-ai/nomic-embed-text-v1.5",
        variant="for transformers' own class",
        trap="the same tensors, new keys",
        build=_nomic_native,
        reference=Reference.SENTENCE_TRANSFORMER,
        answer=Answer(
            task=Task.EMBEDDING,
            architecture="NomicBertModel",
            max_input_tokens=2048,
            pooling=Pooling.MEAN,
            normalize=False,
            dimensions=WIDTH,
            prompts={"query": "search_query: ", "document": "search_document: "},
        ),
    ),
    ModelFixture(
        name="nomic-ai/nomic-embed-text-v2-moe",
        trap="every second layer is a mixture of experts",
        build=_nomic_moe,
        answer=_REMOTE,
    ),
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
