"""What the API server takes and what it refuses, with the words that tell a user what to write instead.

One table serves two judges: the real API server, and, for rules that the operator checks as well, `parse_spec`.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from admission_cases import ACCEPTED, REFUSED, Refused, spec
from live_cluster import KubectlError, LiveCluster

from embedding_operator.api.crd import CRD_NAME, build_crd
from embedding_operator.api.spec import InvalidSpec, parse_spec

CRDS = Path(__file__).resolve().parents[2] / "crds"


def rules_of(schema: Mapping[str, Any]) -> Iterator[str]:
    """Messages of every CEL rule of a schema, depth first."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield rule["message"]
    for part in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")):
        if part:
            yield from rules_of(part)


def test_every_rule_has_an_object_that_breaks_it() -> None:
    root = build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    expected = [case.message for case in REFUSED.values()]
    untested = {message for message in rules_of(root) if not any(part in message for part in expected)}
    assert not untested


@pytest.mark.parametrize("accepted", ACCEPTED.values(), ids=ACCEPTED)
def test_the_operator_reads_every_accepted_spec(accepted: Mapping[str, Any]) -> None:
    parsed = parse_spec(accepted)
    written = parsed.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert parse_spec(written) == parsed


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in REFUSED.items() if case.python])
def test_the_operator_refuses_what_it_relies_on_itself(case: Refused) -> None:
    with pytest.raises(InvalidSpec, match=r"^spec\."):
        parse_spec(case.spec)


def explain(cluster: LiveCluster, path: str) -> str:
    """`kubectl explain`, or nothing while the API server does not know the kind yet."""
    try:
        return cluster.kubectl("explain", path)
    except KubectlError:
        return ""


@pytest.fixture(scope="module")
def served_crd(live_cluster: LiveCluster) -> Iterator[None]:
    """The CRD as generated. One that a release brought is updated as helm would; one of our own goes again."""
    found = live_cluster.kubectl("get", "crd", CRD_NAME, "--ignore-not-found", "-o", "json")
    crd = build_crd()
    if found:
        metadata = json.loads(found)["metadata"]
        kept = {key: metadata.get(key, {}) for key in ("labels", "annotations")}
        crd["metadata"].update(kept, annotations={**kept["annotations"], **crd["metadata"]["annotations"]})
    # Under helm's own name: a second owner of the fields would be in the way of the next `helm upgrade`.
    live_cluster.kubectl(
        *("apply", "--server-side", "--field-manager=helm", "--force-conflicts", "-f", "-"), stdin=json.dumps(crd)
    )
    live_cluster.wait_for("the API server publishes the schema", lambda: explain(live_cluster, "em.spec"), seconds=30)
    yield
    if not found:
        live_cluster.kubectl("delete", "crd", CRD_NAME)


@pytest.fixture(scope="module")
def namespace(live_cluster: LiveCluster, served_crd: None) -> Iterator[str]:
    name = f"admission-{uuid.uuid4().hex[:8]}"
    live_cluster.kubectl("create", "namespace", name)
    yield name
    live_cluster.kubectl("delete", "namespace", name, "--wait=false")


def dry_run(cluster: LiveCluster, *, namespace: str, name: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Create on the API server without storing; the object with its defaults. KubectlError when refused."""
    manifest = {
        "apiVersion": "embedding-operator.dev/v1alpha1",
        "kind": "EmbeddingModel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    output = cluster.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-", stdin=json.dumps(manifest)
    )
    created: Mapping[str, Any] = json.loads(output)
    return created


@pytest.mark.apiserver
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_the_api_server_refuses_it_and_says_what_to_write(
    live_cluster: LiveCluster, namespace: str, case: Refused
) -> None:
    with pytest.raises(KubectlError) as refusal:
        dry_run(live_cluster, namespace=namespace, name=case.name, spec=case.spec)
    assert case.message in str(refusal.value)


@pytest.mark.apiserver
@pytest.mark.parametrize("accepted", ACCEPTED.values(), ids=ACCEPTED)
def test_the_api_server_accepts_it_with_defaults_that_the_operator_reads_alike(
    live_cluster: LiveCluster, namespace: str, accepted: Mapping[str, Any]
) -> None:
    created = dry_run(live_cluster, namespace=namespace, name="m" * 50, spec=accepted)
    assert parse_spec(created["spec"]) == parse_spec(accepted)
    assert created["status"] == {"observedGeneration": -1}


@pytest.mark.apiserver
def test_a_misspelt_field_is_refused_by_name(live_cluster: LiveCluster, namespace: str) -> None:
    with pytest.raises(KubectlError, match=r'unknown field "spec\.embeding"'):
        dry_run(live_cluster, namespace=namespace, name="model", spec=spec(embeding={}))


@pytest.mark.apiserver
@pytest.mark.parametrize("path", sorted(CRDS.parent.glob("examples/*.yaml")), ids=lambda path: path.name)
def test_every_example_is_accepted(live_cluster: LiveCluster, namespace: str, path: Path) -> None:
    live_cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-n", namespace, "-f", str(path))


@pytest.mark.apiserver
def test_scale_reads_and_writes_replicas(live_cluster: LiveCluster, namespace: str) -> None:
    manifest = {
        "apiVersion": "embedding-operator.dev/v1alpha1",
        "kind": "EmbeddingModel",
        "metadata": {"name": "scaled", "namespace": namespace},
        "spec": {**spec(), "suspend": True},
    }
    live_cluster.apply(manifest)
    live_cluster.kubectl("scale", "em/scaled", "-n", namespace, "--replicas=3")
    scale = json.loads(
        live_cluster.kubectl(
            "get", "--raw", f"/apis/embedding-operator.dev/v1alpha1/namespaces/{namespace}/embeddingmodels/scaled/scale"
        )
    )
    assert scale["spec"]["replicas"] == 3
    assert live_cluster.must_get("em", "scaled", namespace=namespace)["spec"]["replicas"] == 3


@pytest.mark.apiserver
def test_the_table_of_models_shows_what_people_ask_first(live_cluster: LiveCluster, namespace: str) -> None:
    live_cluster.apply(
        {
            "apiVersion": "embedding-operator.dev/v1alpha1",
            "kind": "EmbeddingModel",
            "metadata": {"name": "shown", "namespace": namespace},
            "spec": {**spec(), "suspend": True},
        }
    )
    table = live_cluster.kubectl("get", "embeddings", "-n", namespace)
    assert table.split("\n")[0].split() == [
        *("NAME", "TASK", "REVISION", "DIM", "VERIFIED", "READY", "REPLICAS", "AGE")
    ]
    wide = live_cluster.kubectl("get", "em", "-n", namespace, "-o", "wide")
    assert wide.split("\n")[0].split()[8:] == ["MODEL", "DEVICE", "SPACE", "URL"]


@pytest.mark.apiserver
def test_kubectl_explains_every_part(live_cluster: LiveCluster, served_crd: None) -> None:
    text = explain(live_cluster, "em.spec.verification.goldens.similarity")
    assert "Two texts and the cosine that their vectors must have." in text


@pytest.mark.parametrize("path", sorted(CRDS.parent.glob("examples/*.yaml")), ids=lambda path: path.name)
def test_the_operator_reads_every_example(path: Path) -> None:
    documents = [item for item in yaml.safe_load_all(path.read_text()) if item["kind"] == "EmbeddingModel"]
    assert documents
    for document in documents:
        parse_spec(document["spec"])
