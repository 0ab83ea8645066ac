"""What is in a cluster in memory around one EmbeddingModel: what users do to it, and what can be seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from embedding_operator.api import names
from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT, EMBEDDING_MODEL, POD, SERVICE, Kind
from embedding_operator.kube.memory import MemoryGateway
from embedding_operator.observe.facts import Key

KEY = Key("search", "tiny")


@dataclass
class SimulatedObjects:
    """`taken`: names of ConfigMaps that a hand deleted."""

    now: datetime = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.gateway = MemoryGateway(now=self.write_now)

    # The user.

    def create_model(self, spec: Mapping[str, Any], *, key: Key = KEY) -> dict[str, Any]:
        return self.gateway.put(
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "metadata": {"namespace": key.namespace, "name": key.name},
                "spec": dict(spec),
            }
        )

    def edit_spec(self, change: Callable[[dict[str, Any]], Any], *, key: Key = KEY) -> None:
        def edit(model: dict[str, Any]) -> None:
            change(model["spec"])

        self.gateway.edit(EMBEDDING_MODEL, edit, namespace=key.namespace, name=key.name)

    def request_anew(self, at: str) -> None:
        def edit(model: dict[str, Any]) -> None:
            model["metadata"].setdefault("annotations", {})[names.ANNOTATION_REQUESTED_AT] = at

        self.gateway.edit(EMBEDDING_MODEL, edit, namespace=KEY.namespace, name=KEY.name)

    def take_away(self, kind: Kind, name: str) -> None:
        """Delete an object by hand."""
        self.taken |= {name} if kind is CONFIG_MAP else set()
        self.gateway.remove(kind, namespace=KEY.namespace, name=name)

    def point_service(self, space: str) -> None:
        """Edit the selector of the model's Service by hand."""

        def edit(service: dict[str, Any]) -> None:
            service["spec"]["selector"][names.LABEL_SPACE] = space

        self.gateway.edit(SERVICE, edit, namespace=KEY.namespace, name=KEY.name)

    # What can be seen.

    def find(self, kind: Kind, name: str) -> dict[str, Any] | None:
        return self.gateway.peek(kind, namespace=KEY.namespace, name=name)

    def all(self, kind: Kind) -> list[dict[str, Any]]:
        return list(self.gateway.peek_all(kind, namespace=KEY.namespace))

    def model(self) -> dict[str, Any]:
        found = self.find(EMBEDDING_MODEL, KEY.name)
        assert found is not None
        return found

    def status(self) -> dict[str, Any]:
        return dict(self.model().get("status") or {})

    def condition(self, kind: str) -> dict[str, Any] | None:
        return next((item for item in self.status().get("conditions", ()) if item["type"] == kind), None)

    def says(self, kind: str) -> tuple[str, str] | None:
        """Status and reason of a condition."""
        condition = self.condition(kind)
        return (condition["status"], condition["reason"]) if condition else None

    def pods(self) -> list[dict[str, Any]]:
        return self.all(POD)

    def pods_of(self, owner: Mapping[str, Any]) -> list[dict[str, Any]]:
        uid = owner["metadata"]["uid"]
        return [pod for pod in self.pods() if pod["metadata"]["ownerReferences"][0]["uid"] == uid]

    def ready_pods(self) -> set[str]:
        return {pod["metadata"]["name"] for pod in self.pods() if is_ready(pod)}

    def selected_space(self) -> str:
        service = self.find(SERVICE, KEY.name)
        assert service is not None
        return str(service["spec"]["selector"][names.LABEL_SPACE])

    def replicas(self) -> dict[str, int]:
        """Replicas that each Deployment asks for, by space."""
        return {
            item["metadata"]["labels"][names.LABEL_SPACE]: item["spec"]["replicas"] for item in self.all(DEPLOYMENT)
        }

    def write_now(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")


def is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
