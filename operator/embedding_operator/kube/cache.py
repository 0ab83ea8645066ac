"""What the watches have told, kept so that reconciles need no list: a copy of every object that we look at.

Objects are held as packed JSON, a tenth of what they take as dicts, and each reader gets its own. A watch that begins
anew does not tell what was deleted meanwhile. So a kind is read from here only while it is trusted: since it was last
compared with what the API server has (comparing.py), and until its watch begins anew. Else the API server is asked.
"""

import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from embedding_operator.api.names import LABEL_MODEL
from embedding_operator.kube.gateway import Kind, Object

# The fastest: it makes a pod a third of its size and golden vectors two thirds; the next ones save little more.
_PACKING: Final = 1
# An answer to a write may come after the event of the object's deletion, within seconds.
_REMEMBERED_DELETIONS: Final = 1000

Place = tuple[str, str]  # namespace and name


@dataclass(frozen=True, slots=True)
class Version:
    """An object without its content. `model` is what its label names; a model has none."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    model: str = ""

    @property
    def place(self) -> Place:
        return self.namespace, self.name


@dataclass(frozen=True)
class Mark:
    """A moment of a kind: how often it was doubted, and how many changes there were of all kinds."""

    doubts: int
    changes: int


@dataclass(frozen=True, slots=True)
class _Held:
    version: Version
    packed: bytes
    change: int  # its number among all changes


class ObjectCache:
    """Objects of `kinds`. Watches write it from their thread, reconciles read it from theirs."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._lock = threading.Lock()
        self._held: dict[Kind, dict[Place, _Held]] = {kind: {} for kind in kinds}
        self._of_model: dict[tuple[Kind, Place], set[str]] = {}  # names by the model that their label names
        self._deleted: OrderedDict[str, Version] = OrderedDict()  # as it was then, by uid, oldest first
        self._trusted: set[Kind] = set()
        self._doubts: dict[Kind, int] = dict.fromkeys(self._held, 0)
        self._changes = 0

    @property
    def kinds(self) -> Sequence[Kind]:
        return tuple(self._held)

    def is_trusted(self, kind: Kind) -> bool:
        return kind in self._trusted

    def list_doubted(self) -> Sequence[Kind]:
        with self._lock:
            return [kind for kind in self._held if kind not in self._trusted]

    def note(self, kind: Kind, change: str | None, item: Object) -> None:
        """An event of a watch; its type is None while a watch that begins tells what there is."""
        if change is None:
            self.doubt(kind)
        if change == "DELETED":
            self.remove(kind, item)
        else:
            self.put(kind, item)

    def put(self, kind: Kind, item: Object) -> None:
        """Hold what is newer than what is held; of other kinds, nothing."""
        held = self._held.get(kind)
        if held is None:
            return
        version = read_version(item)
        if self._knows(kind, version):
            return
        content = {**item, "apiVersion": kind.api_version, "kind": kind.kind}
        metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
        packed = _pack({**content, "metadata": metadata})
        with self._lock:
            before = held.get(version.place)
            if self._is_deleted(version) or (before is not None and _is_newer(before.version, version)):
                return
            self._take_away(kind, version.place)
            self._changes += 1
            held[version.place] = _Held(version, packed, self._changes)
            if version.model:
                self._of_model.setdefault((kind, (version.namespace, version.model)), set()).add(version.name)

    def remove(self, kind: Kind, item: Object) -> None:
        """It is gone, or has no label any more that says whose it is."""
        version = read_version(item)
        with self._lock:
            self._deleted[version.uid] = version
            self._deleted.move_to_end(version.uid)
            if len(self._deleted) > _REMEMBERED_DELETIONS:
                self._deleted.popitem(last=False)
            before = self._held.get(kind, {}).get(version.place)
            if before is not None and before.version.uid == version.uid:
                self._take_away(kind, version.place)

    def get(self, kind: Kind, place: Place) -> dict[str, Any] | None:
        with self._lock:
            found = self._held[kind].get(place)
        return _unpack(found.packed) if found is not None else None

    def list_all(self, kind: Kind, *, namespace: str | None) -> list[dict[str, Any]]:
        with self._lock:
            found = [item.packed for place, item in self._held[kind].items() if namespace in (None, place[0])]
        return [_unpack(packed) for packed in found]

    def list_of_model(self, kind: Kind, model: Place, *, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Objects whose label names this model (namespace and name), and that have `labels`."""
        with self._lock:
            held = self._held[kind]
            found = [held[model[0], name].packed for name in self._of_model.get((kind, model), ())]
        items = [_unpack(packed) for packed in found]
        return [item for item in items if labels.items() <= item["metadata"]["labels"].items()]

    def doubt(self, *kinds: Kind) -> None:
        """Their watches may have missed something."""
        with self._lock:
            self._trusted.difference_update(kinds)
            for kind in kinds:
                self._doubts[kind] += 1

    def begin(self, kind: Kind) -> Mark:
        """To be taken before the API server is asked."""
        with self._lock:
            return Mark(doubts=self._doubts[kind], changes=self._changes)

    def compare(self, kind: Kind, found: Sequence[Version], *, since: Mark) -> Sequence[Version]:
        """Forget what is not among `found`, all there is; those of it that are not held, or only as they were before.

        What has changed `since` the API server was asked is known better from the watch.
        """
        there = {version.uid for version in found}
        with self._lock:
            held = self._held[kind]
            old = [item.version for item in held.values() if item.change <= since.changes]
            for version in old:
                if version.uid not in there:
                    self._take_away(kind, version.place)
            return [version for version in found if not self._is_deleted(version) and self._is_news(kind, version)]

    def holds(self, kind: Kind, version: Version) -> bool:
        """Whether the object is held, however old."""
        with self._lock:
            held = self._held[kind].get(version.place)
            return held is not None and held.version.uid == version.uid

    def trust(self, kind: Kind, *, since: Mark) -> bool:
        """Whether it is read from now on: not if a doubt has come up since."""
        with self._lock:
            if self._doubts[kind] == since.doubts:
                self._trusted.add(kind)
            return kind in self._trusted

    def _knows(self, kind: Kind, version: Version) -> bool:
        """Each write of ours is told twice, by its answer and by the watch, and packing is most of what that costs."""
        with self._lock:
            held = self._held[kind].get(version.place)
            return held is not None and held.version == version

    def _is_news(self, kind: Kind, version: Version) -> bool:
        held = self._held[kind].get(version.place)
        return held is None or _is_newer(version, held.version)

    def _is_deleted(self, version: Version) -> bool:
        """Whether it was taken away later than this; the label may have come back since."""
        deleted = self._deleted.get(version.uid)
        return deleted is not None and not _is_newer(version, deleted)

    def _take_away(self, kind: Kind, place: Place) -> None:
        before = self._held[kind].pop(place, None)
        if before is None or not before.version.model:
            return
        index = (kind, (place[0], before.version.model))
        self._of_model[index].discard(place[1])
        if not self._of_model[index]:
            del self._of_model[index]


def _pack(item: Object) -> bytes:
    # Also what is small: orjson answers bytes in a buffer of several times their size, which it leaves to them.
    return zlib.compress(orjson.dumps(item), _PACKING)


def _unpack(packed: bytes) -> dict[str, Any]:
    item: dict[str, Any] = orjson.loads(zlib.decompress(packed))
    return item


def read_version(item: Object) -> Version:
    metadata = item["metadata"]
    return Version(
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        uid=metadata.get("uid") or "",
        resource_version=metadata.get("resourceVersion") or "",
        model=(metadata.get("labels") or {}).get(LABEL_MODEL, ""),
    )


def _is_newer(a: Version, b: Version) -> bool:
    """By resourceVersion, which grows with every write of a kind, whatever the object."""
    return int(a.resource_version or 0) > int(b.resource_version or 0)
