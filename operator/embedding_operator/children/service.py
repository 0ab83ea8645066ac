"""Services: one name and address for the model, selecting exactly one generation; one for a space not approved."""

from typing import Any

from embedding_operator.api import names
from embedding_operator.children.metadata import Owner, build_child


def service(owner: Owner, *, space: str) -> dict[str, Any]:
    """The model's Service: selects ready server pods of the vector space `space` (whole fingerprint) only."""
    return _build(owner, name=owner.name, space=space)


def own_service(owner: Owner, *, space: str) -> dict[str, Any]:
    """The Service of a space that is verified and not approved: by its label it is known from the model's."""
    return _build(owner, name=names.pending_service_name(owner.name, fingerprint=space), space=space, label=space)


def _build(owner: Owner, *, name: str, space: str, label: str | None = None) -> dict[str, Any]:
    return build_child(
        owner,
        api_version="v1",
        kind="Service",
        name=name,
        component=names.COMPONENT_SERVER,
        space=label,
        spec={
            "type": "ClusterIP",
            "selector": server_selector(owner.name, space=space) | {names.LABEL_TRAFFIC: names.TRAFFIC_ON},
            "ports": [
                {
                    "name": names.SERVICE_PORT_NAME,
                    "port": names.SERVICE_PORT,
                    "targetPort": names.SERVICE_PORT_NAME,
                    "protocol": "TCP",
                }
            ],
        },
    )


def server_selector(model: str, *, space: str) -> dict[str, str]:
    """Labels that a generation's Deployment selects its pods by; immutable once created."""
    return {names.LABEL_MODEL: model, names.LABEL_SPACE: space, names.LABEL_COMPONENT: names.COMPONENT_SERVER}


def service_url(owner: Owner) -> str:
    return names.service_url(owner.name, namespace=owner.namespace)
