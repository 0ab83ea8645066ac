"""A hundred models of four replicas and one operator: the tests follow each other on one cluster.

Figures, and five times as many models, are bench/scale.py's; deadlines here are five times what is aimed at.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from live_cluster import condition, is_true
from many_models import ManyModels, many_models, number_models
from responding_pods import Fault

from embedding_model import ports

pytestmark = pytest.mark.apiserver

MODELS = 100
REPLICAS = 4
AUDIT_SECONDS = 30
RESYNC_SECONDS = 30
CONVERGED_SECONDS = 5 * 60
TAKEN_OVER_SECONDS = 5 * 10
IDLE_SECONDS = 5 * 1.2 * max(AUDIT_SECONDS, 2 * RESYNC_SECONDS)
MOST_MEBIBYTES = 200  # some 140 are usual

FIRST_LISTED = "embeddingmodels"  # by every resync

HEALTHY = number_models(MODELS - 1)
BROKEN = "broken-0"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, helm: Path) -> Iterator[ManyModels]:
    """Two replicas of the operator, and all models applied, the broken one first."""
    settings = {"audit": {"seconds": AUDIT_SECONDS}, "resyncSeconds": RESYNC_SECONDS}
    with many_models(tmp_path_factory.mktemp("scale"), helm=helm, namespaces=10, **settings) as models:
        models.start(replicas=2)
        models.responder.faults[models.key_of(BROKEN)] = Fault.MEMORISED
        models.apply([BROKEN, *HEALTHY], replicas=REPLICAS, verification={})
        yield models


def test_all_become_ready_and_verified_beside_one_that_answers_wrong(models: ManyModels) -> None:
    models.wait_verified(HEALTHY, seconds=CONVERGED_SECONDS)
    assert models.leader().resident_mib() < MOST_MEBIBYTES
    broken = models.wait_for("the broken model's verdict", lambda: judged(models), seconds=TAKEN_OVER_SECONDS)
    assert not is_true(broken, "Verified")
    assert not is_true(broken, "Ready")
    assert models.responder.ready_pods() == len(HEALTHY) * REPLICAS


def judged(models: ManyModels) -> object:
    found = models.model(BROKEN)
    verified = condition(found, "Verified")
    return found if verified and verified["status"] == "False" else None


def test_an_idle_operator_audits_every_pod_and_writes_nothing_but_its_lease(models: ManyModels) -> None:
    """A window without a write that has a whole resync and as many audits as there are pods in it."""
    pods = len(HEALTHY) * REPLICAS
    window = Window(models)

    def is_full() -> bool:
        if models.writes(since=window.begin):
            window.open()  # what follows from convergence is still being written
        return bool(window.resyncs()) and window.audits() >= pods

    models.wait_for("a quiet window", is_full, seconds=IDLE_SECONDS)
    lists = Counter(window.resyncs())
    assert lists["pods"] == lists[FIRST_LISTED]
    assert {what: count for what, count in lists.items() if count > lists[FIRST_LISTED]} == {}


class Window:
    """From now on, or from when it was opened last."""

    def __init__(self, models: ManyModels) -> None:
        self._models = models
        self.open()

    def open(self) -> None:
        self.begin = self._models.operator.cluster.audit_offset()
        self._verdicts = self._count()

    def resyncs(self) -> Sequence[str]:
        """What was listed from the start of its first resync until that of its last one: a window may open and end in
        the middle of one."""
        lists = [what for verb, what in self._models.asked(since=self.begin) if verb == "list"]
        starts = [place for place, what in enumerate(lists) if what == FIRST_LISTED]
        return lists[starts[0] : starts[-1]] if starts else ()

    def audits(self) -> int:
        return self._count() - self._verdicts

    def _count(self) -> int:
        return self._models.responder.answered[f"POST {ports.VERDICT}"]


def test_when_the_leader_dies_the_standby_acts_on_what_is_new(models: ManyModels) -> None:
    name, killed = HEALTHY[0], models.kill_leader()
    models.change(name, replicas=REPLICAS + 1)
    models.wait_for("the other replica acts", asks_for(models, name, REPLICAS + 1), seconds=TAKEN_OVER_SECONDS)
    assert models.leader() is not killed
    models.wait_verified(HEALTHY, seconds=CONVERGED_SECONDS)


def asks_for(models: ManyModels, name: str, replicas: int) -> Callable[[], bool]:
    path = f"/apis/apps/v1/namespaces/{models.namespace_of(name)}/deployments"

    def asks() -> bool:
        items = models.rig.server.request("GET", path)["items"]
        return any(
            item["metadata"]["name"].startswith(f"{name}-") and item["spec"]["replicas"] == replicas for item in items
        )

    return asks
