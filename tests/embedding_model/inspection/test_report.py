"""The text that `inspect` prints for people."""

from tiny_models import json_file, tiny_embedder

from embedding_model.inspection import inspect
from embedding_model.inspection.report import render_inspection
from embedding_model.resolved import ScoreRule, Scoring, Task, TokenHead, TokenHeadKind
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


def test_a_template_is_shown_with_the_instruction_that_it_is_filled_with() -> None:
    model = inspect(MemorySource(tiny_embedder())).model_copy(update={"task": Task.RERANKING})
    shown = {}
    for template, instruction in (
        ("bge-reranker-v2-gemma", None),
        ("bge-reranker-v2-gemma", "Find runbooks."),
        ("mxbai-rerank-v2", None),
    ):
        scoring = Scoring(rule=ScoreRule.TOKEN_LOGITS, template=template, instruction=instruction)
        lines = render_inspection(model.model_copy(update={"scoring": scoring})).splitlines()
        shown[template, instruction] = next(line for line in lines if line.startswith("Instruction"))
    own, of_the_files, none = (line.split(maxsplit=1)[1] for line in shown.values())
    assert own.startswith('"Given a query A and a passage B')
    assert own.endswith("(the template's own)")
    assert (of_the_files, none) == ('"Find runbooks."', "none")


def test_further_heads_are_among_what_the_model_is() -> None:
    heads = (
        TokenHead(kind=TokenHeadKind.SPARSE, file="sparse_linear.safetensors", output_dimensions=1),
        TokenHead(kind=TokenHeadKind.MULTI_VECTOR, file="colbert_linear.safetensors", output_dimensions=1024),
    )
    model = inspect(MemorySource(tiny_embedder())).model_copy(update={"token_heads": heads})
    lines = [" ".join(line.split()) for line in render_inspection(model).splitlines()]
    assert "Further head Sparse, 1 value a token (sparse_linear.safetensors)" in lines
    assert "Further head MultiVector, 1024 values a token (colbert_linear.safetensors)" in lines
