"""Exactly what the operator may do, no more and no less."""

import subprocess
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from live_cluster import LiveCluster

CHART = Path(__file__).resolve().parents[2] / "charts" / "embedding-operator"

CHILD = {"get", "list", "watch", "create", "patch", "delete"}  # server-side apply is patch, and create when new
MODELS: Mapping[str, set[str]] = {
    "embedding-operator.dev/embeddingmodels": {"get", "list", "watch"},
    "embedding-operator.dev/embeddingmodels/status": {"patch"},
    "embedding-operator.dev/embeddingmodels/finalizers": {"update"},
    "apps/deployments": CHILD,
    "/services": CHILD,
    "/configmaps": CHILD,
    "batch/jobs": CHILD,
    "policy/poddisruptionbudgets": CHILD,
    "/pods": {"list", "watch", "patch", "delete"},  # a pod that fails its audits is labelled, then deleted
    "/persistentvolumeclaims": {"get"},
    "discovery.k8s.io/endpointslices": {"list", "watch"},
    "events.k8s.io/events": {"create"},
}
KEYS: Mapping[str, set[str]] = {"/openid/v1/jwks": {"get"}}
OWN_NAMESPACE: Mapping[str, set[str]] = {
    "coordination.k8s.io/leases": {"create"},
    "coordination.k8s.io/leases/embedding-operator": {"get", "update"},
    "/serviceaccounts/token/embedding-operator": {"create"},
}


def permissions(rules: Iterable[Mapping[str, Any]]) -> Mapping[str, set[str]]:
    """group/resource[/name], or a path, to its verbs."""
    found: dict[str, set[str]] = {}
    for rule in rules:
        names = [f"/{name}" for name in rule.get("resourceNames", ())] or [""]
        targets = [
            *rule.get("nonResourceURLs", ()),
            *(
                f"{group}/{resource}{name}"
                for group in rule.get("apiGroups", ())
                for resource in rule.get("resources", ())
                for name in names
            ),
        ]
        for target in targets:
            assert target not in found, f"{target} is granted twice"
            found[target] = set(rule["verbs"])
    return found


def test_for_every_namespace_it_is_one_cluster_role(pick: Callable[..., Any]) -> None:
    assert permissions(pick("ClusterRole")["rules"]) == {**MODELS, **KEYS}


def test_for_some_namespaces_it_is_a_role_in_each_and_only_the_keys_beyond(render: Callable[..., Any]) -> None:
    objects = render("namespaced")
    (cluster,) = [item for item in objects if item["kind"] == "ClusterRole" and _is_the_operators(item)]
    assert permissions(cluster["rules"]) == KEYS
    roles = {item["metadata"]["namespace"]: item for item in objects if item["kind"] == "Role"}
    assert {name: permissions(role["rules"]) for name, role in roles.items()} == {
        "search": MODELS,
        "ranking": MODELS,
        "operators": OWN_NAMESPACE,
    }


def test_the_lease_and_tokens_of_its_own_account_are_the_operators_own_namespaces_alone(
    pick: Callable[..., Any],
) -> None:
    role = pick("Role", name="embedding-operator-own-namespace")
    assert role["metadata"]["namespace"] == "operators"
    assert permissions(role["rules"]) == OWN_NAMESPACE


def test_tokens_are_of_the_account_that_the_operator_runs_as(render: Callable[..., Any]) -> None:
    objects = render(serviceAccount={"create": False, "name": "brought-along"})
    (deployed,) = [item for item in objects if item["kind"] == "Deployment"]
    pod = deployed["spec"]["template"]["spec"]
    environment = {item["name"]: item.get("value") for item in pod["containers"][0]["env"]}
    (role,) = [item for item in objects if item["kind"] == "Role"]
    assert pod["serviceAccountName"] == environment["EMBEDDING_OPERATOR_SERVICE_ACCOUNT"] == "brought-along"
    assert permissions(role["rules"])["/serviceaccounts/token/brought-along"] == {"create"}


def test_every_role_of_the_operator_is_bound_to_its_account_alone(render: Callable[..., Any], case: str) -> None:
    objects = render(case)
    roles = [item for item in objects if item["kind"] in ("ClusterRole", "Role") and _is_the_operators(item)]
    bindings = [item for item in objects if item["kind"] in ("ClusterRoleBinding", "RoleBinding")]
    account = {"kind": "ServiceAccount", "name": "embedding-operator", "namespace": "operators"}
    assert [item["subjects"] for item in bindings] == [[account]] * len(bindings)
    bound = {(item["roleRef"]["kind"], item["roleRef"]["name"], item["metadata"].get("namespace")) for item in bindings}
    assert bound == {(item["kind"], item["metadata"]["name"], item["metadata"].get("namespace")) for item in roles}


def test_no_rule_has_a_wildcard_or_reads_secrets(render: Callable[..., Any], case: str) -> None:
    for item in render(case):
        for rule in item.get("rules", ()) if item["kind"] in ("ClusterRole", "Role") else ():
            words = [word for values in rule.values() for word in values]
            assert not {"*", "secrets", "escalate", "bind", "impersonate", "pods/exec"} & set(words)
            assert "serviceaccounts/token" not in words or rule["resourceNames"] == ["embedding-operator"]


def test_the_clusters_own_roles_cover_the_new_kind_until_told_otherwise(render: Callable[..., Any]) -> None:
    def aggregated(**values: Any) -> Mapping[str, Mapping[str, set[str]]]:
        label = "rbac.authorization.k8s.io/aggregate-to-view"
        edit = "rbac.authorization.k8s.io/aggregate-to-edit"
        return {
            "view" if label in item["metadata"]["labels"] else "edit": permissions(item["rules"])
            for item in render(**values)
            if item["kind"] == "ClusterRole" and edit in item["metadata"]["labels"]
        }

    assert aggregated() == {
        "view": {"embedding-operator.dev/embeddingmodels": {"get", "list", "watch"}},
        "edit": {
            "embedding-operator.dev/embeddingmodels": {"create", "update", "patch", "delete", "deletecollection"},
            "embedding-operator.dev/embeddingmodels/scale": {"get", "update", "patch"},
        },
    }
    assert aggregated(rbac={"aggregateRoles": False}) == {}


def test_no_role_is_rendered_for_those_who_bring_their_own(render: Callable[..., Any]) -> None:
    kinds = {item["kind"] for item in render(rbac={"create": False})}
    assert not {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"} & kinds


def _is_the_operators(role: Mapping[str, Any]) -> bool:
    return not role["metadata"]["name"].endswith(("-view", "-edit"))


@pytest.fixture
def bound(live_cluster: LiveCluster, render: Callable[..., Any]) -> Iterator[Callable[..., bool]]:
    """The chart's roles on the real API server, under a name of their own; asks it what the operator may do."""
    name = f"rbac-{uuid.uuid4().hex[:8]}"
    live_cluster.kubectl("create", "namespace", name)
    kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    text = yaml.safe_dump_all(
        [item for item in render(fullnameOverride=name, rbac={"aggregateRoles": False}) if item["kind"] in kinds]
    ).replace("namespace: operators", f"namespace: {name}")
    live_cluster.kubectl("apply", "-f", "-", stdin=text)

    def may(*question: str, namespace: str = "default") -> bool:
        question = tuple(word.replace("OWN-ACCOUNT", name) for word in question)
        account = f"--as=system:serviceaccount:{name}:{name}"
        command = [live_cluster.kubectl_binary, "--kubeconfig", str(live_cluster.kubeconfig), "auth", "can-i"]
        answer = subprocess.run(
            [*command, *question, account, "-n", name if namespace == "own" else namespace],
            capture_output=True,
            text=True,
            check=False,
        )
        return answer.stdout.strip() == "yes"

    yield may
    live_cluster.kubectl("delete", "-f", "-", stdin=text)
    live_cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.apiserver
def test_the_real_api_server_lets_the_operator_do_its_work_and_nothing_else(bound: Callable[..., bool]) -> None:
    assert bound("patch", "deployments.apps")
    assert bound("get", "/openid/v1/jwks")
    assert bound("create", "leases.coordination.k8s.io", namespace="own")
    assert not bound("create", "leases.coordination.k8s.io")
    assert not bound("get", "secrets")
    assert not bound("patch", "embeddingmodels.embedding-operator.dev")
    assert not bound("create", "pods")
    assert bound("create", "serviceaccounts/OWN-ACCOUNT", "--subresource=token", namespace="own")
    assert not bound("create", "serviceaccounts/default", "--subresource=token", namespace="own")
    assert not bound("create", "serviceaccounts/OWN-ACCOUNT", "--subresource=token")
