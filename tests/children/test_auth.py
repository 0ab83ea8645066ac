"""What `spec.auth` and `runtime.tokenIds` make of a serving pod."""

from typing import Any

import kubernetes_validate
import pytest
from model_samples import hub_spec
from operator_settings import settings
from runtime_under_test import resolved_model

from embedding_operator.api.spec import parse_spec
from embedding_operator.children.deployment import deployment, deployment_body
from embedding_operator.children.metadata import Owner
from embedding_operator.children.pod_template import Rendering
from embedding_operator.judge.inputs import hash_inputs

KEYS = {"apiKeysSecretRef": {"name": "embed-keys"}}
JWT = {"jwksConfigMapRef": {"name": "login"}, "audiences": ["search", "shop"], "issuer": "https://login.example.com/"}


def render(**spec: Any) -> dict[str, Any]:
    rendering = Rendering(
        model="tiny", resolved=resolved_model(), model_config_map="tiny-model-a", goldens_config_maps=(), inputs="c"
    )
    body = deployment_body(rendering, spec=parse_spec(hub_spec(**spec)), settings=settings())
    owner = Owner(namespace="search", name="tiny", uid="3f1c")
    manifest = deployment(
        owner, body=body, space=resolved_model().space, replicas=1, inputs="c", template="t", protects_pods=True
    )
    kubernetes_validate.validate(manifest, "1.34", strict=True)
    pod: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return pod


def flags(pod: dict[str, Any], name: str) -> list[str]:
    arguments = pod["containers"][0]["args"]
    return [arguments[index + 1] for index, item in enumerate(arguments) if item == name]


def volume(pod: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [item for item in pod["volumes"] if item["name"] == name]
    return found


def mounts(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in container["volumeMounts"]}


def test_keys_are_a_folder_of_one_key_of_the_secret_that_only_the_server_sees() -> None:
    pod = render(auth=KEYS)
    assert volume(pod, "api-keys")["secret"] == {
        "secretName": "embed-keys",
        "items": [{"key": "embedding-api-keys", "path": "embedding-api-keys"}],
        "optional": False,
    }
    assert flags(pod, "--api-keys") == ["/etc/embedding/api-keys/embedding-api-keys"]
    mounted = mounts(pod["containers"][0])["api-keys"]
    assert mounted == {"name": "api-keys", "mountPath": "/etc/embedding/api-keys", "readOnly": True}
    assert "subPath" not in mounted, "a file mounted alone is never refreshed"
    assert "api-keys" not in mounts(pod["initContainers"][0])
    assert not flags(pod, "--jwks")


def test_a_jwks_is_a_folder_and_audiences_and_issuer_are_flags() -> None:
    pod = render(auth={"jwt": JWT})
    assert volume(pod, "jwks")["configMap"] == {
        "name": "login",
        "items": [{"key": "jwks.json", "path": "jwks.json"}],
        "optional": False,
    }
    assert flags(pod, "--jwks") == ["/etc/embedding/jwks/jwks.json"]
    assert flags(pod, "--jwt-audience") == ["search", "shop"]
    assert flags(pod, "--jwt-issuer") == ["https://login.example.com/"]
    assert mounts(pod["containers"][0])["jwks"]["readOnly"] is True
    assert not flags(pod, "--api-keys")


def test_without_auth_nothing_of_it_is_there() -> None:
    pod = render()
    names = {item["name"] for item in pod["volumes"]}
    assert not names & {"api-keys", "jwks"}
    assert not [flag for flag in ("--api-keys", "--jwks", "--jwt-audience", "--jwt-issuer") if flags(pod, flag)]


def test_probes_stay_on_the_private_port_which_asks_for_no_key() -> None:
    container = render(auth=KEYS)["containers"][0]
    probes = [container[name]["httpGet"]["port"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert probes == ["private"] * 3


@pytest.mark.parametrize(("policy", "expected"), [("Refuse", []), ("Accept", ["Accept"])])
def test_token_ids_are_a_flag_only_where_they_are_accepted(policy: str, expected: list[str]) -> None:
    assert flags(render(runtime={"tokenIds": policy}), "--token-ids") == expected


CHANGES = [
    {"apiKeysSecretRef": {"name": "other-keys"}},
    {**KEYS, "jwt": JWT},
    {"jwt": JWT},
    {"jwt": {**JWT, "audiences": ["search"]}},
    {"jwt": {**JWT, "issuer": "https://other.example.com/"}},
    {"jwt": {**JWT, "jwksConfigMapRef": {"name": "other"}}},
]


def test_every_change_of_auth_renders_the_pods_anew_in_the_same_space() -> None:
    resolved = resolved_model()
    hashes = {
        hash_inputs(parse_spec(hub_spec(**part)), resolved=resolved, case_set=None)
        for part in ({}, {"auth": KEYS}, *({"auth": change} for change in CHANGES))
    }
    assert len(hashes) == len(CHANGES) + 2
