"""Objects that take the name of what an operator is about to delete, between its look and its call."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from embedding_operator.kube.gateway import Kind
from embedding_operator.kube.memory import MemoryGateway

Made = tuple[Kind, Mapping[str, str]]  # its metadata


class NamesakeGateway:
    """Before each deletion somebody else deletes the object, and makes another one of its name (`made`)."""

    def __init__(self, inner: MemoryGateway) -> None:
        self._inner = inner
        self.made: list[Made] = []

    async def delete(self, kind: Kind, *, namespace: str, name: str, uid: str | None = None) -> None:
        before = self._inner.peek(kind, namespace=namespace, name=name)
        if before is not None:
            self._inner.remove(kind, namespace=namespace, name=name)
            self.made.append((kind, self._inner.put(before)["metadata"]))
        await self._inner.delete(kind, namespace=namespace, name=name, uid=uid)

    def take_away(self) -> Sequence[str]:
        """Remove the namesakes again; the names of those that were gone already."""
        gone = []
        for kind, metadata in self.made:
            at = {"namespace": metadata["namespace"], "name": metadata["name"]}
            found = self._inner.peek(kind, **at)
            if found is None or found["metadata"]["uid"] != metadata["uid"]:
                gone.append(f"{kind.kind} {metadata['name']}")
            else:
                self._inner.remove(kind, **at)
        self.made.clear()
        return gone

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        call: Callable[..., Awaitable[object]] = getattr(self._inner, name)
        return call
