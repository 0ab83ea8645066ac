"""Our reading held against the libraries whose files these are: transformers and sentence-transformers."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from tiny_models import ENCODERS, LAYERS, SIZES, size_keys

from embedding_model.inspection import inspect
from embedding_model.inspection.families import ACTIVATIONS, FAMILIES
from embedding_model.resolved import Inspection, Pooling
from embedding_model.sources.folder import FolderSource

MODES = {
    "cls": Pooling.CLS,
    "max": Pooling.MAX,
    "mean": Pooling.MEAN,
    "mean_sqrt_len_tokens": Pooling.MEAN_SQRT_LENGTH,
    "weightedmean": Pooling.WEIGHTED_MEAN,
    "lasttoken": Pooling.LAST_TOKEN,
}


def build_encoder(family: str) -> Any:
    """A tiny model of transformers' own class, weights from a fixed seed."""
    import torch
    import transformers

    architecture = FAMILIES[family].architecture
    config_class = getattr(transformers, architecture.removesuffix("Model") + "Config")
    torch.manual_seed(7)
    sizes = {**SIZES, "layers": LAYERS}
    config = config_class(**{key: sizes[symbol] for symbol, key in size_keys(family).items()})
    return getattr(transformers, architecture)(config)


def test_transformers_knows_every_activation_that_is_let_through() -> None:
    from transformers.activations import ACT2CLS

    assert set(ACT2CLS) >= ACTIVATIONS


@pytest.mark.parametrize("family", ENCODERS)
def test_the_longest_input_is_the_longest_that_the_class_can_embed(family: str) -> None:
    """One token more and the class indexes behind its last position."""
    import torch

    model = build_encoder(family).eval()
    length = SIZES["positions"] - (0 if family in ("bert", "distilbert") else 2)
    with torch.inference_mode():
        model(input_ids=torch.full((1, length), 5))
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, length + 1), 5))


def save_embedder(folder: Path, *, mode: str, normalize: bool, prompts: dict[str, str]) -> Any:
    """A tiny embedder as the installed sentence-transformers saves it today."""
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    library = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(SIZES["vocabulary"] - 4))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    encoder = folder / "encoder"
    build_encoder("bert").save_pretrained(encoder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", model_max_length=32).save_pretrained(encoder)
    modules = [
        library.Transformer(str(encoder), max_seq_length=16),
        library.Pooling(SIZES["hidden"], pooling_mode=mode),
    ]
    if normalize:
        modules.append(library.Normalize())
    model = SentenceTransformer(modules=modules, prompts=prompts, device="cpu")
    model.save_pretrained(str(folder / "saved"), create_model_card=False)
    return SentenceTransformer(str(folder / "saved"), device="cpu")


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_what_sentence_transformers_saves_is_read_as_it_reads_it(tmp_path: Path, mode: str, normalize: bool) -> None:
    reference = save_embedder(tmp_path, mode=mode, normalize=normalize, prompts={"query": "w1 ", "document": ""})
    found = inspect(FolderSource(tmp_path / "saved"))
    assert found.pooling is MODES[mode]
    assert found.normalize is normalize
    assert_agrees(found, reference=reference)


def assert_agrees(found: Inspection, *, reference: Any) -> None:
    assert found.dimensions == reference.get_embedding_dimension()
    assert found.max_input_tokens == reference.max_seq_length
    assert {prompt.name: prompt.text for prompt in found.prompts} == {
        name: text for name, text in reference.prompts.items() if text or found.prompts
    }
    assert found.default_prompt == reference.default_prompt_name
    assert found.normalize == any(type(module).__name__ == "Normalize" for module in reference)
    assert MODES[reference[1].pooling_mode] is found.pooling
    assert found.include_prompt is reference[1].include_prompt


@pytest.mark.parametrize("folder", ["minilm_folder", "sre_folder"])
def test_published_models_are_read_as_sentence_transformers_reads_them(
    folder: str, request: pytest.FixtureRequest
) -> None:
    from sentence_transformers import SentenceTransformer

    path = request.getfixturevalue(folder)
    found = inspect(FolderSource(path))
    assert_agrees(found, reference=SentenceTransformer(str(path), device="cpu"))
    assert (found.architecture, found.dimensions, found.max_input_tokens) == ("BertModel", 384, 256)
    assert (found.pooling, found.normalize, found.matryoshka_dimensions) == (Pooling.MEAN, True, ())
