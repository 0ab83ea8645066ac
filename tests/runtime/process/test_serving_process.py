"""The real command with a real model: what clients, operators and the kubelet see."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
from served_process import ServedProcess

from embedding_model.goldens.cases import CaseSet, SimilarityCase
from embedding_model.refusal import Reason, RefusalDocument
from embedding_runtime.served_model import resolve_folder
from embedding_runtime.termination import report_failure

SUNNY = ("The weather is lovely today.", "It's so sunny outside!")
RIGHT = SimilarityCase(name="weather", a=SUNNY[0], b=SUNNY[1], expected="0.6660", tolerance="0.005")
WRONG = RIGHT.model_copy(update={"name": "wrong", "expected": "0.1"})


@pytest.fixture(scope="module")
def resolved(minilm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("resolved") / "model.json"
    path.write_bytes(resolve_folder(minilm_folder).to_json())
    return path


def write_cases(path: Path, *cases: SimilarityCase) -> Path:
    path.write_bytes(CaseSet(cases=cases).to_jsonl())
    return path


@pytest.fixture(scope="module")
def server(minilm_folder: Path, resolved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedProcess]:
    folder = tmp_path_factory.mktemp("server")
    goldens = write_cases(folder / "goldens.jsonl", RIGHT)
    environment = {"EMBEDDING_RUNTIME_RESOLVED": str(resolved), "EMBEDDING_RUNTIME_DRAIN_SECONDS": "0"}
    arguments = ["serve", "--model", str(minilm_folder), "--goldens", str(goldens)]
    arguments += ["--served-name", "minilm", "--served-name", "text-embedding-3-small"]
    with ServedProcess.real(folder / "log", *arguments, environment=environment) as process:
        process.wait("/ready")
        yield process


@pytest.fixture
def sdk(server: ServedProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_the_openai_sdk_gets_its_vectors(sdk: openai.OpenAI) -> None:
    answer = sdk.embeddings.create(model="minilm", input=list(SUNNY))
    a, b = (np.array(entry.embedding) for entry in answer.data)
    assert a.shape == (384,)
    assert float(a @ b) == pytest.approx(0.6660, abs=0.001)
    assert answer.usage.total_tokens > 10


def test_the_openai_sdk_gets_its_dimensions_and_its_errors(sdk: openai.OpenAI) -> None:
    assert (
        len(sdk.embeddings.create(model="text-embedding-3-small", input="hello", dimensions=64).data[0].embedding) == 64
    )
    with pytest.raises(openai.NotFoundError, match="Served: minilm"):
        sdk.embeddings.create(model="ada", input="hello")
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
        sdk.embeddings.create(model="minilm", input=[[15339, 1917]])
    assert [model.id for model in sdk.models.list()] == ["minilm", "text-embedding-3-small"]


def test_five_hundred_texts_in_one_call_equal_the_same_texts_one_by_one(sdk: openai.OpenAI) -> None:
    texts = [f"passage {index} about the number {index * 7919}" for index in range(500)]
    together = np.array([entry.embedding for entry in sdk.embeddings.create(model="minilm", input=texts).data])
    for index in (0, 123, 499):
        alone = sdk.embeddings.create(model="minilm", input=texts[index]).data[0].embedding
        assert float(np.array(alone) @ together[index]) >= 0.9999


def test_metrics_tell_the_golden_case_and_the_model(server: ServedProcess) -> None:
    metrics = httpx.get(f"{server.private_url}/metrics").text
    assert 'embedding_golden_case_passed{case="weather",kind="similarity"} 1.0' in metrics
    assert "embedding_ready 1.0" in metrics
    assert 'path="native BertEncoder"' in metrics


def test_info_shows_where_each_value_comes_from(server: ServedProcess) -> None:
    info = httpx.get(f"{server.url}/info").json()
    assert {entry["field"] for entry in info["evidence"]} >= {"pooling", "dimensions"}


def test_no_log_line_holds_a_users_text(server: ServedProcess, sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        sdk.embeddings.create(model="minilm", input=["verysecretword", 3])  # type: ignore[list-item]
    sdk.embeddings.create(model="minilm", input="verysecretword")
    assert "verysecretword" not in server.log.read_text()


def test_a_pod_whose_golden_case_fails_starts_stays_live_and_is_never_ready(
    minilm_folder: Path, tmp_path: Path
) -> None:
    goldens = write_cases(tmp_path / "goldens.jsonl", RIGHT, WRONG)
    arguments = ["serve", "--model", str(minilm_folder), "--goldens", str(goldens), "--drain-seconds", "0"]
    with ServedProcess.real(tmp_path / "log", *arguments) as process:
        process.wait("/startup")
        ready = process.detail("/ready", containing="golden cases failed")
        assert process.probe("/live") == 200
        answer = httpx.post(f"{process.url}/v1/embeddings", json={"model": minilm_folder.name, "input": "hello"})
        process.terminate()
        assert process.exit_status() == 0
    assert "wrong: similarity 0.66" in ready
    assert answer.status_code == 503
    assert SUNNY[0] not in (tmp_path / "log").read_text()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "embedding_runtime", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_wrong_hash_ends_the_process_with_file_and_both_hashes(
    minilm_folder: Path, resolved: Path, tmp_path: Path
) -> None:
    document = json.loads(resolved.read_text())
    entry = next(file for file in document["manifest"]["files"] if file["path"] == "model.safetensors")
    right, wrong = entry["sha256"], "0" * 64
    entry["sha256"] = wrong
    (tmp_path / "model.json").write_text(json.dumps(document))

    ended = run(
        "serve", "--model", str(minilm_folder), "--resolved", str(tmp_path / "model.json"),
        "--host", "127.0.0.1", "--port", "0", "--private-port", "0",
    )  # fmt: skip

    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("error: HashMismatch: model.safetensors")
    assert right in last
    assert wrong in last


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--served-name", "a=none"], "prompt none"),
        (["--goldens", "/nowhere/goldens.jsonl"], "MissingFile"),
        (["--resolved", "/nowhere/model.json"], "MissingFile"),
    ],
)
def test_what_cannot_be_served_as_asked_ends_the_process_with_a_reason(
    minilm_folder: Path, arguments: list[str], says: str
) -> None:
    ended = run(
        "serve", "--model", str(minilm_folder), "--host", "127.0.0.1", "--port", "0", "--private-port", "0", *arguments
    )
    assert ended.returncode == 1
    assert says in ended.stderr.splitlines()[-1]


def test_a_port_that_is_taken_ends_the_process_with_its_number(server: ServedProcess, minilm_folder: Path) -> None:
    taken = str(server.port)
    ended = run("serve", "--model", str(minilm_folder), "--host", "127.0.0.1", "--port", taken, "--private-port", "0")
    assert ended.returncode == 1
    assert f"port {taken}" in ended.stderr


def test_bad_usage_exits_with_2() -> None:
    assert run("serve").returncode == 2
    assert run("serve", "--model", "/nowhere", "--device", "tpu").returncode == 2


def test_a_refusal_is_left_where_the_kubelet_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from embedding_model.refusal import Refusal

    log = tmp_path / "termination-log"
    log.touch()
    assert report_failure(Refusal(Reason.HASH_MISMATCH, "model.safetensors: ..."), log=log) == 1
    assert RefusalDocument.model_validate_json(log.read_text()).reason is Reason.HASH_MISMATCH
    assert capsys.readouterr().err == "error: HashMismatch: model.safetensors: ...\n"

    report_failure(Refusal(Reason.HASH_MISMATCH, "x"), log=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_sigterm_while_loading_ends_at_once(minilm_folder: Path, tmp_path: Path) -> None:
    with ServedProcess.real(tmp_path / "log", "serve", "--model", str(minilm_folder)) as process:
        process.wait("/live")
        process.terminate()
        assert process.exit_status() == 0
