"""URL paths of the resources that the operator touches: a static table instead of discovery."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from embedding_operator.kube.gateway import KINDS, Kind, Object

_BY_NAME: Mapping[tuple[str, str], Kind] = {(kind.api_version, kind.kind): kind for kind in KINDS}


def kind_of(manifest: Object) -> Kind:
    """The Kind of a manifest by its apiVersion and kind.

    Raises:
        LookupError: the operator has no business with this resource type; a bug of the caller.
    """
    name = (str(manifest.get("apiVersion")), str(manifest.get("kind")))
    kind = _BY_NAME.get(name)
    if kind is None:
        raise LookupError(
            f"{name[0]} {name[1]} is not in the table of kube.gateway.KINDS: add it there and to the RBAC"
        )
    return kind


def resource_path(kind: Kind, *, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
    """`/apis/apps/v1/namespaces/search/deployments/minilm-0a1b/status`; without a namespace, across all of them."""
    root = f"/api/{kind.api_version}" if "/" not in kind.api_version else f"/apis/{kind.api_version}"
    parts = [root]
    if kind.namespaced and namespace is not None:
        parts += ["namespaces", quote(namespace, safe="")]
    parts.append(kind.plural)
    if name is not None:
        parts.append(quote(name, safe=""))
    if subresource is not None:
        parts.append(subresource)
    return "/".join(parts)


def with_query(path: str, **query: str | int | None) -> str:
    """`path?key=value` of the keys that are not None, in the order given."""
    present = {key: value for key, value in query.items() if value is not None}
    return f"{path}?{urlencode(present)}" if present else path


def label_selector(labels: Mapping[str, str]) -> str | None:
    """The equality selector of these labels; None selects everything."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or None
