"""The Gateway over kubernetes.aio: raw calls, dicts in and out, no models and no discovery.

The generated models cost memory and reject fields they do not know, so only the client's transport is used.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Self

import aiohttp
import orjson
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from embedding_operator.api.names import FIELD_MANAGER
from embedding_operator.kube.cache import Version, read_version
from embedding_operator.kube.connection import authorization
from embedding_operator.kube.gateway import (
    SERVICE_ACCOUNT,
    Conflict,
    FieldConflict,
    Forbidden,
    GatewayError,
    HeldField,
    Invalid,
    Kind,
    Object,
    TooManyRequests,
    Unreachable,
)
from embedding_operator.kube.paths import kind_of, label_selector, resource_path, with_query

# An answer takes milliseconds; a connection that hangs longer than this is dead, and a reconcile must not wait on it. A
# webhook that hangs has 10 s by default, and then the API server says which one it was: that is an answer.
CALL_TIMEOUT_SECONDS: Final = 15.0
# One page is in memory as text and as dicts: of a pod without its contents 35 KiB, most of it managedFields.
PAGE_SIZE: Final = 100

# Of a list: every object without spec, status and data.
METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
# The client serialises JSON for the plain name of this type, and JSON is not always YAML: see _write_yaml.
APPLY: Final = "application/apply-patch+yaml; charset=utf-8"
MERGE: Final = "application/merge-patch+json"
# How the API server names a manager in the cause of a conflict: internal/conflict.go of apimachinery's managedfields.
_HOLDER: Final = re.compile(r'conflict with ("(?:[^"\\]|\\.)*")(?: with subresource ("(?:[^"\\]|\\.)*"))?')
_NEEDS_ESCAPE: Final = re.compile("[\x7f-\uffff]")
JSON: Final = "application/json"


@dataclass(frozen=True)
class CallRecord:
    """One call as it went: for metrics. `status` is 0 when no answer came."""

    verb: str
    kind: str
    status: int
    seconds: float


class KubernetesGateway:
    """Gateway of one API server. Safe to use from many tasks of one event loop."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
        on_call: Callable[[CallRecord], None] | None = None,
    ) -> None:
        self._configuration = configuration
        self._client = ApiClient(configuration)
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._on_call = on_call

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._client.close()

    async def get(self, kind: Kind, *, namespace: str, name: str) -> Object | None:
        path = resource_path(kind, namespace=namespace, name=name)
        return await self._found("get", kind.kind, "GET", path)

    async def list(self, kind: Kind, *, namespace: str | None, labels: Mapping[str, str]) -> Sequence[Object]:
        pages = self._pages(kind, namespace=namespace, selector=label_selector(labels), accept=JSON)
        return [{**item, "apiVersion": kind.api_version, "kind": kind.kind} async for page in pages for item in page]

    async def list_versions(self, kind: Kind, *, namespace: str | None, label: str | None) -> Sequence[Version]:
        pages = self._pages(kind, namespace=namespace, selector=label, accept=METADATA_ONLY)
        return [read_version(item) async for page in pages for item in page]

    async def _pages(
        self, kind: Kind, *, namespace: str | None, selector: str | None, accept: str
    ) -> AsyncIterator[Sequence[Object]]:
        """One after the other: of thousands of objects, only what the reader keeps is in memory at once."""
        path = resource_path(kind, namespace=namespace)
        token: str | None = None
        while True:
            query = with_query(path, limit=PAGE_SIZE, labelSelector=selector, **{"continue": token})
            page = await self._found("list", kind.kind, "GET", query, accept=accept)
            if page is None:
                return
            yield page.get("items") or ()
            token = page.get("metadata", {}).get("continue") or None
            if token is None:
                return

    async def apply(self, manifest: Object, *, force: bool = False) -> Object:
        kind, path = _target(manifest)
        query = with_query(path, fieldManager=FIELD_MANAGER, force="true" if force else None)
        try:
            return await self._call("apply", kind.kind, "PATCH", query, body=manifest, content_type=APPLY)
        except Invalid as error:
            if "uid" in manifest["metadata"] and _names_uid(error):
                raise Conflict(error.message, status=409) from error
            raise

    async def create(self, manifest: Object) -> Object:
        kind = kind_of(manifest)
        path = resource_path(kind, namespace=manifest["metadata"].get("namespace"))
        return await self._call(
            "create", kind.kind, "POST", with_query(path, fieldManager=FIELD_MANAGER), body=manifest
        )

    async def replace(self, manifest: Object) -> Object:
        kind, path = _target(manifest)
        query = with_query(path, fieldManager=FIELD_MANAGER)
        return await self._call("replace", kind.kind, "PUT", query, body=manifest)

    async def label(
        self, kind: Kind, *, namespace: str, name: str, uid: str, labels: Mapping[str, str]
    ) -> Object | None:
        # A merge, not an apply: what we applied before would have to be stated again, or be taken away.
        path = resource_path(kind, namespace=namespace, name=name)
        body = {"metadata": {"uid": uid, "labels": labels}}
        query = with_query(path, fieldManager=FIELD_MANAGER)
        try:
            return await self._found("label", kind.kind, "PATCH", query, body=body, content_type=MERGE)
        except (Conflict, Invalid) as error:
            if _names_uid(error):
                return None
            raise

    async def delete(self, kind: Kind, *, namespace: str, name: str, uid: str | None = None) -> None:
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        path = resource_path(kind, namespace=namespace, name=name)
        try:
            await self._found("delete", kind.kind, "DELETE", path, body=options)
        except Conflict as error:
            # The object that we meant is gone, and its name belongs to another one now.
            if uid is None or not _names_uid(error):
                raise

    async def apply_status(self, kind: Kind, *, namespace: str, name: str, uid: str, status: Object) -> Object | None:
        path = resource_path(kind, namespace=namespace, name=name, subresource="status")
        body = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": name, "namespace": namespace, "uid": uid},
            "status": status,
        }
        query = with_query(path, fieldManager=FIELD_MANAGER, force="true")
        try:
            return await self._found("apply_status", kind.kind, "PATCH", query, body=body, content_type=APPLY)
        except (Conflict, Invalid) as error:
            if _names_uid(error):
                return None
            raise

    async def request_token(self, *, namespace: str, account: str, audience: str, seconds: int) -> str:
        path = resource_path(SERVICE_ACCOUNT, namespace=namespace, name=account, subresource="token")
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": seconds},
        }
        answer = await self._call("create", "TokenRequest", "POST", path, body=body)
        token = (answer.get("status") or {}).get("token")
        if not isinstance(token, str) or not token:
            raise GatewayError("create TokenRequest: the API server answered without a token")
        return token

    async def get_path(self, path: str) -> Object:
        # The JWKS has a media type of its own, and the API server refuses to call it plain JSON.
        return await self._call("get", "path", "GET", path, accept="*/*")

    async def _found(
        self,
        verb: str,
        kind: str,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Object | None:
        """As `_call`, with None for 404."""
        try:
            return await self._call(verb, kind, method, path, body=body, content_type=content_type, accept=accept)
        except GatewayError as error:
            if error.status == 404:
                return None
            raise

    async def _call(
        self,
        verb: str,
        kind: str,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Object:
        started = monotonic()
        status = 0
        try:
            # call_api skips the client's own authentication, and with it the re-reading of the token's file.
            headers = {"Accept": accept, "Content-Type": content_type}
            if header := await authorization(self._configuration):
                headers["Authorization"] = header
            content = _write_yaml(body) if content_type == APPLY and body is not None else body
            response = await self._client.call_api(
                method, self._configuration.host + path, headers, body=content, _request_timeout=self._timeout
            )
            data: bytes = await response.read()
            status = response.status
            retry_after = response.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            raise Unreachable(f"{verb} {kind}: no answer from the API server ({type(error).__name__})") from error
        finally:
            if self._on_call is not None:
                self._on_call(CallRecord(verb=verb, kind=kind, status=status, seconds=monotonic() - started))
        return _answer(status, data, what=f"{verb} {kind}", retry_after=retry_after)


def _write_yaml(body: Object) -> bytes:
    """JSON that is YAML too.

    YAML knows no pairs of escapes for what lies beyond 16 bits: that goes as it is. It takes no control characters as
    they are: those are escaped, with everything else that is not ASCII.
    """
    text = orjson.dumps(body).decode()
    return _NEEDS_ESCAPE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def _target(manifest: Object) -> tuple[Kind, str]:
    kind = kind_of(manifest)
    metadata = manifest["metadata"]
    return kind, resource_path(kind, namespace=metadata.get("namespace"), name=metadata["name"])


def _answer(status: int, data: bytes, *, what: str, retry_after: str | None) -> Object:
    """The object, or the error that the status code stands for."""
    try:
        content = orjson.loads(data) if data else {}
    except orjson.JSONDecodeError:
        content = {}
    if 200 <= status < 300:
        return content if isinstance(content, dict) else {}
    said = content.get("message") if isinstance(content, dict) else None
    message = f"{what}: {said or f'the API server answered {status}'}"
    seconds = _seconds(retry_after, content)
    if status == 409 and (held := _list_held(content)):
        raise FieldConflict(message, held=held)
    error: type[GatewayError] = GatewayError
    if status == 409:
        error = Conflict
    elif status == 422:
        error = Invalid
    elif status == 403:
        error = Forbidden
    elif status in (429, 503):
        error = TooManyRequests
    elif status == 401 or status >= 500:
        error = Unreachable
    raise error(message, status=status, retry_after=seconds)


def _list_held(content: object) -> Sequence[HeldField]:
    """The fields of a conflict between managers; none for a conflict of any other sort."""
    details = content.get("details") if isinstance(content, dict) else None
    causes = (details.get("causes") if isinstance(details, dict) else None) or ()
    return [_read_cause(cause) for cause in causes if cause.get("reason") == "FieldManagerConflict"]


def _read_cause(cause: Object) -> HeldField:
    """A manager that cannot be read stays "": what it holds is never taken."""
    found = _HOLDER.match(cause.get("message", ""))
    manager, subresource = (orjson.loads(part) if part else "" for part in found.groups()) if found else ("", "")
    return HeldField(manager=manager, subresource=subresource, field=cause.get("field", ""))


def _seconds(retry_after: str | None, content: object) -> float | None:
    """Retry-After in seconds; the Status object repeats it in its details. The API server uses no HTTP dates."""
    if retry_after is not None and retry_after.isdigit():
        return float(retry_after)
    details = content.get("details") if isinstance(content, dict) else None
    named = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    return float(named) if isinstance(named, int | float) else None


def _names_uid(error: GatewayError) -> bool:
    """Whether the API server says that the object of this name is another one.

    409 `the UID in the precondition ... does not match`, or 422 `metadata.uid: ... field is immutable`.
    """
    said = error.message.lower()
    return ("uid" in said and "precondition" in said) or "metadata.uid: invalid value" in said
