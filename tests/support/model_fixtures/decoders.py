"""Embedders made of language models, and language models that are no embedders."""

from embedding_model.refusal import Reason
from embedding_model.resolved import Declared, Pooling, Task
from model_fixtures import parts, tokenizers
from model_fixtures.fixture import UNSTATED, Answer, Files, ModelFixture, Reference, Refused
from model_fixtures.formats import card, dense_files, json_file, library_file, pooling_file, sharded_files
from model_fixtures.parts import WIDTH, encoder_tensors, folder, pipeline
from model_fixtures.weights import as_bfloat16, without_prefix

QWEN_KEYS = ("num_key_value_heads", "head_dim", "tie_word_embeddings", "bos_token_id", "eos_token_id", "rope_theta")
_ST = Reference.SENTENCE_TRANSFORMER
_QWEN_QUERY = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
_LAST = pooling_file(WIDTH, "lasttoken", include_prompt=True)
_CHAT = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def _qwen3_embedding(*, shards: int = 0, ends: bool = True) -> Files:
    config = parts.qwen3("Qwen3ForCausalLM")
    body = without_prefix(encoder_tensors("Qwen3ForCausalLM", config, *QWEN_KEYS), "model.")
    library = library_file(prompts={"query": _QWEN_QUERY, "document": ""}, similarity_fn_name="cosine")
    files = folder(
        config,
        body,
        tokenizers.qwen(ends=ends, chat=_CHAT),
        pipeline(
            pooling=_LAST,
            length="absent",
            library=library,
            readme=card("# Qwen3-Embedding", license="apache-2.0", tags=["sentence-transformers"]),
        ),
        {"generation_config.json": b"{}"},
    )
    if not shards:
        return files
    del files["model.safetensors"]
    return {**files, **sharded_files(as_bfloat16(body), count=shards)}


def _gte_qwen2() -> Files:
    config = parts.decoder(
        "qwen2",
        "Qwen2ForCausalLM",
        positions=131072,
        is_causal=False,
        max_window_layers=2,
        sliding_window=131072,
        use_sliding_window=False,
        tie_word_embeddings=False,
        auto_map={
            "AutoConfig": "configuration_qwen.Qwen2Config",
            "AutoModel": "modeling_qwen.Qwen2Model",
            "AutoModelForCausalLM": "modeling_qwen.Qwen2ForCausalLM",
            "AutoModelForSequenceClassification": "modeling_qwen.Qwen2ForSequenceClassification",
        },
    )
    tensors = without_prefix(encoder_tensors("Qwen2Model", config, *QWEN_KEYS), "model.")
    tokenizer = tokenizers.qwen(
        auto_map={"AutoTokenizer": ["tokenization_qwen.Qwen2Tokenizer", "tokenization_qwen.Qwen2TokenizerFast"]},
        add_eos_token=True,
    )
    return folder(
        config,
        tensors,
        tokenizer,
        pipeline(pooling=_LAST, length=8192),
        {"modeling_qwen.py": b"class Qwen2Model: ...\n", "tokenization_qwen.py": b"class Qwen2Tokenizer: ...\n"},
    )


def _e5_mistral(*, ends: bool, says_ends: bool) -> Files:
    config = parts.decoder(
        "mistral",
        "MistralModel",
        rope_theta=10000.0,
        sliding_window=4096,
        pad_token_id=2,
        rms_norm_eps=1e-05,
        tie_word_embeddings=False,
    )
    del config["rope_scaling"]
    prompts = {
        "web_search_query": f"{_QWEN_QUERY} ",
        "sts_query": "Instruct: Retrieve semantically similar text\nQuery: ",
    }
    return folder(
        config,
        encoder_tensors("MistralModel", config, *QWEN_KEYS, "sliding_window"),
        tokenizers.llama(ends=ends, says_ends=says_ends, padding_side="left"),
        pipeline(
            pooling=_LAST,
            length=4096,
            library=library_file(prompts=prompts),
            readme=card("# e5-mistral", license="mit", tags=["mteb", "transformers"]),
        ),
    )


def _mistral_chat() -> Files:
    config = parts.decoder(
        "mistral",
        "MistralForCausalLM",
        rope_theta=1000000.0,
        sliding_window=None,
        tie_word_embeddings=False,
        rms_norm_eps=1e-05,
    )
    return folder(
        config,
        encoder_tensors("MistralForCausalLM", config, *QWEN_KEYS),
        tokenizers.llama(ends=False, chat_template=_CHAT),
        {
            "README.md": card("# Chat", pipeline_tag="text-generation", license="apache-2.0"),
            "generation_config.json": b"{}",
        },
    )


def _qwen_chat() -> Files:
    config = parts.decoder(
        "qwen2", "Qwen2ForCausalLM", max_window_layers=2, sliding_window=32768, use_sliding_window=False
    )
    return folder(
        config,
        encoder_tensors("Qwen2ForCausalLM", config, *QWEN_KEYS),
        tokenizers.qwen(chat=_CHAT),
        {
            "README.md": card("# Chat", pipeline_tag="text-generation", license="apache-2.0"),
            "generation_config.json": json_file({"do_sample": True, "temperature": 0.7}),
        },
    )


def _gemma2() -> Files:
    config = parts.decoder(
        "gemma2",
        "Gemma2Model",
        positions=8192,
        head_dim=8,
        hidden_activation="gelu_pytorch_tanh",
        hidden_act="gelu_pytorch_tanh",
        attn_logit_softcapping=50.0,
        final_logit_softcapping=30.0,
        query_pre_attn_scalar=8,
        sliding_window=4096,
        sliding_window_size=4096,
        cache_implementation="hybrid",
        attention_bias=False,
        bos_token_id=2,
        eos_token_id=1,
        pad_token_id=0,
        rope_theta=10000.0,
        torch_dtype="float32",
    )
    del config["rope_scaling"], config["tie_word_embeddings"]
    prompts = {"web_search_query": f"<instruct>{_QWEN_QUERY}\n<query>"}
    return folder(
        config,
        encoder_tensors("Gemma2Model", config, *QWEN_KEYS, "query_pre_attn_scalar", "sliding_window"),
        tokenizers.llama(ends=True, gemma=True, kind="GemmaTokenizer", padding_side="right"),
        pipeline(
            pooling=pooling_file(WIDTH, "lasttoken", include_prompt=True),
            length=8192,
            library=library_file(prompts=prompts),
        ),
    )


def _embedding_gemma(length: int | None = 2048) -> Files:
    config = parts.decoder(
        "gemma3_text",
        "Gemma3TextModel",
        positions=2048,
        head_dim=8,
        hidden_activation="gelu_pytorch_tanh",
        attn_logit_softcapping=None,
        final_logit_softcapping=None,
        query_pre_attn_scalar=8,
        sliding_window=512,
        use_bidirectional_attention=True,
        attention_bias=False,
        bos_token_id=2,
        eos_token_id=1,
        pad_token_id=0,
        rope_local_base_freq=10000.0,
        rope_theta=1000000.0,
        layer_types=["sliding_attention", "full_attention"],
        dtype="float32",
        transformers_version="4.57.0.dev0",
    )
    for key in ("hidden_act", "torch_dtype", "tie_word_embeddings"):
        del config[key]
    prompts = {
        "query": "task: search result | query: ",
        "document": "title: none | text: ",
        "BitextMining": "task: search result | query: ",
        "Clustering": "task: clustering | query: ",
        "STS": "task: sentence similarity | query: ",
    }
    identity = "torch.nn.modules.linear.Identity"
    return folder(
        config,
        encoder_tensors(
            "Gemma3TextModel",
            config,
            *QWEN_KEYS,
            "query_pre_attn_scalar",
            "layer_types",
            "use_bidirectional_attention",
            "sliding_window",
        ),
        tokenizers.llama(ends=True, gemma=True, kind="GemmaTokenizer", length=2048),
        pipeline(
            length=length,
            types=("Transformer", "Pooling", "Dense", "Dense", "Normalize"),
            pooling=pooling_file(WIDTH, "mean_tokens", include_prompt=True),
            library=library_file(prompts=prompts, model_type="SentenceTransformer", similarity_fn_name="cosine"),
            readme=card("# EmbeddingGemma", license="gemma", pipeline_tag="sentence-similarity"),
        ),
        dense_files("2_Dense", width=WIDTH, out=24, activation=identity, bias=False),
        dense_files("3_Dense", width=24, out=WIDTH, activation=identity, bias=False),
    )


_GEMMA_PROMPTS = {
    "query": "task: search result | query: ",
    "document": "title: none | text: ",
    "BitextMining": "task: search result | query: ",
    "Clustering": "task: clustering | query: ",
    "STS": "task: sentence similarity | query: ",
}


def _llama_bidirec() -> Files:
    config = parts.decoder(
        "llama_bidirec",
        "LlamaBidirectionalModel",
        positions=131072,
        pooling="avg",
        auto_map={
            "AutoConfig": "llama_bidirectional_model.LlamaBidirectionalConfig",
            "AutoModel": "llama_bidirectional_model.LlamaBidirectionalModel",
        },
    )
    tensors = encoder_tensors("LlamaModel", config, *QWEN_KEYS)
    return folder(config, tensors, tokenizers.llama(ends=False), pipeline(length=8192))


def _sgpt() -> Files:
    config = {
        "activation_function": "gelu_new",
        "architectures": ["GPTNeoModel"],
        "attention_dropout": 0,
        "attention_layers": ["global", "local"],
        "attention_types": [[["global", "local"], 1]],
        "bos_token_id": 1,
        "eos_token_id": 1,
        "hidden_size": WIDTH,
        "intermediate_size": None,
        "layer_norm_epsilon": 1e-05,
        "max_position_embeddings": 2048,
        "model_type": "gpt_neo",
        "num_heads": 2,
        "num_layers": 2,
        "vocab_size": 64,
        "window_size": 256,
        "tokenizer_class": "GPT2Tokenizer",
    }
    keys = ("num_layers", "num_heads", "attention_types", "bos_token_id", "eos_token_id")
    return folder(
        config,
        encoder_tensors("GPTNeoModel", config, *keys),
        tokenizers.roberta(kind="GPT2Tokenizer"),
        pipeline(
            pooling=pooling_file(WIDTH, "weightedmean_tokens", include_prompt=True),
            length=75,
            types=("Transformer", "Pooling"),
        ),
    )


def _embedding(architecture: str, length: int, **more: object) -> Answer:
    values = {"dimensions": WIDTH, "normalize": True, "pooling": Pooling.LAST_TOKEN, "prompts": {}, **more}
    return Answer(task=Task.EMBEDDING, architecture=architecture, max_input_tokens=length, **values)  # type: ignore[arg-type]


_QWEN_ANSWER = _embedding(
    "Qwen3Model", 32768, prompts={"query": _QWEN_QUERY, "document": ""}, end_token="<|endoftext|>"
)
_NOT_SILENT = (Reason.NOT_AN_EMBEDDING_MODEL, Reason.AMBIGUOUS_TASK)

DECODERS = (
    ModelFixture(
        name="Qwen/Qwen3-Embedding-0.6B",
        trap="the last token is one that only the tokenizer's post-processor appends; the query prompt ends without a "
        "space; the class in config.json is the chat model's",
        build=_qwen3_embedding,
        reference=_ST,
        answer=_QWEN_ANSWER,
    ),
    ModelFixture(
        name="Qwen/Qwen3-Embedding-4B",
        trap="weights in shards, bfloat16",
        build=lambda: _qwen3_embedding(shards=2),
        reference=_ST,
        answer=_QWEN_ANSWER,
    ),
    ModelFixture(
        name="Qwen/Qwen3-Embedding-4B",
        variant="a shard is missing",
        trap="the index names a file that is not there",
        build=lambda: {path: data for path, data in _qwen3_embedding(shards=3).items() if "00002-of" not in path},
        answer=Refused(reasons=(Reason.MISSING_FILE, Reason.INCOMPLETE_WEIGHTS), says="00002-of-00003"),
    ),
    ModelFixture(
        name="Alibaba-NLP/gte-Qwen2-1.5B-instruct",
        trap="is_causal false and an own tokenizer: its own code reads in both directions and appends the end token",
        build=_gte_qwen2,
        answer=Refused(reasons=(Reason.REMOTE_CODE_REQUIRED,)),
    ),
    ModelFixture(
        name="intfloat/e5-mistral-7b-instruct",
        trap="the end token that is read has to be appended",
        build=lambda: _e5_mistral(ends=True, says_ends=True),
        reference=_ST,
        answer=_embedding(
            "MistralModel",
            4096,
            end_token="</s>",
            prompts={
                "web_search_query": f"{_QWEN_QUERY} ",
                "sts_query": "Instruct: Retrieve semantically similar text\nQuery: ",
            },
        ),
    ),
    ModelFixture(
        name="intfloat/e5-mistral-7b-instruct",
        variant="the end token is lost",
        trap="tokenizer_config.json says add_eos_token, tokenizer.json does not do it: vectors of another token",
        build=lambda: _e5_mistral(ends=False, says_ends=True),
        answer=Refused(reasons=(Reason.CONTRADICTORY_EVIDENCE,), says="add_eos_token"),
    ),
    ModelFixture(
        name="BAAI/bge-multilingual-gemma2",
        trap="Gemma 2 with its last token",
        build=_gemma2,
        reference=_ST,
        answer=_embedding(
            "Gemma2Model", 8192, end_token="<eos>", prompts={"web_search_query": f"<instruct>{_QWEN_QUERY}\n<query>"}
        ),
    ),
    ModelFixture(
        name="google/embeddinggemma-300m",
        trap="attention in both directions by a switch in config.json; two Dense layers; NaN in float16",
        build=_embedding_gemma,
        reference=_ST,
        answer=_embedding(
            "Gemma3TextModel",
            2048,
            pooling=Pooling.MEAN,
            prompts=_GEMMA_PROMPTS,
            avoids="float16",
            modules=(("Dense", WIDTH, 24), ("Dense", 24, WIDTH)),
        ),
    ),
    ModelFixture(
        name="nvidia/llama-nemotron-embed-1b-v2",
        trap="Llama made bidirectional by its own code",
        build=_llama_bidirec,
        answer=Refused(reasons=(Reason.REMOTE_CODE_REQUIRED,)),
    ),
    ModelFixture(
        name="Muennighoff/SGPT-125M-weightedmean-nli-bitfit",
        trap="GPT-Neo, an architecture that is not known here",
        build=_sgpt,
        answer=Refused(reasons=(Reason.UNSUPPORTED_ARCHITECTURE,), says="gpt_neo"),
    ),
    ModelFixture(
        name="mistralai/Mistral-7B-Instruct-v0.3",
        trap="a chat model of a family that has embedders",
        build=_mistral_chat,
        answer=Refused(reasons=_NOT_SILENT),
    ),
    ModelFixture(
        name="Qwen/Qwen2.5-0.5B-Instruct",
        trap="a chat model: any vector it gives would look like one",
        build=_qwen_chat,
        answer=Refused(reasons=_NOT_SILENT),
    ),
    ModelFixture(
        name="Qwen/Qwen2.5-0.5B-Instruct",
        variant="task and pooling in the spec",
        trap="the user's own word, with a note",
        build=_qwen_chat,
        declared=Declared(task=Task.EMBEDDING, pooling=Pooling.LAST_TOKEN),
        answer=_embedding("Qwen2Model", 32768, normalize=False, end_token=UNSTATED, padding_side=UNSTATED),
    ),
)
