"""Every condition has every reason that the API declares for it, on a real API server, by the operator as a process."""

import pytest
from condition_scenes import Scene
from condition_theatre import SCENES, Theatre
from played_cluster import Said

from embedding_operator.api.conditions import CONDITION_REASONS, EVENT_REASONS
from embedding_operator.api.reasons import Reason

pytestmark = pytest.mark.apiserver

DECLARED = [
    (str(kind), str(status), str(reason))
    for kind, by_status in CONDITION_REASONS.items()
    for status, reasons in by_status.items()
    for reason in reasons
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: f"{scene.name}-{scene.shows['Ready'][1]}")
def test_a_scene_ends_as_it_says(scene: Scene, theatre: Theatre) -> None:
    assert scene.said <= theatre.end(scene)


@pytest.mark.parametrize("said", DECLARED, ids="-".join)
def test_a_condition_has_each_of_its_reasons(said: Said, theatre: Theatre) -> None:
    scenes = [scene for scene in SCENES if said in scene.said]
    assert scenes, "no scene makes it true"
    assert said in theatre.end(scenes[0])


@pytest.mark.parametrize("reason", EVENT_REASONS, ids=str)
def test_an_event_has_each_reason_that_is_of_events_alone(reason: Reason, theatre: Theatre) -> None:
    scenes = [scene for scene in SCENES if reason in scene.events]
    assert scenes, "no scene makes it true"
    theatre.end(scenes[0])


def test_no_condition_ever_had_a_reason_that_is_not_declared(theatre: Theatre) -> None:
    for scene in SCENES:
        theatre.end(scene)
    assert theatre.cluster.undeclared == []
