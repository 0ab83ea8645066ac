"""A Gateway in memory for scenario tests: as much of the API server as a reconcile can notice.

Kept: uid, resourceVersion that moves only when something changes, generation, server-side apply with field removal,
the status subresource, label selection, immutable fields, deletion with preconditions, finalizers and cascades, and
the managers of fields (in `get`, by name and operation).
Not kept: schemas, defaulting, admission, controllers, watches. The contract tests in tests/kube run against this and
against a real API server.
"""

import base64
import copy
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar, cast

import orjson

from embedding_operator.api.names import FIELD_MANAGER
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    EMBEDDING_MODEL,
    ENDPOINT_SLICE,
    EVENT,
    JOB,
    LEASE,
    SERVICE_ACCOUNT,
    Conflict,
    FieldConflict,
    GatewayError,
    Invalid,
    Kind,
    Object,
)
from embedding_operator.kube.holdings import Holdings, Manager, select_held
from embedding_operator.kube.ownership import Path, merge, owned_paths, remove
from embedding_operator.kube.paths import kind_of

ISSUER: Final = "https://kubernetes.default.svc"
WRITES: Final = frozenset({"apply", "create", "replace", "label", "delete", "apply_status"})
_WITHOUT_STATUS: Final = frozenset(kind.kind for kind in (CONFIG_MAP, SERVICE_ACCOUNT, LEASE, ENDPOINT_SLICE, EVENT))
_APPLIED: Final = Manager(FIELD_MANAGER, "Apply")
_UPDATED: Final = Manager(FIELD_MANAGER, "Update")
_BY_HAND: Final = Manager("kubectl-edit", "Update")
_SERVER_SIDE: Final = ("uid", "resourceVersion", "generation", "creationTimestamp")
_IMMUTABLE: Final[Mapping[str, tuple[Path, ...]]] = {
    DEPLOYMENT.kind: (("spec", "selector"),),
    JOB.kind: (("spec", "template"), ("spec", "selector"), ("spec", "completions")),
}

Key = tuple[str, str, str]
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Call:
    """One call that reached this API server; `body` is the manifest or status written, if any. `is_refused`: an apply
    that conflicted with other managers, and wrote nothing."""

    verb: str
    kind: str
    namespace: str | None
    name: str | None
    body: Object | None = None
    is_refused: bool = False

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES and not self.is_refused


class MemoryGateway:
    """See the module's docstring. `paths` answers `get_path`; `now` is the creationTimestamp of new objects."""

    def __init__(
        self, *, paths: Mapping[str, Object] | None = None, now: Callable[[], str] = lambda: "2026-01-01T00:00:00Z"
    ) -> None:
        self._objects: dict[Key, dict[str, Any]] = {}
        self._holdings: dict[tuple[Key, str], Holdings] = {}
        self._paths = dict(paths or {})
        self._now = now
        self._versions = itertools.count(2)  # etcd is at 1 before anything is written
        self._uids = itertools.count(1)
        self._calls: list[Call] = []

    # What the operator calls.

    async def get(self, kind: Kind, *, namespace: str, name: str) -> Object | None:
        self._record("get", kind, namespace, name)
        found = self.peek(kind, namespace=namespace, name=name)
        if found is not None:
            found["metadata"]["managedFields"] = self._held((kind.kind, namespace, name)).describe()
        return found

    async def list(self, kind: Kind, *, namespace: str | None, labels: Mapping[str, str]) -> Sequence[Object]:
        self._record("list", kind, namespace, None)
        return self.peek_all(kind, namespace=namespace, labels=labels)

    async def apply(self, manifest: Object, *, force: bool = False) -> Object:
        kind = kind_of(manifest)
        metadata = manifest["metadata"]
        self._record("apply", kind, metadata.get("namespace"), metadata["name"], manifest)
        try:
            return self._apply(_without_status(kind, manifest), manager=_APPLIED, force=force)
        except Conflict:
            self._calls[-1] = dataclasses.replace(self._calls[-1], is_refused=True)
            raise

    async def create(self, manifest: Object) -> Object:
        kind = kind_of(manifest)
        metadata = manifest["metadata"]
        self._record("create", kind, metadata.get("namespace"), metadata.get("name"), manifest)
        return self._put(manifest, status=False, manager=_UPDATED)

    async def replace(self, manifest: Object) -> Object:
        kind = kind_of(manifest)
        key = _key(kind, manifest["metadata"])
        self._record("replace", kind, key[1], key[2], manifest)
        live = self._objects.get(key)
        if live is None:
            raise GatewayError(f'{kind.plural} "{key[2]}" not found', status=404)
        version = manifest["metadata"].get("resourceVersion")
        if version is not None and version != live["metadata"]["resourceVersion"]:
            raise Conflict(f'"{key[2]}": the object has been modified', status=409)
        wanted = _copy(dict(_without_status(kind, manifest)))
        if "status" in live:
            wanted["status"] = live["status"]
        return self._update(key, wanted, manager=_UPDATED)

    async def label(
        self, kind: Kind, *, namespace: str, name: str, uid: str, labels: Mapping[str, str]
    ) -> Object | None:
        self._record("label", kind, namespace, name, labels)
        key = (kind.kind, namespace, name)
        live = self._objects.get(key)
        if live is None or live["metadata"]["uid"] != uid:
            return None
        wanted = _copy(live)
        wanted["metadata"].setdefault("labels", {}).update(labels)
        return self._update(key, wanted, manager=_UPDATED)

    async def delete(self, kind: Kind, *, namespace: str, name: str, uid: str | None = None) -> None:
        self._record("delete", kind, namespace, name)
        live = self._objects.get((kind.kind, namespace, name))
        if live is not None and uid in (None, live["metadata"]["uid"]):
            self.remove(kind, namespace=namespace, name=name)

    async def apply_status(self, kind: Kind, *, namespace: str, name: str, uid: str, status: Object) -> Object | None:
        self._record("apply_status", kind, namespace, name, status)
        live = self._objects.get((kind.kind, namespace, name))
        if live is None or live["metadata"]["uid"] != uid:
            return None
        body = {"metadata": {"name": name, "namespace": namespace}, "status": status}
        return self._merge((kind.kind, namespace, name), live, body, part="status", manager=_APPLIED, force=True)

    async def request_token(self, *, namespace: str, account: str, audience: str, seconds: int) -> str:
        """Of the form of a token, signed by nobody."""
        self._record("request_token", SERVICE_ACCOUNT, namespace, account)
        if (SERVICE_ACCOUNT.kind, namespace, account) not in self._objects:
            raise GatewayError(f'serviceaccounts "{account}" not found', status=404)
        issued = int(datetime.fromisoformat(self._now()).timestamp())
        claims = {
            "iss": ISSUER,
            "sub": f"system:serviceaccount:{namespace}:{account}",
            "aud": [audience],
            "iat": issued,
            "exp": issued + seconds,
        }
        parts = (orjson.dumps({"alg": "none"}), orjson.dumps(claims), b"")
        return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)

    async def get_path(self, path: str) -> Object:
        self._calls.append(Call(verb="get", kind="path", namespace=None, name=path))
        if path not in self._paths:
            raise GatewayError(f"{path} not found", status=404)
        return _copy(self._paths[path])

    # What a test sees and does: the user, controllers and kubelets of the world.

    @property
    def calls(self) -> Sequence[Call]:
        return tuple(self._calls)

    @property
    def writes(self) -> Sequence[Call]:
        return tuple(call for call in self._calls if call.is_write)

    def forget_calls(self) -> None:
        self._calls.clear()

    def peek(self, kind: Kind, *, namespace: str, name: str) -> dict[str, Any] | None:
        """A copy of the object, without recording a call."""
        return _copy(self._objects.get((kind.kind, namespace, name)))

    def peek_all(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[dict[str, Any]]:
        """Copies of all objects of a kind with these labels, by namespace and name."""
        found = (self._objects[key] for key in sorted(self._objects) if key[0] == kind.kind)
        wanted = labels or {}
        return [
            _copy(live)
            for live in found
            if namespace in (None, live["metadata"].get("namespace")) and _has_labels(live, wanted)
        ]

    def put(self, manifest: Object, *, status: bool = True) -> dict[str, Any]:
        """Create an object as somebody else; `status` False drops its status, as a plain create does.

        Raises:
            Conflict: the name is taken.
        """
        return self._put(manifest, status=status, manager=_BY_HAND)

    def apply_as(self, manager: str, *, manifest: Object, force: bool = True) -> dict[str, Any]:
        """Server-side apply as somebody else: a GitOps tool, or another controller.

        Raises:
            FieldConflict: not forced, and others hold what it would change.
        """
        return self._apply(manifest, manager=Manager(manager, "Apply"), force=force)

    def _put(self, manifest: Object, *, status: bool, manager: Manager) -> dict[str, Any]:
        kind = kind_of(manifest)
        wanted = _copy(dict(manifest if status else _without_status(kind, manifest)))
        metadata = wanted["metadata"]
        if "name" not in metadata:
            metadata["name"] = f"{metadata['generateName']}{next(self._uids):05d}"
        key = _key(kind, metadata)
        if key in self._objects:
            raise Conflict(f'{kind.plural} "{key[2]}" already exists', status=409)
        if kind is EMBEDDING_MODEL:
            wanted.setdefault("status", {"observedGeneration": -1})
        self._holdings[(key, "")] = Holdings()
        return self._update(key, wanted, manager=manager)

    def edit(
        self, kind: Kind, change: Callable[[dict[str, Any]], None], *, namespace: str, name: str
    ) -> dict[str, Any]:
        """Change an object, status included, as somebody else; `change` edits the dict it is given."""
        key = (kind.kind, namespace, name)
        wanted = _copy(self._objects[key])
        change(wanted)
        return self._update(key, wanted, manager=_BY_HAND)

    def scale(self, kind: Kind, *, namespace: str, name: str, replicas: int, manager: str) -> dict[str, Any]:
        """Through the subresource, as somebody else: a hand or an autoscaler."""
        key = (kind.kind, namespace, name)
        wanted = _copy(self._objects[key])
        wanted["spec"]["replicas"] = replicas
        return self._update(key, wanted, manager=Manager(manager, "Update", "scale"))

    def remove(self, kind: Kind, *, namespace: str, name: str) -> None:
        """Delete an object as somebody else: finalizers hold it, and its dependents go with it."""
        key = (kind.kind, namespace, name)
        live = self._objects[key]
        if live["metadata"].get("finalizers"):
            if "deletionTimestamp" not in live["metadata"]:
                live["metadata"]["deletionTimestamp"] = self._now()
                live["metadata"]["resourceVersion"] = str(next(self._versions))
            return
        del self._objects[key]
        for part in ("", "status"):
            self._holdings.pop((key, part), None)
        for dependent in list(self._dependents(live["metadata"]["uid"])):
            if dependent in self._objects:
                self.remove(kind_of(self._objects[dependent]), namespace=dependent[1], name=dependent[2])

    def _dependents(self, uid: str) -> Iterator[Key]:
        for key, live in self._objects.items():
            owners = live["metadata"].get("ownerReferences") or ()
            if owners and all(owner["uid"] == uid for owner in owners):
                yield key

    def _apply(self, manifest: Object, *, manager: Manager, force: bool) -> dict[str, Any]:
        key = _key(kind_of(manifest), manifest["metadata"])
        live = self._objects.get(key)
        version = manifest["metadata"].get("resourceVersion")
        if version is not None:
            if live is not None and version != live["metadata"]["resourceVersion"]:
                raise Conflict(f'"{key[2]}": the object has been modified', status=409)
            manifest = {**manifest, "metadata": {**manifest["metadata"]}}
            del manifest["metadata"]["resourceVersion"]
        if live is None:
            if manifest["metadata"].get("uid") is not None:
                raise Conflict("uid mismatch: no existing object was found", status=409)
            created = self._put(manifest, status=False, manager=manager)
            held = self._held(key)
            held.note_apply(manager, applied=set(owned_paths(manifest)), before=created, after=created)
            return created
        return self._merge(key, live, manifest, part="", manager=manager, force=force)

    def _merge(
        self, key: Key, live: dict[str, Any], manifest: Object, *, part: str, manager: Manager, force: bool
    ) -> dict[str, Any]:
        uid = manifest["metadata"].get("uid")
        if uid is not None and uid != live["metadata"]["uid"]:
            raise Conflict(f"Precondition failed: UID in precondition: {uid}", status=409)
        now_owned = set(owned_paths(manifest))
        held = self._held(key, part=part)
        wanted: dict[str, Any] = _copy(live)
        for path in held.list_given_up(manager, kept=now_owned):
            wanted = remove(wanted, path)
        wanted = merge(wanted, manifest)
        conflicts = held.find_conflicts(manager, before=live, after=wanted)
        if conflicts and not force:
            raise FieldConflict(f"Apply failed with {len(conflicts)} conflicts", held=conflicts)
        before = _copy(live)
        stored = self._store(key, wanted)
        held.note_apply(manager, applied=now_owned, before=before, after=stored)
        return stored

    def _update(self, key: Key, wanted: dict[str, Any], *, manager: Manager) -> dict[str, Any]:
        before = self._objects.get(key, {"metadata": {}})
        stored = self._store(key, wanted)
        if select_held(before) != select_held(stored):
            self._held(key).note_update(manager, before=before, after=stored)
        return stored

    def _held(self, key: Key, *, part: str = "") -> Holdings:
        return self._holdings.setdefault((key, part), Holdings())

    def _store(self, key: Key, wanted: dict[str, Any]) -> dict[str, Any]:
        """Fill in what the server decides; an unchanged object keeps its resourceVersion."""
        live = self._objects.get(key)
        metadata = wanted["metadata"]
        metadata.pop("managedFields", None)
        if live is None:
            metadata |= {"uid": f"uid-{next(self._uids)}", "creationTimestamp": self._now(), "generation": 1}
        else:
            _check_immutable(key, live, wanted)
            for field in _SERVER_SIDE:
                metadata.pop(field, None)
                if field in live["metadata"]:
                    metadata[field] = live["metadata"][field]
            if wanted == live:
                return _copy(live)
            if wanted.get("spec") != live.get("spec"):
                metadata["generation"] = live["metadata"]["generation"] + 1
        metadata["resourceVersion"] = str(next(self._versions))
        self._objects[key] = wanted
        freed = live is not None and live["metadata"].get("finalizers") and not metadata.get("finalizers")
        if freed and metadata.get("deletionTimestamp"):
            self.remove(kind_of(wanted), namespace=key[1], name=key[2])
        return _copy(wanted)

    def _record(
        self, verb: str, kind: Kind, namespace: str | None, name: str | None, body: Object | None = None
    ) -> None:
        self._calls.append(
            Call(verb=verb, kind=kind.kind, namespace=namespace, name=name, body=_copy(body) if body else None)
        )


def _key(kind: Kind, metadata: Mapping[str, Any]) -> Key:
    return (kind.kind, metadata.get("namespace", ""), metadata["name"])


def _has_labels(live: Object, labels: Mapping[str, str]) -> bool:
    present = live["metadata"].get("labels") or {}
    return all(present.get(key) == value for key, value in labels.items())


def _without_status(kind: Kind, manifest: Object) -> Object:
    """The status of a kind with a status subresource is ignored by the main endpoint."""
    if kind.kind in _WITHOUT_STATUS or "status" not in manifest:
        return manifest
    return {key: value for key, value in manifest.items() if key != "status"}


def _copy(value: _Value) -> _Value:
    """As copy.deepcopy, many times quicker for what JSON is made of: every read and write copies whole objects."""
    return cast(_Value, _copy_json(value))


def _copy_json(value: object) -> object:
    if type(value) is dict:
        return {key: _copy_json(item) for key, item in value.items()}
    if type(value) is list:
        return [_copy_json(item) for item in value]
    return value if value is None or type(value) in (str, int, bool, float) else copy.deepcopy(value)


def _check_immutable(key: Key, live: Object, wanted: Object) -> None:
    if live.get("immutable") and any(live.get(field) != wanted.get(field) for field in ("data", "binaryData")):
        raise Invalid(f'ConfigMap "{key[2]}" is invalid: field is immutable when `immutable` is set', status=422)
    for path in _IMMUTABLE.get(key[0], ()):
        if _at(live, path) != _at(wanted, path):
            raise Invalid(f'{key[0]} "{key[2]}" is invalid: {".".join(map(str, path))}: field is immutable', status=422)


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
