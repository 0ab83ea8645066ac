"""All scenes, played at once under one operator; and those that need another operator, after its restart."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml
from condition_scenes import Scene, perform, set_up
from condition_scenes_pods import POD_SCENES
from condition_scenes_refusals import REFUSAL_SCENES
from condition_scenes_rollouts import ROLLOUT_SCENES
from condition_scenes_sources import CLOSED_MIRROR, SOURCE_SCENES
from condition_scenes_writes import WRITE_SCENES
from operator_under_test import OperatorWorld
from played_cluster import PlayedCluster, Said

from localcluster.hub.store import Store

READING: Final = ("get", "list", "watch")
UNWRITABLE: Final = {"poddisruptionbudgets", "jobs"}  # after the restart
SCENES: Final = (*SOURCE_SCENES, *REFUSAL_SCENES, *POD_SCENES, *ROLLOUT_SCENES, *WRITE_SCENES)


@dataclass
class Theatre:
    """Every scene by its place in SCENES; those that come after the restart begin once they are asked for."""

    world: OperatorWorld
    cluster: PlayedCluster
    hub: Store
    pool: ThreadPoolExecutor
    running: dict[int, "Future[set[Said]]"] = field(default_factory=dict)

    def prepare(self) -> None:
        """Before the operator starts."""
        for scene in SCENES:
            if scene.prepare is not None:
                scene.prepare(set_up(scene, cluster=self.cluster, hub=self.hub))

    def begin(self, *, after_restart: bool) -> None:
        for place, scene in enumerate(SCENES):
            if scene.after_restart is after_restart:
                self.running[place] = self.pool.submit(perform, scene, cluster=self.cluster, hub=self.hub)

    def end(self, scene: Scene) -> set[Said]:
        """What was said in the scene; waits for its end."""
        place = SCENES.index(scene)
        if place not in self.running:
            self._restart()
            self.begin(after_restart=True)
        return self.running[place].result()

    def _restart(self) -> None:
        """As an upgrade, with another runtime image, and by somebody who left out permissions."""
        for future in self.running.values():
            future.exception()  # all others are over
        self.world.stop_all()
        self.world.forget_lease()
        write_settings(self.world.folder / "settings.yaml", image="registry.example/runtime:2")
        for role in self.cluster.api.list("ClusterRole"):
            rules = role.get("rules") or []
            kept = [rule for rule in rules if not UNWRITABLE & set(rule.get("resources", ()))]
            if len(kept) < len(rules):
                reading = [{**rule, "verbs": list(READING)} for rule in rules if rule not in kept]
                role = self.cluster.api.must_get("ClusterRole", role["metadata"]["name"])
                self.cluster.api.replace({**role, "rules": [*kept, *reading]})
        self.world.start_leader()


def write_settings(path: Path, *, image: str) -> None:
    """The settings as they are, with this runtime image, a registry, and a mirror that nobody answers at."""
    settings = yaml.safe_load(path.read_text())
    settings["profiles"]["cpu"]["image"] = image
    settings["registries"] = {"registry.example": {}}
    settings["hub"]["mirrors"] = {CLOSED_MIRROR: {"endpoint": "http://127.0.0.1:1"}}
    settings["audit"] = {"seconds": 5}
    path.write_text(yaml.safe_dump(settings))
