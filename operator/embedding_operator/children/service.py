"""The Service: one name and address for the model, selecting exactly one generation."""

from typing import Any

from embedding_operator.api import names
from embedding_operator.children.metadata import Owner, build_child


def service(owner: Owner, *, space: str) -> dict[str, Any]:
    """Selects ready server pods of the vector space `space` (whole fingerprint) only."""
    return build_child(
        owner,
        api_version="v1",
        kind="Service",
        name=owner.name,
        component=names.COMPONENT_SERVER,
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
    return f"http://{owner.name}.{owner.namespace}.svc:{names.SERVICE_PORT}"
