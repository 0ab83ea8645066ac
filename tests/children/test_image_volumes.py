"""The pod that mounts an image as a volume, on API servers with and without that feature.

No kubelet of the local cluster mounts images: that the pod then runs is shown for the other sources only.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from model_samples import image_spec, inspection, manifest
from operator_settings import settings
from private_apiserver import PrivateApiServer, private_apiserver

from embedding_model.resolved import Origin, ResolvedModel, SourceKind
from embedding_model.serving import Overrides, apply_overrides
from embedding_operator.api.spec import parse_spec
from embedding_operator.children.metadata import Owner
from embedding_operator.children.pod_template import Rendering, pod_template
from embedding_operator.children.resolve_job import resolve_job
from embedding_operator.observe.facts import ResolutionRequest

SPACE = "sp1-" + "0123456789abcdef" * 2

pytestmark = pytest.mark.apiserver


def pod_specs() -> Sequence[Mapping[str, Any]]:
    """Of the server and of the Job that inspects."""
    spec = parse_spec(image_spec())
    assert spec.model.image is not None
    origin = Origin(kind=SourceKind.IMAGE, image=spec.model.image.reference, path=spec.model.image.path)
    serving, _ = apply_overrides(inspection(), overrides=Overrides())
    resolved = ResolvedModel(origin=origin, manifest=manifest(), inspection=inspection(), serving=serving, space=SPACE)
    rendering = Rendering(
        model="tiny", resolved=resolved, model_config_map="tiny-model", goldens_config_maps=(), inputs="cccccccccc"
    )
    mounting = replace(settings(), image_volumes=True)
    job = resolve_job(
        Owner(namespace="default", name="tiny", uid="3f1c"),
        request=ResolutionRequest(origin),
        spec=spec,
        settings=mounting,
    )
    return [pod_template(rendering, spec=spec, settings=mounting)["spec"], job["spec"]["template"]["spec"]]


@contextmanager
def apiserver(folder: Path, *, has_feature: bool) -> Iterator[PrivateApiServer]:
    with private_apiserver(folder, feature_gates=f"ImageVolume={str(has_feature).lower()}") as server:
        yield server


def create(server: PrivateApiServer, pod: Mapping[str, Any]) -> Mapping[str, Any]:
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "tiny-"}, "spec": pod}
    created: Mapping[str, Any] = server.request("POST", "/api/v1/namespaces/default/pods?dryRun=All", body=body)
    return created


def model_volume(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    (volume,) = [item for item in pod["spec"]["volumes"] if item["name"] == "model"]
    found: Mapping[str, Any] = volume
    return found


def test_an_api_server_with_image_volumes_takes_the_pods_as_they_are(
    tmp_path: Path,
) -> None:
    with apiserver(tmp_path, has_feature=True) as server:
        for pod in pod_specs():
            created = create(server, pod)
            reference = image_spec()["model"]["image"]["reference"]
            assert model_volume(created)["image"] == {"reference": reference, "pullPolicy": "IfNotPresent"}
            assert "initContainers" not in created["spec"], "nothing is fetched"
            mounts = [item for item in created["spec"]["containers"][0]["volumeMounts"] if item["name"] == "model"]
            assert all(item["readOnly"] for item in mounts)


def test_an_api_server_without_them_drops_the_volume_which_is_why_the_chart_has_a_switch(
    tmp_path: Path,
) -> None:
    with apiserver(tmp_path, has_feature=False) as server:
        created = create(server, pod_specs()[0])
        assert "model" not in {item["name"] for item in created["spec"]["volumes"]}
