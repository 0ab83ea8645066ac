"""The product's images as pods see them."""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from live_cluster import LiveCluster

from localcluster import baseimage, buildah, images
from localcluster.binaries import binary
from localcluster.pause import image_archive

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[3]
PYTHON = "/opt/venv/bin/python"
COMMANDS = {"operator": "embedding-operator", "runtime": "embedding-runtime", "reference": "embedding-runtime"}
OPERATOR_BYTES_OVER_BASE = 130_000_000


@pytest.fixture
def built(cluster_status: Mapping[str, Any]) -> Mapping[str, str]:
    references: Mapping[str, str] = cluster_status["images"]
    assert set(references) == set(images.TARGETS), "build the images first: hack/cluster build"
    return references


def test_the_operator_image_adds_little_to_its_base() -> None:
    sizes = buildah.sizes()
    added = sizes[images.local_name("operator")] - sizes[baseimage.ensure()]
    assert 0 < added <= OPERATOR_BYTES_OVER_BASE


def test_the_operator_image_holds_its_own_code_and_no_torch(
    built: Mapping[str, str], run_to_end: Callable[..., str]
) -> None:
    code = "import importlib.util as u; print([u.find_spec(m) is not None for m in {modules!r}])"
    modules = ("embedding_operator", "embedding_model", "embedding_runtime", "torch", "numpy")
    output = run_to_end(built["operator"], command=[PYTHON, "-c", code.format(modules=modules)])
    assert output.strip() == "[True, True, False, False, False]"


def test_the_runtime_image_holds_torch_and_not_the_operator(
    built: Mapping[str, str], run_to_end: Callable[..., str]
) -> None:
    code = "import torch, transformers, importlib.util as u; print(u.find_spec('embedding_operator'))"
    assert run_to_end(built["runtime"], command=[PYTHON, "-c", code]).strip() == "None"


def test_the_reference_image_is_the_runtime_image_and_sentence_transformers(
    built: Mapping[str, str], run_to_end: Callable[..., str]
) -> None:
    code = (
        "from importlib.metadata import distributions as d; import json;"
        "print(json.dumps({i.metadata['Name'].lower(): i.version for i in d()}))"
    )
    runtime, reference = (
        json.loads(run_to_end(built[target], command=[PYTHON, "-c", code])) for target in ("runtime", "reference")
    )
    assert runtime.items() < reference.items(), "the same versions of everything, and more"
    assert "sentence-transformers" not in runtime
    assert "sentence-transformers" in reference


def test_the_reference_image_shares_the_layers_of_the_runtime_image() -> None:
    layers = {
        target: json.loads(buildah.buildah("inspect", "--type", "image", images.local_name(target)))["OCIv1"]["rootfs"][
            "diff_ids"
        ]
        for target in ("runtime", "reference")
    }
    dependencies = layers["runtime"][:-1]  # without our code
    assert layers["reference"][: len(dependencies)] == dependencies


@pytest.mark.parametrize("target", images.TARGETS)
def test_an_image_starts_its_program_without_a_shell_on_a_read_only_root(
    built: Mapping[str, str], run_to_end: Callable[..., str], target: str
) -> None:
    by_entry_point = run_to_end(built[target], args=["--help"])
    by_name = run_to_end(built[target], command=[COMMANDS[target], "--help"])
    assert "Usage" in by_entry_point
    assert "Usage" in by_name


@pytest.mark.parametrize("target", images.TARGETS)
def test_an_image_runs_as_nobody_in_particular_and_says_what_it_is(target: str) -> None:
    configuration = json.loads(buildah.buildah("inspect", "--type", "image", images.local_name(target)))["OCIv1"][
        "config"
    ]
    assert configuration["User"] == "65532:65532"
    labels = configuration["Labels"]
    assert labels["org.opencontainers.image.title"] == f"embedding-{target}"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"] == images.product_version()


@pytest.mark.parametrize("target", images.TARGETS)
def test_byte_code_is_there_for_every_module_of_ours(
    built: Mapping[str, str], run_to_end: Callable[..., str], target: str
) -> None:
    code = (
        "import pathlib, importlib.util as u;"
        "files = list(pathlib.Path('/opt/app').rglob('*.py'));"
        "print(len(files) > 10, [f for f in files if not pathlib.Path(u.cache_from_source(str(f))).exists()])"
    )
    assert run_to_end(built[target], command=[PYTHON, "-c", code]).strip() == "True []"


def test_an_image_archive_can_be_loaded_and_run(
    live_cluster: LiveCluster, namespace: str, pod_spec_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    archive = tmp_path / "waiting.tar"
    archive.write_bytes(image_archive(binary("pause")))
    command = [str(ROOT / "hack" / "cluster"), "load", str(archive)]
    reference = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    metadata = {"name": "waiting", "namespace": namespace}
    live_cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec_of(reference)})
    live_cluster.kubectl("wait", "pod/waiting", "-n", namespace, "--for=condition=Ready", "--timeout=60s")


def test_an_unknown_image_is_refused_with_the_places_that_were_searched(cluster_status: Mapping[str, Any]) -> None:
    command = [str(ROOT / "hack" / "cluster"), "load", "no-such-image:1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "no image no-such-image:1: expected the path of a docker archive, or the name" in result.stderr


def test_building_unchanged_code_again_gives_the_same_reference(built: Mapping[str, str]) -> None:
    def build() -> str:
        command = [str(ROOT / "hack" / "cluster"), "build", "operator"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    first = build()
    assert first.startswith(built["operator"].partition("@")[0])
    assert build() == first
