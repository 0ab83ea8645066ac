"""The Deployment of a generation, field by field, and what Kubernetes says to it."""

from typing import Any

import kubernetes_validate
import pytest
from model_samples import golden, hub_spec, resolved, verified_by, volume_spec
from operator_settings import settings

from embedding_model.goldens.parse import merge_cases, parse_cases
from embedding_model.resolved import Origin, ResolvedModel, Serving, SourceKind, Task
from embedding_operator.api.spec import parse_spec
from embedding_operator.children.deployment import deployment, deployment_body
from embedding_operator.children.disruption_budget import disruption_budget
from embedding_operator.children.metadata import Owner
from embedding_operator.children.pod_template import Rendering
from embedding_operator.children.profile import Unrenderable
from embedding_operator.children.resolve_job import resolve_job
from embedding_operator.children.service import service
from embedding_operator.judge.inputs import hash_inputs
from embedding_operator.observe.facts import ResolutionRequest

OWNER = Owner(namespace="search", name="tiny", uid="3f1c")
SPACE = "sp1-" + "0123456789abcdef" * 2
CLAIM = Origin(kind=SourceKind.PERSISTENT_VOLUME_CLAIM, claim="models", path="/tiny")


def _generation(*, origin: Origin | None = None, goldens: bool = True) -> Rendering:
    found = resolved()
    inspection = found.inspection
    serving = Serving(
        task=inspection.task,
        pooling=inspection.pooling,
        include_prompt=True,
        normalize=True,
        dimensions=8,
        model_dimensions=8,
        max_input_tokens=256,
        lowercase=False,
    )
    document = ResolvedModel(
        origin=origin or found.origin, manifest=found.manifest, inspection=inspection, serving=serving, space=SPACE
    )
    return Rendering(
        model="tiny",
        resolved=document,
        model_config_map="tiny-model-aaaaaaaaaa",
        goldens_config_maps=["tiny-goldens-bbbbbbbbbb"] if goldens else (),
        inputs="cccccccccc",
    )


def _render(spec: dict[str, Any], *, origin: Origin | None = None, goldens: bool = True) -> dict[str, Any]:
    body = deployment_body(_generation(origin=origin, goldens=goldens), spec=parse_spec(spec), settings=settings())
    return deployment(
        OWNER, body=body, space=SPACE, replicas=2, inputs="cccccccccc", template="tiny-template-d", protects_pods=True
    )


def _pod(spec: dict[str, Any], **options: Any) -> dict[str, Any]:
    pod: dict[str, Any] = _render(spec, **options)["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize("spec", [hub_spec(), hub_spec(resources={"limits": {"nvidia.com/gpu": 1}}), volume_spec()])
def test_every_manifest_is_valid_kubernetes(spec: dict[str, Any]) -> None:
    parsed = parse_spec(spec)
    origin = CLAIM if parsed.model.persistent_volume_claim else None
    job = resolve_job(OWNER, request=ResolutionRequest(CLAIM), spec=parsed, settings=settings())
    budget = disruption_budget(OWNER, space=SPACE)
    for manifest in (_render(spec, origin=origin), job, budget, service(OWNER, space=SPACE)):
        kubernetes_validate.validate(manifest, "1.34", strict=True)


@pytest.mark.parametrize(("protects_pods", "unavailable"), [(True, 0), (False, "100%")])
def test_only_pods_that_serve_hold_a_rollout_up_and_the_stored_body_knows_nothing_of_it(
    protects_pods: bool, unavailable: object
) -> None:
    body = deployment_body(_generation(), spec=parse_spec(hub_spec()), settings=settings())
    parts = {"space": SPACE, "replicas": 1, "inputs": "cccccccccc", "template": "tiny-template-d"}
    manifest = deployment(OWNER, body=body, protects_pods=protects_pods, **parts)  # type: ignore[arg-type]
    kubernetes_validate.validate(manifest, "1.34", strict=True)
    assert manifest["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": unavailable}
    assert body["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_labels_names_and_selector_follow_the_contract() -> None:
    manifest = _render(hub_spec())
    assert manifest["metadata"]["name"] == "tiny-0123456789"
    selector = manifest["spec"]["selector"]["matchLabels"]
    group = "embedding-operator.dev"
    assert selector == {f"{group}/model": "tiny", f"{group}/space": SPACE, f"{group}/component": "server"}
    assert manifest["spec"]["template"]["metadata"]["labels"] == {**selector, f"{group}/traffic": "on"}
    assert service(OWNER, space=SPACE)["spec"]["selector"] == {**selector, f"{group}/traffic": "on"}
    assert manifest["metadata"]["annotations"][f"{group}/template"] == "tiny-template-d"


def test_a_rollout_takes_no_serving_pod_away_first() -> None:
    spec = _render(hub_spec())["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    probe = spec["template"]["spec"]["containers"][0]["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 1800
    assert spec["progressDeadlineSeconds"] > 1800


def test_the_runtime_is_told_what_to_serve() -> None:
    container = _pod(hub_spec())["containers"][0]
    assert container["args"] == [
        "serve",
        *("--model", "/models"),
        *("--resolved", "/etc/embedding/model/model.json"),
        *("--keys", "/etc/embedding/keys"),
        *("--device", "cpu"),
        *("--goldens", "/etc/embedding/goldens"),
        *("--failure-policy", "Block"),
        *("--audit-grace-seconds", "10"),
        *("--served-name", "acme/tiny"),
        *("--served-name", "tiny"),
        *("--log-format", "json"),
    ]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"http": 8080, "private": 8081}
    assert {"name": "HF_HUB_OFFLINE", "value": "1"} in container["env"]
    paths = {probe: container[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {item["path"] for item in paths.values()} == {"/startup", "/ready", "/live"}
    assert {item["port"] for item in paths.values()} == {"private"}


@pytest.mark.parametrize(("choice", "flag"), [("Auto", []), ("BFloat16", ["bfloat16"]), ("Float32", ["float32"])])
def test_the_runtime_is_told_the_number_format_only_where_one_is_asked_for(choice: str, flag: list[str]) -> None:
    arguments = _pod(hub_spec(runtime={"dtype": choice}))["containers"][0]["args"]
    assert [arguments[index + 1] for index, item in enumerate(arguments) if item == "--dtype"] == flag


@pytest.mark.parametrize(
    ("names", "served"),
    [
        (
            [{"name": "text-embedding-3-small", "prompt": "query"}, {"name": "plain"}],
            ["acme/tiny", "tiny", "text-embedding-3-small=query", "plain"],
        ),
        ([{"name": "tiny", "prompt": "query"}], ["acme/tiny", "tiny=query"]),
    ],
    ids=["further names", "an own name with a prompt"],
)
def test_served_names_are_the_own_ones_and_those_of_the_user(names: list[dict[str, str]], served: list[str]) -> None:
    arguments = _pod(hub_spec(runtime={"servedNames": names}))["containers"][0]["args"]
    assert [arguments[index + 1] for index, item in enumerate(arguments) if item == "--served-name"] == served


def test_without_golden_cases_nothing_of_them_is_mounted() -> None:
    pod = _pod(hub_spec(), goldens=False)
    assert "--goldens" not in pod["containers"][0]["args"]
    assert "goldens" not in {volume["name"] for volume in pod["volumes"]}


def test_a_model_of_the_hub_is_fetched_before_the_server_starts() -> None:
    pod = _pod(hub_spec())
    (fetch,) = pod["initContainers"]
    assert fetch["args"][:5] == ["fetch", "--resolved", "/etc/embedding/model/model.json", "--target", "/models"]
    assert fetch["args"][5:] == [
        *("--endpoint", "https://huggingface.co"),
        *("--redirect-host", "*.huggingface.co", "--redirect-host", "*.hf.co"),
        *("--keys", "/etc/embedding/keys", "--private-port", "8081"),
        *("--log-format", "json"),
    ]
    writable = [item["name"] for item in fetch["volumeMounts"] if not item.get("readOnly")]
    assert writable == ["model", "tmp"]
    served = {item["name"]: item for item in pod["containers"][0]["volumeMounts"]}
    assert served["model"]["readOnly"] is True


def test_a_mirror_is_an_endpoint_of_the_settings_and_an_unknown_one_is_refused() -> None:
    mirrored = resolved().origin.model_copy(update={"mirror": "corp"})
    arguments = _pod(hub_spec(), origin=mirrored)["initContainers"][0]["args"]
    assert arguments[arguments.index("--endpoint") + 1] == "https://mirror.example.internal"
    with pytest.raises(Unrenderable, match="configured: corp") as error:
        _pod(hub_spec(), origin=mirrored.model_copy(update={"mirror": "gone"}))
    assert error.value.reason == "MirrorNotFound"


@pytest.mark.parametrize(
    ("path", "folder"), [("/", "/models"), ("/tiny", "/models/tiny"), ("/models/tiny/", "/models/models/tiny")]
)
def test_a_volume_is_mounted_whole_and_read_only_and_the_folder_is_named(path: str, folder: str) -> None:
    pod = _pod(volume_spec(), origin=CLAIM.model_copy(update={"path": path}))
    assert "initContainers" not in pod
    container = pod["containers"][0]
    mount = next(item for item in container["volumeMounts"] if item["name"] == "model")
    assert mount == {"name": "model", "mountPath": "/models", "readOnly": True}
    assert container["args"][container["args"].index("--model") + 1] == folder


def test_every_pod_satisfies_pod_security_restricted_and_holds_no_token() -> None:
    job = resolve_job(OWNER, request=ResolutionRequest(CLAIM), spec=parse_spec(volume_spec()), settings=settings())
    for pod in (_pod(hub_spec()), job["spec"]["template"]["spec"]):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == 65532
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert "fsGroup" not in security, "the kubelet would change the owner of every file on a user's volume"
        for container in [*pod.get("initContainers", ()), *pod["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_placement_of_profile_and_user_are_joined_and_the_user_wins() -> None:
    pod = _pod(
        hub_spec(
            pod={
                "nodeSelector": {"disk": "fast"},
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
                "imagePullSecrets": [{"name": "mine"}],
            }
        )
    )
    assert pod["nodeSelector"] == {"disk": "fast"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert pod["imagePullSecrets"] == [{"name": "mine"}]


def test_golden_cases_are_part_of_the_inputs_and_replicas_are_not() -> None:
    document = _generation().resolved
    cases = merge_cases(
        parse_cases(
            [golden()], task=Task.EMBEDDING, min_cosine_similarity="0.999", dimensions=8, prompt_names=["query"]
        )
    )
    plain = hash_inputs(parse_spec(hub_spec()), resolved=document, case_set=None)
    assert plain == hash_inputs(parse_spec(hub_spec(replicas=7, suspend=True)), resolved=document, case_set=None)
    assert plain != hash_inputs(parse_spec(hub_spec()), resolved=document, case_set=cases)
    warn = parse_spec(hub_spec(verification=verified_by(failurePolicy="Warn")))
    assert plain != hash_inputs(warn, resolved=document, case_set=None)
    by_commit = document.model_copy(update={"origin": document.origin.model_copy(update={"requested": "v1"})})
    assert plain == hash_inputs(parse_spec(hub_spec()), resolved=by_commit, case_set=None)


@pytest.mark.parametrize(
    "asked",
    [
        {"runtime": {"dtype": "BFloat16"}},
        {"runtime": {"quantization": "Int8"}},
        {"runtime": {"tokenIds": "Accept"}},
        {"reranking": {"instruction": "x"}},
        {"auth": {"apiKeysSecretRef": {"name": "embed-keys"}}},
    ],
)
def test_what_a_newer_operator_offers_is_part_of_the_inputs_only_where_it_is_asked_for(asked: dict[str, Any]) -> None:
    document = _generation().resolved
    plain = hash_inputs(parse_spec(hub_spec()), resolved=document, case_set=None)
    runtime = {"dtype": "Auto", "quantization": "None", "tokenIds": "Refuse"}
    defaults = hub_spec(runtime=runtime, reranking={"activation": "Auto"})
    assert plain == hash_inputs(parse_spec(defaults), resolved=document, case_set=None)
    assert plain != hash_inputs(parse_spec(hub_spec(**asked)), resolved=document, case_set=None)
