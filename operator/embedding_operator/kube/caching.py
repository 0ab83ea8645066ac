"""The Gateway that reconciles use: what the watches tell is read from memory, everything else goes to the API server.

What a write answers is in memory at once, so that a reconcile sees its own writes.
"""

from collections.abc import Mapping, Sequence

from embedding_operator.api.names import LABEL_MODEL
from embedding_operator.kube.cache import ObjectCache
from embedding_operator.kube.gateway import EMBEDDING_MODEL, Conflict, FieldConflict, Gateway, Kind, Object
from embedding_operator.kube.paths import kind_of


class CachingGateway:
    """A Gateway over `gateway`, with `cache` before its reads of what is watched."""

    def __init__(self, gateway: Gateway, *, cache: ObjectCache) -> None:
        self._gateway = gateway
        self._cache = cache

    async def get(self, kind: Kind, *, namespace: str, name: str) -> Object | None:
        """A model from memory. A child is asked for by name when it is in no list of ours: only the API server knows
        then."""
        if kind is EMBEDDING_MODEL and self._cache.is_trusted(kind):
            return self._cache.get(kind, (namespace, name))
        return await self._gateway.get(kind, namespace=namespace, name=name)

    async def list(self, kind: Kind, *, namespace: str | None, labels: Mapping[str, str]) -> Sequence[Object]:
        if self._cache.is_trusted(kind):
            model = labels.get(LABEL_MODEL)
            if namespace is not None and model:
                return self._cache.list_of_model(kind, (namespace, model), labels=labels)
            if not labels:
                return self._cache.list_all(kind, namespace=namespace)
        return await self._gateway.list(kind, namespace=namespace, labels=labels)

    async def apply(self, manifest: Object, *, force: bool = False) -> Object:
        kind = kind_of(manifest)
        try:
            return self._keep(kind, await self._gateway.apply(manifest, force=force))
        except Conflict as error:
            if "uid" in manifest["metadata"] and not isinstance(error, FieldConflict):
                # What is held has gone. Its end is on its way, unless it came while the watch was away.
                self._cache.doubt(kind)
            raise

    async def create(self, manifest: Object) -> Object:
        return self._keep(kind_of(manifest), await self._gateway.create(manifest))

    async def replace(self, manifest: Object) -> Object:
        return self._keep(kind_of(manifest), await self._gateway.replace(manifest))

    async def label(
        self, kind: Kind, *, namespace: str, name: str, uid: str, labels: Mapping[str, str]
    ) -> Object | None:
        answer = await self._gateway.label(kind, namespace=namespace, name=name, uid=uid, labels=labels)
        return self._keep(kind, answer) if answer is not None else None

    async def delete(self, kind: Kind, *, namespace: str, name: str, uid: str | None = None) -> None:
        """Its end comes by the watch: finalizers may keep it."""
        await self._gateway.delete(kind, namespace=namespace, name=name, uid=uid)

    async def apply_status(self, kind: Kind, *, namespace: str, name: str, uid: str, status: Object) -> Object | None:
        answer = await self._gateway.apply_status(kind, namespace=namespace, name=name, uid=uid, status=status)
        return self._keep(kind, answer) if answer is not None else None

    async def request_token(self, *, namespace: str, account: str, audience: str, seconds: int) -> str:
        return await self._gateway.request_token(
            namespace=namespace, account=account, audience=audience, seconds=seconds
        )

    async def get_path(self, path: str) -> Object:
        return await self._gateway.get_path(path)

    def _keep(self, kind: Kind, answer: Object) -> Object:
        self._cache.put(kind, answer)
        return answer
