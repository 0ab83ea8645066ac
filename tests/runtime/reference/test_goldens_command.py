"""`embedding-runtime goldens`: for people, and the process of a Job."""

import logging
import re
from pathlib import Path

import httpx
import pytest
import seeded_models
from click.testing import CliRunner
from command_line import run
from reference_under_test import Resolved, answer, resolve
from served_process import ServedProcess

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import JobReport, JobState, ReferenceSet
from embedding_model.sources.progress import Meter
from embedding_runtime import resolve_job
from embedding_runtime.__main__ import main
from embedding_runtime.commands import goldens as goldens_command
from embedding_runtime.reference.environment import prepare_environment

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Resolved:
    return resolve(seeded_models.build(tmp_path_factory.mktemp("bert") / "model", family="bert", max_length=24))


@pytest.fixture
def libraries_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """They look at the environment once, and this process has imported them before; it has a log of its own too."""
    monkeypatch.setattr(goldens_command, "prepare_environment", lambda: None)
    monkeypatch.setattr(goldens_command, "configure_logging", lambda log_format: None)


def test_the_file_that_it_writes_passes_and_says_what_made_it(
    right: Resolved, tmp_path: Path, libraries_imported: None
) -> None:
    output = tmp_path / "goldens.jsonl"
    arguments = ["--model", str(right.folder), "--output", str(output), "--min-cosine-similarity", "0.9995"]
    done = CliRunner().invoke(main, ["goldens", *arguments])
    assert done.exit_code == 0, done.output
    assert f"40 cases of the space {right.model.space} by sentence-transformers" in done.stderr
    cases = CaseSet.from_jsonl(output.read_bytes()).cases
    assert {getattr(case, "min_cosine_similarity", None) for case in cases} == {"0.9995"}
    assert all(result.passed for result in answer(right, cases=cases))


def test_without_a_file_the_cases_are_its_output(right: Resolved, libraries_imported: None) -> None:
    done = CliRunner().invoke(main, ["goldens", "--resolved", str(right.path), "--model", str(right.folder)])
    assert done.exit_code == 0, done.output
    assert len(CaseSet.from_jsonl(done.stdout_bytes).cases) == 40


def test_the_libraries_are_told_to_be_quiet_and_to_stay_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    monkeypatch.setattr("os.environ", environment)
    monkeypatch.setattr(logging.getLogger("sentence_transformers"), "level", logging.NOTSET)
    prepare_environment()
    assert environment["HF_HUB_OFFLINE"] == environment["TRANSFORMERS_OFFLINE"] == "1"
    assert int(environment["OMP_NUM_THREADS"]) >= 1
    assert logging.getLogger("sentence_transformers").level == logging.WARNING


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give either --model, or --cache and --resolved"),
        (["--model", "a", "--cache", "b"], "give either --model, or --cache and --resolved"),
        (["--cache", "b"], "give either --model, or --cache and --resolved"),
        (["--model", "a", "--min-cosine-similarity", "1.5"], "above 0 and up to 1"),
        (["--model", "a", "--min-cosine-similarity", "0,9"], "above 0 and up to 1"),
        (["--model", "a", "--device", "tpu"], "is not one of"),
    ],
)
def test_bad_usage_is_said(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(main, ["goldens", *arguments])
    assert result.exit_code == 2
    assert says in result.output


def test_a_folder_that_is_not_there_is_refused() -> None:
    done = run("goldens", "--model", "/nowhere")
    assert done.returncode == 1
    assert re.match(r"[A-Za-z]+: .*/nowhere", done.stderr.splitlines()[-1])


def test_the_job_ends_at_once_when_it_is_told_to_and_answers_only_the_operator(right: Resolved, tmp_path: Path) -> None:
    arguments = ["--resolved", str(right.path), "--model", str(right.folder), "--keys", str(tmp_path / "keys")]
    with ServedProcess.real(tmp_path / "log", "goldens", *arguments) as process:
        process.wait("/live")
        assert httpx.get(f"{process.private_url}/result").status_code == 403
        process.terminate()
        assert process.exit_status() == 0


async def test_the_report_of_the_job_is_the_set() -> None:
    found = ReferenceSet(space="sp1-" + "ab" * 16, implementation="a library", goldens=(), holdout=())
    report = await resolve_job._report(lambda meter: found, meter=Meter(), serves_refusals=False)
    assert report == JobReport(state=JobState.DONE, reference=found)
    assert JobReport.from_json(report.to_json()) == report


def test_the_image_of_the_reference_adds_to_that_of_the_runtime_and_changes_nothing() -> None:
    def read(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        return dict(re.findall(r"^([a-zA-Z0-9_.-]+)==([^ ;]+)", text, flags=re.MULTILINE))

    runtime, reference = read("runtime"), read("reference")
    assert runtime.items() <= reference.items()
    assert "sentence-transformers" in reference.keys() - runtime.keys()
