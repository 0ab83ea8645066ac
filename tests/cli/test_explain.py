"""`embedding-operator explain`: the objects that would be created, from the real reconciler."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from localcluster.hub.server import running
from localcluster.hub.store import Store

Invoke = Callable[..., Result]

MODEL = """
apiVersion: embedding-operator.dev/v1alpha1
kind: EmbeddingModel
metadata: {name: tiny, namespace: search}
spec:
  model: {huggingFace: {repo: acme/tiny}}
  replicas: 2
  verification: {reference: "Off"}
"""


def objects(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return {item["kind"]: item for item in yaml.safe_load_all(result.stdout)}


def test_a_manifest_is_turned_into_the_objects_of_its_model(invoke: Invoke, model_folder: Path) -> None:
    found = objects(invoke("explain", "-f", "-", "--folder", str(model_folder), stdin=MODEL))
    assert set(found) == {"ConfigMap", "Service", "Deployment", "PodDisruptionBudget"}
    assert found["Deployment"]["spec"]["replicas"] == 2
    assert found["Service"]["metadata"] == {
        **found["Service"]["metadata"],
        "name": "tiny",
        "namespace": "search",
    }
    assert "uid" not in found["Deployment"]["metadata"]


def test_a_folder_stands_for_the_repository_with_the_prompts_that_its_name_tells(
    invoke: Invoke, model_folder: Path, tmp_path: Path
) -> None:
    manifest = MODEL.replace("acme/tiny", "intfloat/e5-base-v2")
    store = Store(tmp_path / "hub")
    store.push(model_folder, "intfloat/e5-base-v2")
    with running(store) as url:
        fetched = objects(invoke("explain", "-f", "-", "--hub-endpoint", url, stdin=manifest))
    local, other = (
        objects(invoke("explain", "-f", "-", "--folder", str(model_folder), stdin=text)) for text in (manifest, MODEL)
    )
    spaces = [found["Deployment"]["metadata"]["name"] for found in (local, fetched, other)]
    assert spaces[0] == spaces[1] != spaces[2]


def test_with_a_reference_the_job_is_shown_and_what_comes_after_it(invoke: Invoke, model_folder: Path) -> None:
    manifest = MODEL.replace('reference: "Off"', "reference: Auto")
    result = invoke("explain", "-f", "-", "--folder", str(model_folder), stdin=manifest)
    assert result.exit_code == 0, result.output
    found = list(yaml.safe_load_all(result.stdout))
    assert sorted(item["kind"] for item in found) == [
        *("ConfigMap", "ConfigMap", "Deployment", "Job", "PodDisruptionBudget", "Service")
    ]
    [job] = [item for item in found if item["kind"] == "Job"]
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["args"][0] == "goldens"
    assert container["image"].startswith("embedding-operator/reference:")
    assert "golden cases that the Job computes are not shown" in result.stderr
    assert "reference.computed" not in result.stdout


def test_the_commit_comes_from_the_hub(invoke: Invoke, model_folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "hub")
    commit = store.push(model_folder, "acme/tiny")
    with running(store) as url:
        result = invoke("explain", "-f", "-", "--hub-endpoint", url, stdin=MODEL)
    assert result.exit_code == 0, result.output
    assert f"Resolved=True Resolved: acme/tiny@main is commit {commit}" in result.stderr


def test_goldens_of_a_configmap_in_the_same_file_are_used(invoke: Invoke, model_folder: Path) -> None:
    manifest = MODEL.replace('reference: "Off"', 'reference: "Off", goldensConfigMapRef: {name: cases}')
    line = '{"name": "weather", "similarity": {"a": "a", "b": "b", "expected": "0.5", "tolerance": "0.1"}}'
    cases = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cases", "namespace": "search"},
        "data": {"goldens.jsonl": line},
    }
    stdin = f"{manifest}---\n{yaml.safe_dump(cases)}"
    result = invoke("explain", "-f", "-", "--folder", str(model_folder), stdin=stdin)
    assert result.exit_code == 0, result.output
    names = [item["metadata"]["name"] for item in yaml.safe_load_all(result.stdout)]
    assert any(name.startswith("tiny-goldens-") for name in names)


def test_of_a_volume_the_inspection_job_is_shown(invoke: Invoke) -> None:
    volume = MODEL.replace("huggingFace: {repo: acme/tiny}", "persistentVolumeClaim: {claimName: models, path: /tiny}")
    assert set(objects(invoke("explain", "-f", "-", stdin=volume))) == {"Job"}


@pytest.mark.parametrize(
    "source",
    [
        "persistentVolumeClaim: {claimName: models, path: /tiny}",
        "huggingFace: {repo: acme/tiny, tokenSecretRef: {name: hf-token}}",
    ],
    ids=["a volume", "a private repository"],
)
def test_a_folder_stands_for_what_a_job_would_find(invoke: Invoke, model_folder: Path, source: str) -> None:
    manifest = MODEL.replace("huggingFace: {repo: acme/tiny}", source)
    result = invoke("explain", "-f", "-", "--folder", str(model_folder), stdin=manifest)
    assert set(objects(result)) == {"Job", "ConfigMap", "Service", "Deployment", "PodDisruptionBudget"}


def test_what_is_declared_and_approved_is_taken_into_account(invoke: Invoke, model_folder: Path) -> None:
    wrong = MODEL + "  space: sp1-ffffffffffffffffffffffffffffffff\n  task: Embedding\n"
    result = invoke("explain", "-f", "-", "--folder", str(model_folder), stdin=wrong)
    assert result.exit_code == 1
    assert "Stalled=True SpaceChangeNotApproved" in result.stderr
    found = {item["kind"]: item["metadata"]["name"] for item in yaml.safe_load_all(result.stdout)}
    assert found["Service"] == found["Deployment"], "what waits for approval has a Service of its own, and only that"


def test_an_image_of_a_registry_that_nobody_allowed_says_so(invoke: Invoke) -> None:
    image = f"image: {{reference: 'registry.example/tiny@sha256:{'ab' * 32}'}}"
    result = invoke("explain", "-f", "-", stdin=MODEL.replace("huggingFace: {repo: acme/tiny}", image))
    assert result.exit_code == 1
    assert "Stalled=True RegistryNotAllowed" in result.stderr


def test_a_stalled_model_says_why_and_exits_with_1(invoke: Invoke, model_folder: Path) -> None:
    wrong = MODEL + "  embedding: {dimensions: 4096}\n"
    result = invoke("explain", "-f", "-", "--folder", str(model_folder), stdin=wrong)
    assert result.exit_code == 1
    assert "Stalled=True InvalidOverride" in result.stderr


@pytest.mark.parametrize(
    ("stdin", "words"),
    [
        ("kind: [", "not valid YAML"),
        ("kind: Pod", "found Pod"),
        ("just text", "found no object"),
        ("", "expected one EmbeddingModel, found 0"),
        (MODEL + "---" + MODEL, "expected one EmbeddingModel, found 2"),
        (MODEL.replace("v1alpha1", "v1"), "expected apiVersion"),
    ],
)
def test_anything_but_one_model_is_a_usage_error(invoke: Invoke, stdin: str, words: str) -> None:
    result = invoke("explain", "-f", "-", stdin=stdin)
    assert result.exit_code == 2
    assert words in result.stderr
