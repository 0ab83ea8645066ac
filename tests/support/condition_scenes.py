"""Scenes: what happens for a condition to have a reason, each on a real API server in a namespace of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from administrator import Api
from live_cluster import conditions_text
from model_folders import write_files
from played_cluster import Play, PlayedCluster, Said
from scripted_pods import point

from embedding_model.refusal import Reason as RefusalReason
from embedding_operator.api import names
from embedding_operator.api.conditions import AnyReason
from embedding_operator.api.reasons import Reason
from localcluster.hub.store import Store

DEADLINE_SECONDS: Final = 150.0
REPO: Final = "acme/tiny"
DIMENSIONS: Final = 8  # of tiny_models
NAME: Final = "m"

Says = Mapping[str, tuple[str, str]]

NO_GOLDENS: Final = ("Unknown", Reason.NO_GOLDENS)
RESOLVED: Final = ("True", Reason.RESOLVED)
NOT_AVAILABLE: Final = ("False", Reason.NOT_AVAILABLE)
AVAILABLE: Final = ("True", Reason.MINIMUM_AVAILABLE)


@dataclass(frozen=True)
class Scene:
    """`shows` are all conditions in the end, `passes` what some were on the way. `events`: reasons of events.

    `prepare` comes before the operator starts, and before any other scene. `after_restart`: it comes once the others
    are over, under an operator of a newer release with fewer rights.
    """

    name: str
    play: "Callable[[Stage], None]"
    shows: Says
    passes: tuple[Said, ...] = ()
    events: tuple[Reason, ...] = ()
    prepare: "Callable[[Stage], None] | None" = None
    after_restart: bool = False

    @property
    def said(self) -> set[Said]:
        return {(kind, status, str(reason)) for kind, (status, reason) in self.shows.items()} | set(self.passes)


@dataclass(frozen=True)
class Stage:
    """One namespace with one model."""

    namespace: str
    cluster: PlayedCluster
    hub: Store

    @property
    def api(self) -> Api:
        return self.cluster.api

    @property
    def play(self) -> Play:
        return self.cluster.plays[self.namespace]

    def create(self, kind: str, name: str, *, api_version: str = "v1", **content: Any) -> dict[str, Any]:
        metadata = {"namespace": self.namespace, "name": name, **content.pop("metadata", {})}
        return self.api.create({"apiVersion": api_version, "kind": kind, "metadata": metadata, **content})

    def create_model(self, **spec: Any) -> None:
        self.create(names.KIND, NAME, api_version=names.API_VERSION, spec=build_spec(**spec))

    def change_spec(self, **change: Any) -> None:
        self.api.patch(names.KIND, NAME, {"spec": change}, namespace=self.namespace)

    def model(self) -> dict[str, Any]:
        return self.cluster.models[self.namespace]

    def says(self) -> Says:
        """All conditions, once they are of the present spec."""
        model = self.cluster.models.get(self.namespace)
        status = (model or {}).get("status") or {}
        if model is None or status.get("observedGeneration") != model["metadata"]["generation"]:
            return {}
        return {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}

    def await_says(self, wanted: Says) -> None:
        """Wait until these are the conditions, and no others."""
        try:
            self.await_true(f"{self.namespace} says {dict(wanted)}", lambda: self.says() == dict(wanted))
        except AssertionError as error:
            said = conditions_text(self.cluster.models.get(self.namespace, {}))
            raise AssertionError(f"{error}\nit says {said}") from None

    def await_true(self, what: str, probe: Callable[[], Any]) -> Any:
        return self.cluster.wait_for(what, probe, seconds=DEADLINE_SECONDS)

    def await_serving(self) -> None:
        self.await_true(f"{self.namespace} serves", lambda: self.says().get("Ready") == ("True", str(Reason.SERVING)))

    def find(self, kind: str) -> list[dict[str, Any]]:
        return self.api.list(kind, namespace=self.namespace, labels=f"{names.LABEL_MODEL}={NAME}")

    def await_one(self, kind: str) -> dict[str, Any]:
        """The first object of this kind that the operator made."""
        found: dict[str, Any] = self.await_true(f"a {kind} in {self.namespace}", lambda: self.find(kind))[0]
        return found

    def list_events(self) -> set[str]:
        found = self.api.list("Event", namespace=self.namespace)
        return {event["reason"] for event in found if event["regarding"].get("name") == NAME}

    def push(self, files: Mapping[str, bytes]) -> str:
        """A repository with these files; its name."""
        repo = f"acme/{self.namespace}"
        with TemporaryDirectory() as folder:
            self.hub.push(write_files(Path(folder), files), repo)
        return repo


def set_up(scene: Scene, *, cluster: PlayedCluster, hub: Store) -> Stage:
    cluster.plays.setdefault(scene.name, Play())
    if cluster.api.get("Namespace", scene.name) is None:
        cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scene.name}})
    return Stage(namespace=scene.name, cluster=cluster, hub=hub)


def perform(scene: Scene, *, cluster: PlayedCluster, hub: Store) -> set[Said]:
    """Play the scene, and wait for its end; whatever was said meanwhile. AssertionError when it ends otherwise."""
    stage = set_up(scene, cluster=cluster, hub=hub)
    scene.play(stage)
    stage.await_true(
        f"{scene.name} says {scene.passes} on the way", lambda: set(scene.passes) <= cluster.said.get(scene.name, set())
    )
    stage.await_says({kind: (status, str(reason)) for kind, (status, reason) in scene.shows.items()})
    stage.await_true(f"the events {scene.events}", lambda: set(scene.events) <= stage.list_events())
    return set(cluster.said[scene.name])


def build_spec(**parts: Any) -> dict[str, Any]:
    """A model of the hub without golden cases, with these parts instead."""
    return {"model": from_hub(REPO), "verification": {"reference": "Off"}, **parts}


def from_hub(repo: str, **parts: Any) -> dict[str, Any]:
    return {"huggingFace": {"repo": repo, **parts}}


def verified_by(*names_of_cases: str, **parts: Any) -> dict[str, Any]:
    """Golden cases that scripted pods answer rightly."""
    cases = [{"name": name, "input": f"text of {name}", "vector": point(DIMENSIONS)} for name in names_of_cases]
    return {"reference": "Off", "goldens": cases, **parts}


def held_up(
    reason: AnyReason,
    *,
    kind: str = "Reconciling",
    available: tuple[str, str] = NOT_AVAILABLE,
    verified: tuple[str, str] = NO_GOLDENS,
) -> Says:
    """Of a resolved model that is not Ready."""
    return {
        "Ready": ("False", reason),
        "Available": available,
        "Verified": verified,
        "Resolved": RESOLVED,
        kind: ("True", reason),
    }


def unresolved(reason: AnyReason, *, kind: str = "Reconciling", status: str = "False") -> Says:
    return {
        "Ready": ("False", reason),
        "Available": NOT_AVAILABLE,
        "Verified": ("Unknown", reason),
        "Resolved": (status, reason),
        kind: ("True", reason),
    }


def refused(reason: RefusalReason) -> Says:
    return unresolved(reason, kind="Stalled")


def name_namespace(prefix: str, reason: AnyReason) -> str:
    return f"{prefix}-{reason.lower()}"
