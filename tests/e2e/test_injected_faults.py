"""Faults that no hash can see, in the serving process itself, under the load of clients who judge every vector.

Five runs of them are always made, all in the long run. Each is there when its pod starts, in each kind of rollout, and
arises while it serves; the control shows that each does harm where nobody verifies.
"""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from judged_clients import References, asking
from live_cluster import LiveCluster, condition, conditions_text, is_true
from models_under_test import MINILM_REPO, embedding_model, reference_vectors, texts_of_many_lengths

from release import OPERATOR_NAMESPACE

PROMPT = {"prompts": [{"name": "question", "text": "question: "}], "defaultPrompt": "question"}
ALL = (
    "wrong-weights",
    "wrong-pooling",
    "no-norm",
    "no-prompt",
    "coarse-dtype",
    "other-revision",
    "other-tokenizer",
    "swapped-dimension",
    "scaled",
    "one-nan",
    "own-goldens-only",
)
ROLLOUTS: Mapping[str, Mapping[str, Any]] = {
    "within-the-space": {},
    "to-another-space": {"embedding": {**PROMPT, "dimensions": 256}},
    "replacing": {"embedding": {**PROMPT, "dimensions": 256}, "rollout": {"strategy": "Replace"}},
    "replacing-within-the-space": {"rollout": {"strategy": "Replace"}},
}
# The one pod that serves goes before another comes.
WITH_GAP = ("replacing", "replacing-within-the-space")
AT_START = (
    ("wrong-pooling", "within-the-space"),
    ("own-goldens-only", "within-the-space"),
    ("own-goldens-only", "to-another-space"),
)
WHILE_SERVING = ("scaled", "one-nan")

# Of audit intervals: the aim is one, which the figures show. How fast a pod is found out is no more asserted than any
# other speed: where the machine is busy, an audit that is due waits for its turn.
PATIENCE = 5
# An interval is never less than this many times what an audit takes: docs/audits.md.
AUDIT_SHARE = 100
METRICS_PORT = 8083
# What a pod's answers bring about, and nothing else does.
JUDGED = ("GoldenMismatch", "AuditFailed")


def mark(is_always: bool) -> pytest.MarkDecorator:
    return pytest.mark.always if is_always else pytest.mark.soak


@pytest.fixture(scope="module")
def references(minilm_folder: Path) -> References:
    """Of texts that are in no golden set, without a space yet; prompted as the models below are."""
    texts = texts_of_many_lengths(60, longest=60)
    prompted = [PROMPT["prompts"][0]["text"] + text for text in texts]  # type: ignore[index]
    return References(texts=texts, vectors={"": list(reference_vectors(minilm_folder, texts=prompted))})


def faulty(name: str, *, namespace: str, profile: str, **spec: Any) -> Mapping[str, Any]:
    """`name` chooses the fault, in a pod of the profile `faulty`."""
    runtime = {"profile": profile, "servedNames": [{"name": MINILM_REPO, "prompt": "question"}]}
    always = {"embedding": PROMPT, "verification": {"reference": "Auto"}}
    return embedding_model(name, namespace=namespace, runtime=runtime, **{**always, **spec})


def learn_space(references: References, *, model: Mapping[str, Any]) -> References:
    space = str(model["status"]["space"]["fingerprint"])
    return References(texts=references.texts, vectors={space: references.vectors[""]})


@pytest.mark.parametrize(
    ("what", "rollout"),
    [
        pytest.param(what, rollout, marks=mark((what, rollout) in AT_START), id=f"{what}-{rollout}")
        for what in ALL
        for rollout in ROLLOUTS
    ],
)
def test_a_fault_that_is_there_at_the_start_reaches_no_client_through_a_rollout(
    live_cluster: LiveCluster,
    namespace: str,
    wait_ready: Callable[..., Mapping[str, Any]],
    references: References,
    faulty_image: str,
    show_figure: Callable[[str], None],
    what: str,
    rollout: str,
) -> None:
    name = f"fault-start-{what}"
    live_cluster.apply(faulty(name, namespace=namespace, profile="cpu"))
    right = learn_space(references, model=wait_ready(name, seconds=600))
    host = live_cluster.service_address(name, namespace=namespace)
    with asking(host, model=name, texts=right.texts) as traffic:
        live_cluster.wait_for("traffic flows", lambda: traffic.answered > 20, seconds=60)
        live_cluster.apply(faulty(name, namespace=namespace, profile="faulty", **ROLLOUTS[rollout]))
        verdict = wait_judged(live_cluster, name, namespace=namespace, image=faulty_image)
        if rollout not in WITH_GAP:
            now = traffic.answered
            live_cluster.wait_for("and the earlier pods serve on", lambda: traffic.answered > now + 20, seconds=60)
    wrong = traffic.find_wrong(right)
    show_figure(f"{verdict}; {traffic.answered} answered, {len(traffic.failed)} failed, {len(wrong)} wrong")
    assert wrong == []
    assert rollout in WITH_GAP or traffic.failed == []
    assert_unknown(right.texts, cluster=live_cluster, namespace=namespace)


@pytest.mark.parametrize("what", [pytest.param(what, marks=mark(what in WHILE_SERVING)) for what in ALL])
def test_a_fault_that_arises_while_serving_reaches_clients_for_one_audit_interval_at_most(
    live_cluster: LiveCluster,
    namespace: str,
    wait_ready: Callable[..., Mapping[str, Any]],
    references: References,
    audit_seconds: float,
    show_figure: Callable[[str], None],
    what: str,
) -> None:
    name = f"fault-serving-{what}"
    live_cluster.apply(faulty(name, namespace=namespace, profile="faulty", replicas=2))
    right = learn_space(references, model=wait_ready(name, seconds=600))
    host = live_cluster.service_address(name, namespace=namespace)
    with asking(host, model=name, texts=right.texts) as traffic:
        live_cluster.wait_for("traffic flows", lambda: traffic.answered > 20, seconds=60)
        pods = server_pods(live_cluster, namespace=namespace)
        victim = sorted(pods)[0]
        injected = time.monotonic()
        live_cluster.kubectl("exec", victim, "-n", namespace, "-c", "runtime", "--", "touch", "/tmp/fault")
        live_cluster.wait_for(
            "the pod is taken away",
            lambda: pods[victim] not in server_pods(live_cluster, namespace=namespace).values(),
            seconds=PATIENCE * 180,
        )
        removed = time.monotonic()
        wait_ready(name, seconds=300)
        live_cluster.wait_for("its replacement serves too", lambda: traffic.answered > 200, seconds=60)
    wrong = [answer for answer, _ in traffic.find_wrong(right)]
    last = max((answer.asked - injected for answer in wrong), default=0.0)
    interval = max(audit_seconds, AUDIT_SHARE * measure_audit(live_cluster))
    figure = (
        f"the last wrong answer was asked for {last:.1f} s after the fault, {last / interval:.2f} audit intervals of "
        f"{interval:.0f} s"
    )
    show_figure(f"{figure}; {traffic.answered} answered, {len(traffic.failed)} failed, {len(wrong)} wrong")
    assert [answer for answer in wrong if answer.asked > removed] == []
    assert last < PATIENCE * interval, figure
    if what == "one-nan":
        assert wrong == [], "an error, never a vector"
    assert_unknown(right.texts, cluster=live_cluster, namespace=namespace)


@pytest.mark.soak
@pytest.mark.parametrize("what", ALL)
def test_without_verdicts_each_of_them_does_harm(
    live_cluster: LiveCluster,
    namespace: str,
    wait_ready: Callable[..., Mapping[str, Any]],
    references: References,
    show_figure: Callable[[str], None],
    what: str,
) -> None:
    name = f"fault-start-{what}"
    unverified = {"reference": "Off", "failurePolicy": "Warn"}
    live_cluster.apply(faulty(name, namespace=namespace, profile="faulty", verification=unverified))
    right = learn_space(references, model=wait_ready(name, seconds=600))
    host = live_cluster.service_address(name, namespace=namespace)
    with asking(host, model=name, texts=right.texts) as traffic:
        live_cluster.wait_for("answers", lambda: len(traffic.answers) > 100, seconds=120)
    wrong = traffic.find_wrong(right)
    show_figure(f"{traffic.answered} answered, {len(traffic.failed)} failed, {len(wrong)} wrong")
    if what == "one-nan":
        assert traffic.answered == 0, "every request is an error"
    else:
        assert wrong != []


def wait_judged(cluster: LiveCluster, name: str, *, namespace: str, image: str) -> str:
    """Until the model is Stalled by what a pod of that image, which ran, has answered; the reason."""
    ran: set[str] = set()

    def judged() -> str | None:
        ran.update(running_pods(cluster, namespace=namespace, image=image))
        model = cluster.must_get("embeddingmodel", name, namespace=namespace)
        found = condition(model, "Stalled")
        is_judged = found is not None and found["status"] == "True" and found["reason"] in JUDGED
        return str(found["reason"]) if found and is_judged and not is_true(model, "Verified") else None

    try:
        reason = cluster.wait_for("the fault is found", judged, seconds=600)
    except AssertionError as error:
        now = cluster.must_get("embeddingmodel", name, namespace=namespace)
        raise AssertionError(f"{error}\n{conditions_text(now)}") from None
    assert ran, f"{reason}, and no pod of {image} was seen running"
    return reason


def running_pods(cluster: LiveCluster, *, namespace: str, image: str) -> Sequence[str]:
    """Uids of the pods in which a server of that image runs."""
    pods = cluster.list("pods", namespace=namespace, labels="embedding-operator.dev/component=server")
    return [
        pod["metadata"]["uid"]
        for pod in pods
        if any(item["image"] == image for item in pod["spec"]["containers"])
        and any("running" in item["state"] for item in pod["status"].get("containerStatuses", ()))
    ]


def assert_unknown(texts: Sequence[str], *, cluster: LiveCluster, namespace: str) -> None:
    """That none of them is in a golden case that pods have mounted, or in one of the holdout."""
    for half in ("goldens", "holdout"):
        found = cluster.list("configmaps", namespace=namespace, labels=f"embedding-operator.dev/component={half}")
        lines = [line for item in found for line in item["data"]["goldens.jsonl"].splitlines()]
        known = {json.loads(line)["input"] for line in lines}
        assert known, f"there is no case in {half}"
        assert known.isdisjoint(texts)


def server_pods(cluster: LiveCluster, *, namespace: str) -> Mapping[str, str]:
    """Uid by name."""
    pods = cluster.list("pods", namespace=namespace, labels="embedding-operator.dev/component=server")
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods}


def measure_audit(cluster: LiveCluster) -> float:
    """Seconds that an audit takes on average, as the operator's replicas count them."""
    pods = cluster.list("pods", namespace=OPERATOR_NAMESPACE, labels="app.kubernetes.io/name=embedding-operator")
    text = "".join(httpx.get(f"http://{pod['status']['podIP']}:{METRICS_PORT}/metrics").text for pod in pods)
    spent, audits = (
        sum(float(value) for value in re.findall(rf"embedding_operator_audit_seconds_{part}\{{.*\}} (\S+)", text))
        for part in ("sum", "count")
    )
    return spent / audits
