"""Pooling, prompts, lower case and truncation against sentence-transformers, on a tiny BERT with seeded weights."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loaded_model import Loaded

from embedding_model.resolved import Pooling
from embedding_runtime.architectures.native.bert import fits

MODES = {
    Pooling.CLS: "cls",
    Pooling.MEAN: "mean",
    Pooling.MAX: "max",
    Pooling.MEAN_SQRT_LENGTH: "mean_sqrt_len_tokens",
    Pooling.WEIGHTED_MEAN: "weightedmean",
    Pooling.LAST_TOKEN: "lasttoken",
}
WORDS = "the quick brown fox jumps over lazy dogs near a big river of milk".split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, ":", "query", "Query", "Fox"]
TEXTS = ["the fox", "", "Fox fox FOX", "a quick brown dog near the river", "big " * 40, "jumps over milk"]


def save(
    folder: Path,
    *,
    family: str = "bert",
    activation: str = "gelu",
    mode: str = "mean",
    normalize: bool = True,
    lowercase: bool = False,
    tokenizer_lowercases: bool = True,
    include_prompt: bool = True,
    prompts: dict[str, str] | None = None,
) -> Path:
    """As sentence-transformers saves a model."""
    import torch
    import transformers
    from tokenizers import BertWordPieceTokenizer

    torch.manual_seed(7)
    sizes = {"vocab_size": len(VOCABULARY), "max_position_embeddings": 40, "pad_token_id": 0}
    if family == "distilbert":
        config = transformers.DistilBertConfig(dim=32, n_layers=2, n_heads=4, hidden_dim=64, **sizes)
    else:
        classes = {"bert": transformers.BertConfig, "xlm-roberta": transformers.XLMRobertaConfig}
        classes |= {"roberta": transformers.RobertaConfig, "mpnet": transformers.MPNetConfig}
        config = classes[family](
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            hidden_act=activation,
            **sizes,
        )
    model = transformers.AutoModel.from_config(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder)
    tokenizer = BertWordPieceTokenizer(
        vocab={word: index for index, word in enumerate(VOCABULARY)}, lowercase=tokenizer_lowercases
    )
    tokenizer.enable_padding(length=8)
    tokenizer.enable_truncation(max_length=4)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    modules = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    files: dict[str, Any] = {
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": 512,
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
        "modules.json": [
            {
                "idx": n,
                "name": str(n),
                "path": f"{n}_{kind}" if n else "",
                "type": f"sentence_transformers.models.{kind}",
            }
            for n, kind in enumerate(modules)
        ],
        "sentence_bert_config.json": {"max_seq_length": 16, "do_lower_case": lowercase},
        "config_sentence_transformers.json": {"prompts": prompts or {}, "default_prompt_name": None},
        "1_Pooling/config.json": {
            "word_embedding_dimension": 32,
            "include_prompt": include_prompt,
            **{f"pooling_mode_{_key(name)}": name == mode for name in MODES.values()},
        },
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


def _key(mode: str) -> str:
    """The key of a mode in a saved pooling configuration."""
    words = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "weightedmean": "weightedmean_tokens"}
    return words.get(mode, mode)


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("normalize", [True, False], ids=["normalised", "raw"])
def test_every_pooling_mode_equals_the_reference(
    mode: Pooling, normalize: bool, tmp_path: Path, reference: Callable[[Path], Any]
) -> None:
    folder = save(tmp_path, mode=MODES[mode], normalize=normalize)
    model = Loaded(folder)
    assert model.serving.pooling is mode

    expected = reference(folder).encode(TEXTS, show_progress_bar=False)

    np.testing.assert_allclose(model.encode(TEXTS), expected, rtol=1e-4, atol=1e-5)
    alone = np.concatenate([model.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_prompt_that_pooling_leaves_out_equals_the_reference(
    mode: Pooling, tmp_path: Path, reference: Callable[[Path], Any]
) -> None:
    folder = save(tmp_path, mode=MODES[mode], include_prompt=False, prompts={"query": "query : the big "})
    model = Loaded(folder)
    texts = [text for text in TEXTS if text]

    expected = reference(folder).encode(texts, prompt_name="query", show_progress_bar=False)

    found = model.encode(texts, prompt=model.serving.prompt("query"))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(found - model.encode(texts)).max() > 1e-2, "the prompt must matter"


def test_a_prompt_that_pooling_counts_equals_the_reference(tmp_path: Path, reference: Callable[[Path], Any]) -> None:
    folder = save(tmp_path, prompts={"query": "query : "})
    model = Loaded(folder)

    expected = reference(folder).encode(TEXTS, prompt_name="query", show_progress_bar=False)

    np.testing.assert_allclose(
        model.encode(TEXTS, prompt=model.serving.prompt("query")), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("lowercase", [True, False])
def test_lower_case_is_the_models_own_choice(lowercase: bool, tmp_path: Path, reference: Callable[[Path], Any]) -> None:
    folder = save(tmp_path, lowercase=lowercase, tokenizer_lowercases=False)
    model = Loaded(folder)

    expected = reference(folder).encode(TEXTS, show_progress_bar=False)

    np.testing.assert_allclose(model.encode(TEXTS), expected, rtol=1e-4, atol=1e-5)
    [upper], [lower] = model.tokens("Fox"), model.tokens("fox")
    assert (list(upper.ids) == list(lower.ids)) is lowercase


def test_truncation_counts_special_tokens_and_ignores_the_tokenizers_own_settings(tmp_path: Path) -> None:
    [long, short] = Loaded(save(tmp_path)).tokens("big " * 40, "big")

    assert len(long.ids) == 16
    assert (long.ids[0], long.ids[-1]) == (VOCABULARY.index("[CLS]"), VOCABULARY.index("[SEP]"))
    assert long.truncated
    assert (len(short.ids), short.truncated) == (3, False)


def test_a_vocabulary_alone_gives_the_same_tokens(tmp_path: Path) -> None:
    folder = save(tmp_path)
    whole = Loaded(folder).tokens(*TEXTS)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')

    assert [list(tokens.ids) for tokens in Loaded(folder).tokens(*TEXTS)] == [list(tokens.ids) for tokens in whole]


@pytest.mark.parametrize(
    ("family", "activation", "implementation"),
    [
        ("bert", "gelu", "native BertEncoder"),
        ("bert", "gelu_new", "native BertEncoder"),
        ("bert", "relu", "native BertEncoder"),
        ("bert", "silu", "transformers BertModel"),
        ("roberta", "gelu", "native BertEncoder"),
        ("xlm-roberta", "gelu", "native BertEncoder"),
        ("mpnet", "gelu", "transformers MPNetModel"),
        ("distilbert", "gelu", "transformers DistilBertModel"),
    ],
)
def test_every_family_equals_the_reference_by_its_own_code_or_by_transformers(
    family: str, activation: str, implementation: str, tmp_path: Path, reference: Callable[[Path], Any]
) -> None:
    folder = save(tmp_path, family=family, activation=activation)
    model = Loaded(folder)

    expected = reference(folder).encode([*TEXTS, "a [PAD] inside"], show_progress_bar=False)

    assert model.backend.path == implementation
    np.testing.assert_allclose(model.encode([*TEXTS, "a [PAD] inside"]), expected, rtol=1e-4, atol=1e-5)


def test_a_transformer_in_its_own_folder_is_served_and_not_the_one_in_the_root(
    tmp_path: Path, reference: Callable[[Path], Any]
) -> None:
    own = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json")
    folder, other = save(tmp_path / "model"), save(tmp_path / "other", mode="cls", family="roberta")
    (folder / "0_Transformer").mkdir()
    for name in own:
        (folder / name).rename(folder / "0_Transformer" / name)
        (folder / name).write_bytes((other / name).read_bytes())
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    model = Loaded(folder)

    expected = reference(folder).encode(TEXTS, show_progress_bar=False)

    np.testing.assert_allclose(model.encode(TEXTS), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("missing", ["pad_token_id", "layer_norm_eps", "hidden_act", "num_attention_heads"])
def test_a_configuration_that_leaves_something_to_defaults_is_not_read_by_our_own_code(
    missing: str, tmp_path: Path
) -> None:
    config = json.loads((save(tmp_path) / "config.json").read_text())
    assert fits(config)

    del config[missing]

    assert not fits(config)
