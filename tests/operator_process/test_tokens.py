"""The tokens that the operator asks pods with, issued by a real API server within the chart's rights."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from operator_under_test import ACCOUNT, SYSTEM, OperatorWorld, embedding_model

from embedding_model.ports import name_audience
from embedding_operator.audit.token import AccountTokens
from embedding_operator.kube.client import KubernetesGateway
from embedding_operator.kube.connection import load_configuration
from embedding_operator.kube.gateway import Forbidden
from embedding_runtime.http.auth.operator_token import Refused, TokenCheck

pytestmark = pytest.mark.apiserver

REPO = "acme/tiny"
NAMESPACES = ("search", "ranking")


@pytest.fixture
def checks(world: OperatorWorld, tmp_path: Path) -> Iterator[dict[str, TokenCheck]]:
    """By namespace, what a pod of the model in it checks tokens with, of the ConfigMap that the operator wrote."""
    operator = world.start_leader()
    found = {}
    for namespace in NAMESPACES:
        world.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        world.cluster.apply(embedding_model("words", repo=REPO, namespace=namespace))
        keys = world.wait_for("the keys", lambda at=namespace: world.cluster.get("cm", "words-keys", namespace=at))
        folder = tmp_path / namespace
        folder.mkdir()
        for name, text in keys["data"].items():
            (folder / name).write_text(text)
        found[namespace] = TokenCheck(folder)
    yield found
    assert "eyJ" not in operator.log.read_text(), "the log quotes a token"


def is_taken(check: TokenCheck, token: str) -> bool:
    try:
        check.check(f"Bearer {token}")
    except Refused:
        return False
    return True


async def test_what_a_pod_of_one_namespace_is_shown_opens_no_pod_of_another(
    world: OperatorWorld, checks: dict[str, TokenCheck]
) -> None:
    async with KubernetesGateway(await load_configuration(kubeconfig=world.folder / "operator.conf")) as gateway:
        tokens = AccountTokens(gateway, namespace=SYSTEM, account=ACCOUNT)
        shown = {namespace: await tokens.token(name_audience(namespace)) for namespace in NAMESPACES}
        shared = await tokens.token("embedding-runtime")
    taken = {(at, of): is_taken(checks[at], shown[of]) for at in NAMESPACES for of in NAMESPACES}
    assert taken == {(at, of): at == of for at in NAMESPACES for of in NAMESPACES}
    assert not any(is_taken(check, shared) for check in checks.values())


async def test_the_operator_gets_tokens_of_no_account_but_its_own(world: OperatorWorld) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "other", "namespace": SYSTEM}}
    world.cluster.apply(account, {**account, "metadata": {"name": ACCOUNT, "namespace": "default"}})
    async with KubernetesGateway(await load_configuration(kubeconfig=world.folder / "operator.conf")) as gateway:
        for namespace, name in ((SYSTEM, "other"), ("default", ACCOUNT)):
            with pytest.raises(Forbidden):
                await gateway.request_token(namespace=namespace, account=name, audience="any", seconds=600)
