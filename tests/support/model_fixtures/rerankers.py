"""Rerankers and classifiers: how many logits, what becomes of them, and which models look like one and are not."""

from typing import Any

from embedding_model.refusal import Reason
from embedding_model.resolved import Activation, Declared, ScoreRule, Task
from model_fixtures import parts, tokenizers
from model_fixtures.decoders import QWEN_KEYS
from model_fixtures.fixture import Answer, Files, ModelFixture, Reference, Refused, Score
from model_fixtures.formats import card, json_file, modules_file
from model_fixtures.parts import encoder_tensors, folder, labels

_CE = Reference.CROSS_ENCODER
_IDENTITY = "torch.nn.modules.linear.Identity"
_HEAD = Score(rule=ScoreRule.CLASSIFICATION_HEAD)
_ONE = labels("LABEL_0")
_RANKING = card("# Reranker", pipeline_tag="text-ranking", license="apache-2.0", library_name="sentence-transformers")


def _bert(*names: str, readme: bytes | None = None, lowercase: bool = True, **changes: Any) -> Files:
    config = parts.bert("BertForSequenceClassification", **labels(*(names or ("LABEL_0",))), **changes)
    return folder(
        config,
        encoder_tensors("BertForSequenceClassification", config),
        tokenizers.wordpiece(lowercase=lowercase),
        {} if readme is None else {"README.md": readme},
    )


def _roberta(
    kind: str, *names: str, positions: int = 514, length: int = 512, readme: bytes | None = None, **changes: Any
) -> Files:
    architecture = "RobertaForSequenceClassification" if kind == "roberta" else "XLMRobertaForSequenceClassification"
    config = parts.roberta(architecture, kind=kind, positions=positions, **labels(*names), **changes)
    tokenizer = tokenizers.roberta(length=length) if kind == "roberta" else tokenizers.sentencepiece(length=length)
    return folder(
        config, encoder_tensors(architecture, config), tokenizer, {} if readme is None else {"README.md": readme}
    )


def _deberta(*names: str, readme: bytes | None = None, **changes: Any) -> Files:
    config = parts.deberta_v2("DebertaV2ForSequenceClassification", **labels(*names), **changes)
    keys = (
        "pos_att_type",
        "position_biased_input",
        "position_buckets",
        "relative_attention",
        "share_att_key",
        "norm_rel_ebd",
        "pooler_hidden_size",
        "pooler_hidden_act",
        "max_relative_positions",
    )
    return folder(
        config,
        encoder_tensors("DebertaV2ForSequenceClassification", config, *keys),
        tokenizers.deberta(),
        {} if readme is None else {"README.md": readme},
    )


def _modernbert() -> Files:
    config = parts.modernbert("ModernBertForSequenceClassification", **_ONE)
    keys = ("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "classifier_pooling")
    return folder(
        config,
        encoder_tensors("ModernBertForSequenceClassification", config, *keys),
        tokenizers.modernbert(),
        {"README.md": _RANKING},
    )


def _qwen3(architecture: str, *others: dict[str, bytes], chat: bool = True, **changes: Any) -> Files:
    config = parts.qwen3(architecture, positions=40960, **changes)
    tensors = encoder_tensors(architecture, config, *QWEN_KEYS)
    return folder(config, tensors, tokenizers.qwen(chat="{{ messages }}" if chat else None), *others)


def _logit_score() -> dict[str, bytes]:
    ids = tokenizers.qwen_ids()
    return {
        "modules.json": modules_file("Transformer", "LogitScore", folders=("", "1_LogitScore"), new=True),
        "1_LogitScore/config.json": json_file(
            {"true_token_id": ids["yes"], "false_token_id": ids["no"], "module_input_name": "causal_logits"}
        ),
        "sentence_bert_config.json": json_file(
            {
                "transformer_task": "text-generation",
                "modality_config": {
                    "text": {"method": "forward", "method_output_name": "logits"},
                    "message": {"method": "forward", "method_output_name": "logits", "format": "flat"},
                },
                "module_output_name": "causal_logits",
            }
        ),
        "config_sentence_transformers.json": json_file(
            {
                "__version__": {"sentence_transformers": "5.4.0", "transformers": "5.2.0", "pytorch": "2.10.0"},
                "activation_fn": "torch.nn.modules.activation.Sigmoid",
                "default_prompt_name": "query",
                "model_type": "CrossEncoder",
                "prompts": {"query": "Given a web search query, retrieve relevant passages that answer the query"},
            }
        ),
        "README.md": _RANKING,
    }


def _mxbai_v2() -> Files:
    config = parts.decoder(
        "qwen2",
        "Qwen2ForCausalLM",
        max_window_layers=2,
        sliding_window=32768,
        use_sliding_window=False,
        rope_theta=1000000.0,
    )
    readme = card(
        "# mxbai-rerank-base-v2", pipeline_tag="text-ranking", license="apache-2.0", library_name="transformers"
    )
    return folder(
        config,
        encoder_tensors("Qwen2ForCausalLM", config, *QWEN_KEYS),
        tokenizers.qwen(chat="{{ messages }}"),
        {"README.md": readme},
    )


def _gemma_reranker() -> Files:
    config = parts.decoder(
        "gemma",
        "GemmaForCausalLM",
        positions=8192,
        head_dim=8,
        num_key_value_heads=1,
        hidden_act="gelu",
        hidden_activation=None,
        attention_bias=False,
        bos_token_id=2,
        eos_token_id=1,
        pad_token_id=0,
        rope_theta=10000.0,
        torch_dtype="float32",
    )
    readme = card(
        "# bge-reranker-v2-gemma",
        license="apache-2.0",
        pipeline_tag="text-classification",
        tags=["transformers", "sentence-transformers"],
    )
    return folder(
        config,
        encoder_tensors("GemmaForCausalLM", config, *QWEN_KEYS),
        tokenizers.llama(ends=False, gemma=True, kind="GemmaTokenizer"),
        {"README.md": readme},
    )


def _rerank(architecture: str, length: int, *, score: Score = _HEAD, sigmoid: bool = True, **more: Any) -> Answer:
    return Answer(
        task=Task.RERANKING,
        architecture=architecture,
        max_input_tokens=length,
        score=score,
        activation=Activation.SIGMOID if sigmoid else Activation.IDENTITY,
        **more,
    )


def _classify(architecture: str, *names: str, activation: Activation = Activation.SOFTMAX, length: int = 512) -> Answer:
    return Answer(
        task=Task.CLASSIFICATION,
        architecture=architecture,
        max_input_tokens=length,
        labels=names,
        activation=activation,
    )


_YES_NO = Score(rule=ScoreRule.TOKEN_LOGITS, has_template=True, true_token="yes", false_token="no")
_BERT = "BertForSequenceClassification"
_XLMR = "XLMRobertaForSequenceClassification"
_DEBERTA = "DebertaV2ForSequenceClassification"

RERANKERS = (
    ModelFixture(
        name="cross-encoder/ms-marco-MiniLM-L6-v2",
        trap="declares Identity: raw logits, where others apply a sigmoid",
        build=lambda: _bert(
            readme=_RANKING, sentence_transformers={"activation_fn": _IDENTITY, "version": "4.1.0.dev0"}
        ),
        reference=_CE,
        answer=_rerank(_BERT, 512, sigmoid=False),
    ),
    ModelFixture(
        name="cross-encoder/ms-marco-MiniLM-L6-v2",
        variant="old revision",
        trap="the same under the older key of config.json",
        build=lambda: _bert(sbert_ce_default_activation_function=_IDENTITY),
        reference=_CE,
        answer=_rerank(_BERT, 512, sigmoid=False),
    ),
    ModelFixture(
        name="BAAI/bge-reranker-base",
        trap="514 positions hold 512 tokens; a head of two layers",
        build=lambda: _roberta("xlm-roberta", "LABEL_0"),
        reference=_CE,
        answer=_rerank(_XLMR, 512),
    ),
    ModelFixture(
        name="BAAI/bge-reranker-v2-m3",
        trap="8194 positions hold 8192 tokens",
        build=lambda: _roberta(
            "xlm-roberta",
            "LABEL_0",
            positions=8194,
            length=8192,
            readme=card("# bge-reranker", pipeline_tag="text-classification", license="apache-2.0"),
        ),
        reference=_CE,
        answer=_rerank(_XLMR, 8192),
    ),
    ModelFixture(
        name="cross-encoder/stsb-roberta-base",
        trap="trained on similarity, one logit, nothing says regression",
        build=lambda: _roberta("roberta", "LABEL_0", readme=_RANKING),
        reference=_CE,
        answer=_rerank("RobertaForSequenceClassification", 512),
    ),
    ModelFixture(
        name="mixedbread-ai/mxbai-rerank-base-v1",
        trap="DeBERTa: no token types, overflows in float16",
        build=lambda: _deberta("LABEL_0", readme=card("# mxbai-rerank", pipeline_tag="text-ranking")),
        reference=_CE,
        answer=_rerank(_DEBERTA, 512, avoids="float16"),
    ),
    ModelFixture(
        name="Alibaba-NLP/gte-reranker-modernbert-base",
        trap="the head pools as classifier_pooling says",
        build=_modernbert,
        reference=_CE,
        answer=_rerank("ModernBertForSequenceClassification", 8192),
    ),
    ModelFixture(
        name="Qwen/Qwen3-Reranker-0.6B",
        trap="looks like a chat model; scores are logits of yes and no under a fixed template",
        build=lambda: _qwen3(
            "Qwen3ForCausalLM",
            {
                "README.md": card(
                    "# Qwen3-Reranker",
                    license="apache-2.0",
                    library_name="transformers",
                    pipeline_tag="text-ranking",
                    base_model=["Qwen/Qwen3-0.6B-Base"],
                )
            },
        ),
        answer=_rerank("Qwen3ForCausalLM", 40960, score=_YES_NO, evidence=(("task", "weak"),)),
    ),
    ModelFixture(
        name="Qwen/Qwen3-Reranker-0.6B",
        variant="with sentence-transformers' files",
        trap="LogitScore names the two tokens by id",
        build=lambda: _qwen3("Qwen3ForCausalLM", _logit_score()),
        reference=_CE,
        answer=_rerank("Qwen3ForCausalLM", 40960, score=_YES_NO),
    ),
    ModelFixture(
        name="tomaarsen/Qwen3-Reranker-0.6B-seq-cls",
        trap="one logit, but the texts still have to be put into the template",
        build=lambda: _qwen3("Qwen3ForSequenceClassification", {"README.md": _RANKING}, **_ONE, pad_token_id=40),
        reference=_CE,
        answer=_rerank(
            "Qwen3ForSequenceClassification", 40960, score=Score(rule=ScoreRule.CLASSIFICATION_HEAD, has_template=True)
        ),
    ),
    ModelFixture(
        name="mixedbread-ai/mxbai-rerank-base-v2",
        trap="a brand whose second version is a language model",
        build=_mxbai_v2,
        answer=_rerank(
            "Qwen2ForCausalLM",
            32768,
            evidence=(("task", "weak"),),
            score=Score(rule=ScoreRule.TOKEN_LOGITS, has_template=True, true_token="1", false_token="0"),
        ),
    ),
    ModelFixture(
        name="BAAI/bge-reranker-v2-gemma",
        trap="a language model whose card says text-classification: nothing tells it from a chat model",
        build=_gemma_reranker,
        answer=Refused(reasons=(Reason.NOT_AN_EMBEDDING_MODEL, Reason.AMBIGUOUS_TASK), field="task", says="Reranking"),
    ),
    ModelFixture(
        name="BAAI/bge-reranker-v2-gemma",
        variant="declared a reranker",
        trap="the logit of one token alone is the score",
        build=_gemma_reranker,
        declared=Declared(task=Task.RERANKING),
        answer=_rerank(
            "GemmaForCausalLM",
            8192,
            score=Score(rule=ScoreRule.TOKEN_LOGITS, has_template=True, true_token="Yes"),
        ),
    ),
    ModelFixture(
        name="nlptown/bert-base-multilingual-uncased-regression",
        trap="one logit that is a number, not a relevance",
        build=lambda: _bert(problem_type="regression"),
        answer=Refused(reasons=(Reason.AMBIGUOUS_TASK,), field="task", says="regression"),
    ),
    ModelFixture(
        name="nlptown/bert-base-multilingual-uncased-regression",
        variant="declared a reranker",
        trap="the spec settles it",
        build=lambda: _bert(problem_type="regression"),
        declared=Declared(task=Task.RERANKING),
        answer=_rerank(_BERT, 512),
    ),
    ModelFixture(
        name="OpenAssistant/reward-model-deberta-v3-large-v2",
        trap="one logit that grades answers of a chat model",
        build=lambda: _deberta("LABEL_0", readme=card("# Reward model", license="mit", tags=["reward-model", "RLHF"])),
        answer=Refused(reasons=(Reason.AMBIGUOUS_TASK,), field="task", says="reward"),
    ),
    ModelFixture(
        name="cross-encoder/nli-deberta-v3-base",
        trap="from the cross-encoder family, but three labels: no reranker",
        build=lambda: _deberta(
            "contradiction", "entailment", "neutral", readme=card("# NLI", pipeline_tag="zero-shot-classification")
        ),
        reference=_CE,
        answer=_classify(_DEBERTA, "contradiction", "entailment", "neutral"),
    ),
    ModelFixture(
        name="cross-encoder/nli-deberta-v3-base",
        variant="asked for as a reranker",
        trap="three labels make no score",
        build=lambda: _deberta("contradiction", "entailment", "neutral"),
        declared=Declared(task=Task.RERANKING),
        answer=Refused(reasons=(Reason.TASK_MISMATCH,), field="task"),
    ),
    ModelFixture(
        name="SamLowe/roberta-base-go_emotions",
        trap="several labels may hold at once: sigmoid, not softmax",
        build=lambda: _roberta(
            "roberta", "admiration", "anger", "joy", "neutral", problem_type="multi_label_classification"
        ),
        reference=_CE,
        answer=_classify(
            "RobertaForSequenceClassification", "admiration", "anger", "joy", "neutral", activation=Activation.SIGMOID
        ),
    ),
    ModelFixture(
        name="acme/sentiment-bert",
        trap="two labels with names",
        build=lambda: _bert("NEGATIVE", "POSITIVE"),
        reference=_CE,
        answer=_classify(_BERT, "NEGATIVE", "POSITIVE"),
    ),
    ModelFixture(
        name="acme/sentiment-bert",
        variant="asked for as a reranker",
        trap="neither label means relevant",
        build=lambda: _bert("NEGATIVE", "POSITIVE"),
        declared=Declared(task=Task.RERANKING),
        answer=Refused(reasons=(Reason.TASK_MISMATCH, Reason.AMBIGUOUS_TASK), field="task"),
    ),
    ModelFixture(
        name="acme/yes-no-bert",
        trap="two labels that say no and yes, declared a reranker",
        build=lambda: _bert("no", "yes"),
        declared=Declared(task=Task.RERANKING),
        answer=Answer(
            task=Task.RERANKING,
            architecture=_BERT,
            max_input_tokens=512,
            labels=("no", "yes"),
            activation=Activation.SOFTMAX,
            score=Score(rule=ScoreRule.CLASSIFICATION_HEAD, label="yes"),
        ),
    ),
    ModelFixture(
        name="acme/broken-reranker",
        trap="config.json names a head that the weights lack: it would be random",
        build=lambda: folder(
            parts.bert(_BERT, **_ONE), encoder_tensors("BertModel", parts.bert()), tokenizers.wordpiece()
        ),
        answer=Refused(reasons=(Reason.INCOMPLETE_WEIGHTS,), says="classifier"),
    ),
    ModelFixture(
        name="dslim/bert-base-NER",
        trap="a head that labels tokens",
        build=lambda: _tokens(),
        answer=Refused(reasons=(Reason.NOT_AN_EMBEDDING_MODEL,)),
    ),
    ModelFixture(
        name="deepset/roberta-base-squad2",
        trap="a head that finds spans",
        build=lambda: _spans(),
        answer=Refused(reasons=(Reason.NOT_AN_EMBEDDING_MODEL,)),
    ),
)


def _tokens() -> Files:
    config = parts.bert("BertForTokenClassification", **labels("O", "B-PER", "I-PER"))
    return folder(config, encoder_tensors("BertForTokenClassification", config), tokenizers.wordpiece(lowercase=False))


def _spans() -> Files:
    config = parts.roberta("RobertaForQuestionAnswering")
    return folder(config, encoder_tensors("RobertaForQuestionAnswering", config), tokenizers.roberta())
