"""Models published with Python code of their own: read by a class of transformers only where it reads them alike."""

from typing import Any

from embedding_model.refusal import Reason
from embedding_model.resolved import Pooling, Task
from model_fixtures import parts, tokenizers
from model_fixtures.decoders import QWEN_KEYS
from model_fixtures.fixture import Answer, Files, ModelFixture, Reference, Refused
from model_fixtures.formats import (
    Stored,
    card,
    dense_files,
    library_file,
    modules_file,
    pooling_file,
)
from model_fixtures.parts import LAYERS, WIDTH, encoder_tensors, folder, labels, pipeline
from model_fixtures.weights import linear, norm

_INNER = 24


_REMOTE = Refused(reasons=(Reason.REMOTE_CODE_REQUIRED,))


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
    tensors = _new_tensors("new.") | linear("classifier", 1, WIDTH)
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
    tensors = _new_tensors("new.") | linear("new.pooler.dense", WIDTH, WIDTH) | linear("classifier", 1, WIDTH)
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
    """stella's and jasper's layout on BERT: one Dense folder for each width, and modules.json picks one."""
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
        _new_tensors() | linear("pooler.dense", WIDTH, WIDTH),
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
        "vocab_size": tokenizers.VOCABULARY,
        **changes,
    }


def _nomic_tensors() -> dict[str, Stored]:
    native = {
        "vocab_size": tokenizers.VOCABULARY,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": _INNER,
        "max_position_embeddings": 2048,
        "type_vocab_size": 2,
    }
    return encoder_tensors("NomicBertModel", native)


_NOMIC_PROMPTS = {
    "query": "search_query: ",
    "document": "search_document: ",
    "classification": "classification: ",
    "clustering": "clustering: ",
}


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
        "vocab_size": tokenizers.VOCABULARY,
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
        "embeddings.word_embeddings.weight": Stored((tokenizers.VOCABULARY, WIDTH)),
        "embeddings.token_type_embeddings.weight": Stored((1, WIDTH)),
        **norm("emb_ln", width=WIDTH),
    }
    for number in range(LAYERS):
        layer = f"encoder.layers.{number}."
        tensors |= linear(f"{layer}attn.Wqkv", 3 * WIDTH, WIDTH) | linear(f"{layer}attn.out_proj", WIDTH, WIDTH)
        tensors |= norm(f"{layer}norm1", width=WIDTH) | norm(f"{layer}norm2", width=WIDTH)
        if number % 2:
            tensors[f"{layer}mlp.router.layer.weight"] = Stored((2, WIDTH))
            tensors[f"{layer}mlp.experts.mlp.w1"] = Stored((2 * _INNER, WIDTH))
            tensors[f"{layer}mlp.experts.mlp.w2"] = Stored((2 * _INNER, WIDTH))
            tensors[f"{layer}mlp.experts.bias"] = Stored((WIDTH,))
        else:
            tensors |= linear(f"{layer}mlp.fc1", _INNER, WIDTH) | linear(f"{layer}mlp.fc2", WIDTH, _INNER)
    return folder(
        config,
        tensors,
        tokenizers.sentencepiece(length=512),
        pipeline(length=512, library=library_file(prompts={"query": "search_query: ", "passage": "search_document: "})),
    )


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
    tensors = encoder_tensors("LlamaModel", config, *QWEN_KEYS) | linear("lm_head.0.linear_head", 1, WIDTH)
    return folder(
        config, tensors, tokenizers.llama(ends=False), {"README.md": card(pipeline_tag="text-classification")}
    )


REMOTE_CODE = (
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
        reference=Reference.SENTENCE_TRANSFORMER,
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
            has_card_prompts=True,
            layer_norm_before_cut=True,
            evidence=(("layerNormBeforeCut", "known by its name"),),
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
            layer_norm_before_cut=True,
        ),
    ),
    ModelFixture(
        name="nomic-ai/nomic-embed-text-v2-moe",
        trap="every second layer is a mixture of experts",
        build=_nomic_moe,
        answer=parts.embedding(
            "NomicBertModel",
            512,
            Pooling.MEAN,
            prompts={"query": "search_query: ", "passage": "search_document: "},
        ),
    ),
)
