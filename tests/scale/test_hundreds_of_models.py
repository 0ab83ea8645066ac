"""A hundred models of four replicas and one operator: the tests follow each other on one cluster.

Figures, and five times as many models, are bench/scale.py's; deadlines here are five times what is aimed at.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
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

# The next resync begins 0.8 to 1.2 intervals after the end of one. Less by what a clock may be set back.
LEAST_APART_SECONDS = 0.75 * RESYNC_SECONDS

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
    """A window without a write, and without two lists of a kind in one resync, that has a whole resync and as many
    audits as there are pods in it."""
    pods = len(HEALTHY) * REPLICAS
    window = Window(models)
    disturbed: Sequence[object] = ()

    def is_full() -> bool:
        nonlocal disturbed
        if found := window.find_disturbances():
            disturbed = found  # what follows from convergence is still being written, or watches have begun anew
            window.open()
        return window.has_resync() and window.audits() >= pods

    try:
        models.wait_for("a quiet window", is_full, seconds=IDLE_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"{error}; what disturbed the last one: {disturbed}") from None


class Window:
    """From now on, or from when it was opened last."""

    def __init__(self, models: ManyModels) -> None:
        self._models = models
        self.open()

    def open(self) -> None:
        self.begin = self._models.operator.cluster.audit_offset()
        self._verdicts = self._count()

    def has_resync(self) -> bool:
        """Between three lists of a kind: a window may open in the middle of one resync and end in that of another."""
        return len(self._models.lists(since=self.begin).get("pods", ())) > 2

    def find_disturbances(self) -> Sequence[object]:
        """Writes, and kinds that were listed again sooner than the next resync can have begun."""
        return [*self._models.writes(since=self.begin), *list_repeated(self._models.lists(since=self.begin))]

    def audits(self) -> int:
        return self._count() - self._verdicts

    def _count(self) -> int:
        return self._models.responder.answered[f"POST {ports.VERDICT}"]


def list_repeated(lists: Mapping[str, Sequence[datetime]]) -> Sequence[str]:
    return [
        kind
        for kind, times in lists.items()
        if any((later - earlier).total_seconds() < LEAST_APART_SECONDS for earlier, later in pairwise(times))
    ]


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
