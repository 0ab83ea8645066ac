"""Scenes of children that the API server does not take: for a quota, a policy, a webhook, or want of a right."""

from collections.abc import Callable
from typing import Any, Final

from condition_scenes import AVAILABLE, Scene, Stage, held_up, unresolved
from condition_scenes_refusals import FROM_CLAIM, create_claim

from embedding_operator.api.reasons import Reason

_POD: Final = {"metadata": {"labels": {"app": "probe"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
# Of each kind that is refused: group, plural, and a spec to try with.
_KINDS: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "Deployment": ("apps", "deployments", {"selector": {"matchLabels": {"app": "probe"}}, "template": _POD}),
    "Job": ("batch", "jobs", {"template": {"spec": {**_POD["spec"], "restartPolicy": "Never"}}}),
}


def _await_refusal(stage: Stage, kind: str) -> None:
    """The API server takes a moment to follow a new policy or quota."""
    group, _, spec = _KINDS[kind]

    def is_refused() -> bool:
        try:
            stage.create(kind, "probe", api_version=f"{group}/v1", spec=spec)
        except AssertionError:
            return True
        stage.api.delete(kind, "probe", namespace=stage.namespace)
        return False

    stage.await_true(f"a {kind} is refused", is_refused)


def _deny_by_policy(stage: Stage, kind: str) -> None:
    group, only_here = "admissionregistration.k8s.io/v1", _select(stage)
    policy = {
        "matchConstraints": {"resourceRules": [_match(kind)]},
        "validations": [{"expression": "false", "message": f"{kind}s are not wanted here"}],
    }
    metadata = {"name": stage.namespace}
    stage.api.create({"apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": metadata, "spec": policy})
    binding = {"policyName": stage.namespace, "validationActions": ["Deny"], "matchResources": only_here}
    binding_kind = "ValidatingAdmissionPolicyBinding"
    stage.api.create({"apiVersion": group, "kind": binding_kind, "metadata": metadata, "spec": binding})


def _deny_by_a_webhook_that_is_down(stage: Stage, kind: str) -> None:
    webhook = {
        "name": "writes.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [_match(kind)],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
        **_select(stage),
    }
    stage.api.create(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": stage.namespace},
            "webhooks": [webhook],
        }
    )


def _match(kind: str) -> dict[str, Any]:
    group, plural, _ = _KINDS[kind]
    return {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [plural]}


def _select(stage: Stage) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}}}


def _set_a_quota(stage: Stage, kind: str) -> None:
    """Its controller, which counts what is used, is played."""
    group, plural, _ = _KINDS[kind]
    hard = {f"count/{plural}.{group}": "0"}
    stage.create("ResourceQuota", "small", spec={"hard": hard})
    status = {"status": {"hard": hard, "used": dict(hard)}}
    stage.api.patch("ResourceQuota", "small", status, namespace=stage.namespace, subresource="status")


def _refuse_deployments(refuse: Callable[[Stage, str], None]) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        refuse(stage, "Deployment")
        _await_refusal(stage, "Deployment")
        stage.create_model()

    return play


def _refuse_jobs(refuse: Callable[[Stage, str], None]) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        refuse(stage, "Job")
        _await_refusal(stage, "Job")
        _ask_for_a_job(stage)

    return play


def _ask_for_a_job(stage: Stage) -> None:
    """It has to read the volume."""
    create_claim(stage)
    stage.create_model(model=FROM_CLAIM)


def _ask_for_a_disruption_budget(stage: Stage) -> None:
    """The operator may write none any more."""
    stage.create_model(replicas=2)


WRITE_SCENES: Final = (
    Scene("policy", _refuse_deployments(_deny_by_policy), held_up(Reason.CHILD_REJECTED, kind="Stalled")),
    Scene("webhook-down", _refuse_deployments(_deny_by_a_webhook_that_is_down), held_up(Reason.CHILD_REJECTED)),
    Scene("quota", _refuse_deployments(_set_a_quota), held_up(Reason.QUOTA_EXCEEDED)),
    Scene("jobs-policy", _refuse_jobs(_deny_by_policy), unresolved(Reason.CHILD_REJECTED, kind="Stalled")),
    Scene("jobs-webhook-down", _refuse_jobs(_deny_by_a_webhook_that_is_down), unresolved(Reason.CHILD_REJECTED)),
    Scene("jobs-quota", _refuse_jobs(_set_a_quota), unresolved(Reason.QUOTA_EXCEEDED)),
    Scene(
        "forbidden",
        _ask_for_a_disruption_budget,
        held_up(Reason.API_FORBIDDEN, available=AVAILABLE),
        after_restart=True,
    ),
    Scene("jobs-forbidden", _ask_for_a_job, unresolved(Reason.API_FORBIDDEN), after_restart=True),
)
