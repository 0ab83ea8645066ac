"""The CRD as a whole: structural, bounded, explained, and without drift for GitOps tools."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from kubernetes_validate import validate

from embedding_model.resolved import Pooling, Side, Task
from embedding_operator.api.crd import CRD_NAME, build_crd
from embedding_operator.api.names import (
    deployment_name,
    goldens_configmap_name,
    job_name,
    model_configmap_name,
    template_configmap_name,
)
from embedding_operator.api.spec import PoolingMode, TaskChoice, Truncation

ROOT = Path(__file__).resolve().parents[2]
CRD = build_crd()
VERSION = CRD["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]

Schema = Mapping[str, Any]


def walk(schema: Schema, *, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from walk(part, path=f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], path=f"{path}[]")
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], path=f"{path}{{}}")


FIELDS = [pair for part in ("spec", "status") for pair in walk(SCHEMA["properties"][part], path=part)]


def test_it_is_a_custom_resource_definition_to_kubernetes() -> None:
    validate(CRD, "1.30", strict=True)


def test_no_keyword_that_a_structural_schema_forbids_is_left() -> None:
    forbidden = {"$ref", "$defs", "title", "const", "oneOf", "allOf", "propertyNames", "prefixItems", "nullable"}
    found = {(path, key) for path, schema in FIELDS for key in schema if key in forbidden}
    unions = {path for path, schema in FIELDS if "anyOf" in schema and "x-kubernetes-int-or-string" not in schema}
    assert not found | unions


def test_every_field_is_explained_in_a_sentence() -> None:
    named = [(path, schema) for path, schema in FIELDS if not path.endswith(("[]", "{}"))]
    assert not [path for path, schema in named if not schema.get("description", "").endswith(".")]


def test_every_string_list_and_map_has_a_bound() -> None:
    unbounded = [
        path
        for path, schema in FIELDS
        if (schema.get("type") == "string" and not {"maxLength", "enum", "format"} & set(schema))
        or (schema.get("type") == "array" and "maxItems" not in schema)
        or ("additionalProperties" in schema and "maxProperties" not in schema)
    ]
    assert not unbounded


def test_no_number_has_decimals() -> None:
    assert not [path for path, schema in FIELDS if schema.get("type") == "number"]


def test_nothing_in_a_list_item_has_a_default() -> None:
    assert not [path for path, schema in FIELDS if "[]" in path and "default" in schema]


def test_every_list_of_named_items_is_merged_by_name() -> None:
    lists = {path: schema for path, schema in FIELDS if schema.get("type") == "array"}
    named = [path for path, schema in lists.items() if "name" in schema["items"].get("required", ())]
    # Names that a model's files give are cut, and may then be equal: that must not make the status unwritable.
    named.remove("status.model.prompts")
    assert named
    assert [lists[path]["x-kubernetes-list-map-keys"] for path in named] == [["name"]] * len(named)
    assert lists["status.conditions"]["x-kubernetes-list-map-keys"] == ["type"]


def test_a_fresh_object_does_not_count_as_done() -> None:
    assert SCHEMA["properties"]["status"]["default"] == {"observedGeneration": -1}


def test_pooling_can_be_overridden_by_every_mode_that_models_declare() -> None:
    assert [mode.value for mode in PoolingMode] == ["Auto", *(mode.value for mode in Pooling)]


def test_the_longest_name_leaves_children_within_the_length_of_a_label_value() -> None:
    name = "m" * 50
    names = [deployment_name(name, fingerprint="sp1-" + "0" * 32), job_name(name, component="inspect", inputs={"a": 1})]
    assert max(len(child) for child in names) <= 63


def test_names_of_config_maps_stay_within_what_kubernetes_takes() -> None:
    for build in (model_configmap_name, goldens_configmap_name, template_configmap_name):
        assert len(build("m" * 50, content=b"x")) <= 253


def test_the_file_for_plain_kubectl_holds_the_same_object() -> None:
    assert yaml.safe_load((ROOT / "crds" / f"{CRD_NAME}.yaml").read_text()) == CRD


def test_everything_generated_is_up_to_date() -> None:
    result = run_check(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_check_fails_and_shows_the_line_when_one_word_differs(tmp_path: Path) -> None:
    pages = ("docs/reference", "docs/model-support.md", "docs/parity.json")
    parts = ("hack/generate", "hack/generators", "charts", "crds", *pages)
    for name in (*parts, "tests/support"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    page = tmp_path / "docs" / "reference" / "conditions.md"
    page.write_text(page.read_text().replace("`GoldenMismatch`", "`GoldenMissmatch`"))
    result = run_check(tmp_path)
    assert result.returncode == 1
    assert '-| <a id="reason-goldenmismatch"></a>`GoldenMissmatch` |' in result.stdout
    assert "run hack/generate" in result.stderr


def run_check(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "hack" / "generate"), "--check"], capture_output=True, text=True, check=False
    )


def test_a_task_and_a_side_can_be_every_one_that_models_declare() -> None:
    assert [choice.value for choice in TaskChoice] == ["Auto", *(task.value for task in Task)]
    assert [choice.value for choice in Truncation] == ["Auto", *(side.value for side in Side)]
