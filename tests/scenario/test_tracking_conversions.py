"""updatePolicy Track of a repository that only a Job can convert: when its Job is refused, or gets no pod."""

import copy
from datetime import UTC, datetime

import pytest
from model_samples import COMMIT, OTHER_COMMIT, REPO, hub_spec, refused, request_token, resolved
from refused_writes import run
from refusing_gateway import RefusingGateway
from simulated_cluster import SimulatedCluster

from embedding_model.refusal import Reason
from embedding_model.resolved import Origin, SourceKind
from embedding_operator.api import names
from embedding_operator.api.spec import ConversionPolicy
from embedding_operator.kube.gateway import JOB, SERVICE, Forbidden, Gateway, GatewayError, Object
from embedding_operator.observe.facts import Head, Resolution
from embedding_operator.reconcile.outcome import Wait

SOURCE = Origin(kind=SourceKind.HUGGING_FACE, repo=REPO, requested="main").request_key()
THIRD_COMMIT = "1111111111111111111111111111111111111111"
SEEN = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)
PICKLE_ONLY = refused(Reason.PICKLE_ONLY, "only pickle")
QUOTA = Forbidden('jobs.batch "tiny-c1" is forbidden: exceeded quota: jobs, used: count/jobs.batch=1', status=403)
DENIED = GatewayError('admission webhook "images.example.com" denied the request: unsigned image', status=400)
REFUSALS = [pytest.param(QUOTA, id="quota"), pytest.param(DENIED, id="policy")]


def request(*, commit: str | None = None) -> str:
    return request_token(commit=commit, conversion=ConversionPolicy.ISOLATED)


def move(cluster: SimulatedCluster, commit: str, answer: Resolution = PICKLE_ONLY) -> None:
    cluster.facts.heads[SOURCE] = Head(commit=commit, seen_at=SEEN, requested_at=None)
    cluster.facts.resolutions[request(commit=commit)] = answer


def refuse_jobs(cluster: SimulatedCluster, error: GatewayError) -> Gateway:
    return RefusingGateway(cluster.gateway, verb="apply", kind=JOB.kind, error=error)


def said(cluster: SimulatedCluster) -> str:
    """Of why it is not Ready."""
    condition = cluster.condition("Stalled") or cluster.condition("Reconciling")
    return str(condition["message"]) if condition else ""


@pytest.fixture
async def tracked(cluster: SimulatedCluster) -> SimulatedCluster:
    """Its first commit has safetensors."""
    cluster.facts.resolutions[request()] = resolved()
    hub = {"repo": REPO, "revision": "main", "updatePolicy": "Track"}
    cluster.create_model(hub_spec(model={"huggingFace": hub, "conversion": "Isolated"}))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    return cluster


@pytest.mark.parametrize("error", REFUSALS)
async def test_a_job_that_is_refused_is_told_of(tracked: SimulatedCluster, error: GatewayError) -> None:
    move(tracked, OTHER_COMMIT)
    await tracked.settle(gateway=refuse_jobs(tracked, error))
    assert said(tracked).startswith('branch "main" is not followed: ')
    assert OTHER_COMMIT in said(tracked)
    assert error.message in said(tracked)
    assert tracked.says("Available") == ("True", "MinimumAvailable")
    move(tracked, COMMIT)
    await tracked.settle()
    assert tracked.says("Ready") == ("True", "Serving")


@pytest.mark.parametrize("error", REFUSALS)
async def test_what_was_told_stands_until_a_restarted_operator_has_asked_again(
    tracked: SimulatedCluster, error: GatewayError
) -> None:
    move(tracked, OTHER_COMMIT)
    await tracked.settle(gateway=refuse_jobs(tracked, error))
    before = said(tracked)
    tracked.facts.unmade.clear()
    tracked.facts.heads.clear()
    tracked.gateway.forget_calls()
    await tracked.reconcile()
    assert tracked.gateway.writes == ()
    assert said(tracked) == before


@pytest.mark.parametrize("error", REFUSALS)
async def test_nothing_is_told_any_more_once_the_job_is_taken_and_runs(
    tracked: SimulatedCluster, error: GatewayError
) -> None:
    move(tracked, OTHER_COMMIT)
    await tracked.settle(gateway=refuse_jobs(tracked, error))
    tracked.pass_time(60)
    await tracked.settle()
    assert tracked.all(JOB)
    assert tracked.says("Ready") == ("True", "Serving")


async def test_a_job_that_gets_no_pod_is_told_of_in_time(tracked: SimulatedCluster) -> None:
    tracked.makes_job_pods = False
    move(tracked, OTHER_COMMIT)
    outcome = await tracked.settle()
    assert tracked.all(JOB)
    assert isinstance(outcome, Wait)
    tracked.pass_time(outcome.after_seconds)
    await tracked.settle()
    assert tracked.says("Reconciling") == ("True", "PodFailed")
    assert OTHER_COMMIT in said(tracked)


@pytest.mark.parametrize("error", REFUSALS)
async def test_what_waits_for_approval_stays_while_a_newer_commits_job_is_refused(
    tracked: SimulatedCluster, error: GatewayError
) -> None:
    served = tracked.selected_space()
    tracked.edit_spec(lambda spec: spec.update(space=served))
    move(tracked, OTHER_COMMIT, resolved(revision=OTHER_COMMIT, seed="b"))
    await tracked.settle()
    pending = tracked.status()["space"]["pending"]
    assert tracked.replicas() == {served: 1, pending: 1}
    services = tracked.all(SERVICE)
    move(tracked, THIRD_COMMIT)
    await tracked.settle(gateway=refuse_jobs(tracked, error))
    assert tracked.replicas() == {served: 1, pending: 1}
    assert tracked.all(SERVICE) == services
    assert tracked.status()["space"]["pending"] == pending
    assert THIRD_COMMIT in said(tracked)
    tracked.pass_time(60)
    await tracked.settle()
    assert tracked.all(JOB), "it is taken"
    assert tracked.status()["space"]["pending"] == pending
    assert tracked.says("Reconciling") == ("True", "Converting")
    assert THIRD_COMMIT in said(tracked)


@pytest.mark.parametrize("error", REFUSALS)
async def test_a_request_is_not_handled_by_a_job_that_is_refused(
    tracked: SimulatedCluster, error: GatewayError
) -> None:
    at = "2026-03-01T15:00:00Z"
    tracked.request_anew(at)
    tracked.facts.heads[SOURCE] = Head(commit=OTHER_COMMIT, seen_at=SEEN, requested_at=at)
    asked = request_token(commit=OTHER_COMMIT, conversion=ConversionPolicy.ISOLATED, requested_at=at)
    tracked.facts.resolutions[asked] = PICKLE_ONLY
    await tracked.settle(gateway=refuse_jobs(tracked, error))
    assert error.message in said(tracked)
    assert "lastHandledRequest" not in tracked.status()


@pytest.mark.parametrize("unknown", ["its Job is refused", "its Job runs", "a restarted operator's hub is silent"])
@pytest.mark.parametrize("approves", [True, False])
async def test_under_replace_what_waits_for_approval_is_not_waited_for_while_a_newer_commit_is_unknown(
    tracked: SimulatedCluster, unknown: str, approves: bool
) -> None:
    served, other = tracked.selected_space(), copy.deepcopy(tracked)
    other.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await other.settle()
    cut = other.selected_space()
    tracked.edit_spec(lambda spec: spec.update(space=served, rollout={"strategy": "Replace"}))
    move(tracked, OTHER_COMMIT, resolved(revision=OTHER_COMMIT, seed="b"))
    await tracked.settle()
    pending = tracked.status()["space"]["pending"]
    gateway = refuse_jobs(tracked, QUOTA) if unknown == "its Job is refused" else tracked.gateway
    if unknown == "a restarted operator's hub is silent":
        tracked.facts.heads.clear()
    else:
        move(tracked, THIRD_COMMIT)
    tracked.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    tracked.edit_spec(lambda spec: spec.update(space=cut) if approves else spec.pop("space"))
    await run(tracked, gateway, rounds=30)
    assert tracked.selected_space() == cut
    assert tracked.replicas() == {served: 0, cut: 1, pending: 1 if approves else 0}
    assert tracked.says("Available") == ("True", "MinimumAvailable")


async def test_a_job_that_fails_again_and_again_says_so_throughout(tracked: SimulatedCluster) -> None:
    """Each begins without trouble: that alone is no news."""
    killed = {"name": "convert", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    is_over = False

    def end(pod: Object) -> Object | None:
        is_converting = pod["metadata"]["labels"][names.LABEL_COMPONENT] == names.COMPONENT_CONVERT
        return {"phase": "Failed", "containerStatuses": [killed]} if is_converting and is_over else None

    tracked.trouble = end
    move(tracked, OTHER_COMMIT)
    await tracked.settle()
    assert tracked.says("Ready") == ("True", "Serving")
    for _ in range(3):
        is_over = True
        await tracked.settle()
        assert tracked.says("Ready") == ("False", "OutOfMemory")
        [job] = tracked.all(JOB)
        ended = {"type": "Failed", "status": "True", "lastTransitionTime": tracked.write_now()}
        name = job["metadata"]["name"]
        tracked.gateway.edit(
            JOB, lambda item, ended=ended: item.update(status={"conditions": [ended]}), namespace="search", name=name
        )
        is_over = False
        tracked.pass_time(61)
        await tracked.settle()
        [again] = tracked.all(JOB)
        assert again["metadata"]["uid"] != job["metadata"]["uid"]
        assert tracked.says("Ready") == ("False", "OutOfMemory")
