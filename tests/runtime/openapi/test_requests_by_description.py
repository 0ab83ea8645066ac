"""Schemathesis asks a live server whatever the description allows, and what it does not: no answer lies outside of it.

It runs as its own command: only there is its phase of coverage, which goes through every constraint of every field.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest
from served_process import ServedProcess

from embedding_model.resolved import Task

# A description cannot say what depends on several fields at once, so what fits it may be refused. What does not fit it
# must be.
CONFIGURATION = """
[checks]
positive_data_acceptance.enabled = false
negative_data_rejection.expected-statuses = [400, 404, 405, 412, 413, 422, 424]
"""

# Paths that answer for each task; the others refuse its models, which one run over all paths shows.
OWN_PATHS = {
    Task.EMBEDDING: "^/(?!rerank|predict|v./rerank|(openai|cohere|jina|tei)/)",
    Task.RERANKING: "^/(v./)?rerank$",
    Task.CLASSIFICATION: "^/predict$",
    Task.SPARSE: "^/embed_sparse$",
}
MOST_SECONDS = 600


def ask_all(task: Task, *, paths: str, examples: int, folder: Path) -> Counter[tuple[str, int]]:
    """Runs schemathesis, which has to find nothing. How often each route answered with each status.

    Without pins: it would mostly pin another space than the answer's, which is refused before all else.
    """
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION, encoding="utf-8")
    with ServedProcess.of_task(task, log=folder / "log") as server:
        server.wait("/ready")
        description = httpx.get(f"{server.url}/openapi.json").json()
        for operation in (operation for methods in description["paths"].values() for operation in methods.values()):
            if "requestBody" in operation:
                del operation["parameters"]
        (folder / "openapi.json").write_text(json.dumps(description), encoding="utf-8")
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "--no-color", "--config-file", str(configuration)),
            *("run", "openapi.json", "--url", server.url, "--include-path-regex", paths),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", str(examples), "--continue-on-failure"),
            *("--generation-deterministic", "--suppress-health-check", "all"),
        ]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=MOST_SECONDS)
        metrics = httpx.get(f"{server.private_url}/metrics").text
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-5000:]
    log = (folder / "log").read_text(encoding="utf-8")
    assert "Traceback" not in log, log[-5000:]
    return count_answers(metrics)


def count_answers(metrics: str) -> Counter[tuple[str, int]]:
    """From the server's own counter of requests."""
    found: Counter[tuple[str, int]] = Counter()
    for line in metrics.splitlines():
        if line.startswith("embedding_requests_total{"):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            found[labels["route"], int(labels["status"])] += int(float(line.rpartition(" ")[2]))
    return found


@pytest.mark.parametrize("task", list(Task))
def test_every_answer_is_one_that_the_description_names(task: Task, tmp_path: Path) -> None:
    answers = ask_all(task, paths=OWN_PATHS[task], examples=5, folder=tmp_path)
    assert all(status < 500 for _, status in answers)
    asked = {route for route, _ in answers if re.search(OWN_PATHS[task], route) and route}
    answered = {route for route, status in answers if status == 200}
    assert asked - answered == set()


@pytest.mark.soak
@pytest.mark.parametrize("task", list(Task))
def test_every_answer_of_many_more_is_one_that_the_description_names(task: Task, tmp_path: Path) -> None:
    answers = ask_all(task, paths="^/", examples=200, folder=tmp_path)
    assert all(status < 500 for _, status in answers)
