"""The text that `inspect` prints for people."""

from tiny_models import json_file, tiny_embedder

from embedding_model.inspection import inspect
from embedding_model.inspection.report import render_inspection
from embedding_model.sources.memory import MemorySource


def render(**changes: bytes | None) -> str:
    return render_inspection(inspect(MemorySource(tiny_embedder(**changes))))


def test_the_report_shows_each_value_with_the_file_that_said_so() -> None:
    lines = [" ".join(line.split()) for line in render().splitlines()]
    assert lines[:4] == [
        "Task Embedding",
        "Architecture BertModel (bert)",
        "Weights 10.0 KiB in 1 file, 1,552 parameters",
        "Pooling Mean",
    ]
    assert "Max input 16 tokens, cut on the right" in lines
    assert "pooling Mean 1_Pooling/config.json pooling_mode_mean_tokens" in lines
    assert "dimensions 8 model.safetensors embeddings.word_embeddings.weight (shape [17, 8])" in lines


def test_the_report_shows_what_was_overruled() -> None:
    _, _, overruled = render().partition("\nOverruled\n")
    assert (
        overruled.split()
        == (
            "maxInputTokens 32 (tokenizer_config.json model_max_length); "
            "40 (model.safetensors embeddings.position_embeddings.weight)"
        ).split()
    )


def test_prompts_are_shown_with_their_default() -> None:
    prompts = {"prompts": {"query": "query: ", "document": ""}, "default_prompt_name": "query"}
    text = render(**{"config_sentence_transformers.json": json_file(prompts)})
    assert 'query: "query: " (default)' in text
    assert 'document: ""' in text


def test_a_models_texts_cannot_steer_a_terminal() -> None:
    prompts = {"prompts": {"a\x1b[31m": "\x1b]0;title\x07\nrm -rf"}}
    text = render(**{"config_sentence_transformers.json": json_file(prompts)})
    assert all(line.isprintable() for line in text.splitlines())
    assert "\\x1b]0;title" in text


def test_columns_line_up() -> None:
    summary, _, _ = render().partition("\nEvidence\n")
    starts = {len(line) - len(line.split("  ", 1)[1].lstrip()) for line in summary.splitlines()}
    assert len(starts) == 1
