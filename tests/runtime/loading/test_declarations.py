"""A folder whose files leave open what the model is: the flags of `serve` settle it, as a spec does."""

from pathlib import Path

import pytest
import seeded_models
from click.testing import CliRunner
from seeded_models import ByteLevel

from embedding_model.inspection.families.heads import Head
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Pooling, Task
from embedding_runtime.commands.serve import serve
from embedding_runtime.loading import load_model
from embedding_runtime.served_model import resolve_folder
from embedding_runtime.settings import Device, ServeSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model as it is published: nothing but its name would say that it reranks."""
    folder = tmp_path_factory.mktemp("built") / "model"
    head = Head.CAUSAL_LANGUAGE_MODEL
    return seeded_models.build(folder, family="qwen3", head=head, tokenizer=ByteLevel(end=None), max_length=480)


def test_a_bare_language_model_reranks_where_its_task_is_named(folder: Path) -> None:
    with pytest.raises(Refusal) as refused:
        load_model(ServeSettings(model=folder, device=Device.CPU))
    found = load_model(ServeSettings(model=folder, device=Device.CPU, task=Task.RERANKING)).model

    assert refused.value.reason is Reason.NOT_AN_EMBEDDING_MODEL
    assert found.serving.task is Task.RERANKING
    assert found.resolved.inspection.scoring is not None
    assert found.resolved.inspection.scoring.template == "qwen3-reranker"


def test_a_pooling_settles_or_overrules_what_the_files_say(folder: Path, tmp_path: Path) -> None:
    bare = ServeSettings(model=folder, device=Device.CPU, task=Task.EMBEDDING, pooling=Pooling.LAST_TOKEN)
    saved = seeded_models.build(tmp_path / "model", family="bert", pooling="mean")
    overruled = load_model(ServeSettings(model=saved, device=Device.CPU, pooling=Pooling.CLS)).model

    assert load_model(bare).model.serving.pooling is Pooling.LAST_TOKEN
    assert overruled.serving.pooling is Pooling.CLS
    assert overruled.space != resolve_folder(saved).space


@pytest.mark.parametrize("flag", [("--task", "Embedding"), ("--pooling", "Cls")])
def test_a_resolved_model_says_itself_what_it_is(flag: tuple[str, str], tmp_path: Path) -> None:
    resolved = tmp_path / "model.json"
    resolved.write_bytes(b"{}")

    result = CliRunner().invoke(serve, ["--model", str(tmp_path), "--resolved", str(resolved), *flag])

    assert result.exit_code == 2
    assert "leave --task and --pooling out" in result.output
