"""Calls of a cluster's administrator, from many threads over a few connections that stay open."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx
from private_apiserver import PrivateApiServer

from embedding_operator.api import names

Object = dict[str, Any]

# While a CRD changes, which a scene does, the API server holds calls of its kind back for up to a minute.
LONGEST_SECONDS: Final = 100.0
WATCH_SECONDS: Final = 5  # a watch is renewed so often: whoever ends it waits for so long
MODELS: Final = f"/apis/{names.API_VERSION}"
PATHS: Final = {
    "Pod": ("/api/v1", "pods"),
    "Service": ("/api/v1", "services"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Secret": ("/api/v1", "secrets"),
    "Namespace": ("/api/v1", "namespaces"),
    "Event": ("/apis/events.k8s.io/v1", "events"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "ResourceQuota": ("/api/v1", "resourcequotas"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "Job": ("/apis/batch/v1", "jobs"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "ValidatingAdmissionPolicy": ("/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
    "ValidatingAdmissionPolicyBinding": ("/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings"),
    "ValidatingWebhookConfiguration": ("/apis/admissionregistration.k8s.io/v1", "validatingwebhookconfigurations"),
    names.KIND: (MODELS, names.PLURAL),
}


class Api:
    """Calls of the administrator. Safe to use from many threads."""

    def __init__(self, server: PrivateApiServer) -> None:
        self._client = httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"Bearer {server.token}"},
            verify=False,
            timeout=LONGEST_SECONDS,
            trust_env=False,
        )

    def close(self) -> None:
        self._client.close()

    def get(self, kind: str, name: str, *, namespace: str = "") -> Object | None:
        answer = self._client.get(_path(kind, namespace=namespace, name=name))
        return None if answer.status_code == 404 else _read(answer)

    def must_get(self, kind: str, name: str, *, namespace: str = "") -> Object:
        found = self.get(kind, name, namespace=namespace)
        assert found is not None, f"{kind} {namespace}/{name} is not there"
        return found

    def list(self, kind: str, *, namespace: str = "", labels: str = "") -> list[Object]:
        items = _read(self._client.get(_path(kind, namespace=namespace), params={"labelSelector": labels}))["items"]
        return [{"kind": kind, **item} for item in items]

    def create(self, manifest: Mapping[str, Any]) -> Object:
        namespace = manifest["metadata"].get("namespace", "")
        return _read(self._client.post(_path(manifest["kind"], namespace=namespace), json=dict(manifest)))

    def replace(self, manifest: Mapping[str, Any]) -> Object:
        """Write an object that was read; one that changed meanwhile fails."""
        metadata = manifest["metadata"]
        path = _path(manifest["kind"], namespace=metadata.get("namespace", ""), name=metadata["name"])
        return _read(self._client.put(path, json=dict(manifest)))

    def patch(
        self, kind: str, name: str, change: Mapping[str, Any], *, namespace: str = "", subresource: str = ""
    ) -> Object | None:
        """A merge patch; None when the object is gone."""
        path = _path(kind, namespace=namespace, name=name) + (f"/{subresource}" if subresource else "")
        answer = self._client.patch(
            path, content=json.dumps(change), headers={"Content-Type": "application/merge-patch+json"}
        )
        return None if answer.status_code == 404 else _read(answer)

    def apply_as(self, manager: str, *, manifest: Mapping[str, Any]) -> Object:
        """Server-side apply as another field manager, forced."""
        metadata = manifest["metadata"]
        path = _path(manifest["kind"], namespace=metadata["namespace"], name=metadata["name"])
        return _read(
            self._client.patch(
                path,
                params={"fieldManager": manager, "force": "true"},
                content=json.dumps(manifest),
                headers={"Content-Type": "application/apply-patch+yaml"},
            )
        )

    def watch(self, kind: str, *, since: str) -> Iterator[tuple[str, Object]]:
        """Objects of that kind as they change, and bookmarks, each with the event's type, for a few seconds; from an
        empty `since` on all of them."""
        query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        with self._client.stream("GET", _path(kind), params={**query, "resourceVersion": since}) as answer:
            if answer.status_code in (404, 429):
                return  # the CRD has just come, or is being changed
            assert answer.is_success, answer.read().decode()
            for line in answer.iter_lines():
                event = json.loads(line)
                yield event["type"], event["object"]

    def delete(self, kind: str, name: str, *, namespace: str = "") -> None:
        answer = self._client.delete(_path(kind, namespace=namespace, name=name))
        assert answer.status_code in (200, 202, 404), answer.text


def _path(kind: str, *, namespace: str = "", name: str = "") -> str:
    root, plural = PATHS[kind]
    return f"{root}{f'/namespaces/{namespace}' if namespace else ''}/{plural}{f'/{name}' if name else ''}"


def _read(answer: httpx.Response) -> Object:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:600]}"
    found: Object = answer.json()
    return found
