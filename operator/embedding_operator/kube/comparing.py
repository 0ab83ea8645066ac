"""Compares what is kept in memory with what the API server has: when the watches began anew, and at every resync.

A watch loses no change while it lives. Where it begins anew it tells everything there is, and nothing of what is gone:
one list of a kind, without contents, shows that.
"""

import logging
from collections.abc import Sequence
from typing import Final, Protocol

from embedding_operator.api.names import LABEL_MODEL
from embedding_operator.clock import Clock, MonotonicClock
from embedding_operator.kube.cache import ObjectCache, Version
from embedding_operator.kube.gateway import EMBEDDING_MODEL, Gateway, GatewayError, Kind

logger = logging.getLogger(__name__)

# A watch that begins anew is still telling while its last word is younger than this.
QUIET_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 5.0
# More than these come by the watch, which has not told everything yet: reading them beside it would be slower.
MOST_READ: Final = 50


class VersionedGateway(Gateway, Protocol):
    async def list_versions(self, kind: Kind, *, namespace: str | None, label: str | None) -> Sequence[Version]:
        """Every object that has the label, whatever its value; without contents."""


class Comparer:
    """`run` gives the cache its kinds back that are doubted. `gateway` is the API server's own; empty `namespaces` mean
    all of them."""

    def __init__(
        self,
        cache: ObjectCache,
        gateway: VersionedGateway,
        *,
        namespaces: Sequence[str],
        clock: Clock | None = None,
    ) -> None:
        self._cache = cache
        self._gateway = gateway
        self._scopes: Sequence[str | None] = tuple(namespaces) or (None,)
        self._clock = clock or MonotonicClock()
        self._listed: dict[Kind, frozenset[str]] = {}  # uids of the last list of a kind that is doubted

    async def run(self) -> None:
        """Never returns."""
        while True:
            doubted = self._cache.list_doubted()
            marks = {kind: self._cache.begin(kind).doubts for kind in doubted}
            await self._clock.sleep(QUIET_SECONDS)
            quiet = [kind for kind in doubted if self._cache.begin(kind).doubts == marks[kind]]
            try:
                for kind in quiet:
                    await self._settle(kind)
            except GatewayError as error:
                logger.warning("cannot compare what is kept in memory: %s; reading from the API server", error.message)
                await self._clock.sleep(RETRY_SECONDS)

    async def compare_all(self) -> None:
        """One list of each kind, whatever is believed of it. Raises GatewayError."""
        for kind in self._cache.kinds:
            mark = self._cache.begin(kind)
            listed = await self._list(kind)
            behind = self._cache.compare(kind, listed, since=mark)
            if len(behind) > MOST_READ:
                logger.warning("%d of %d %s are not known from the watch", len(behind), len(listed), kind.plural)
                self._cache.doubt(kind)
                continue
            await self._read(kind, behind)

    async def _settle(self, kind: Kind) -> None:
        """Trust it once everything is held that was there a round ago: what is newer is on its way."""
        mark = self._cache.begin(kind)
        listed = await self._list(kind)
        before, self._listed[kind] = self._listed.get(kind), frozenset(version.uid for version in listed)
        behind = self._cache.compare(kind, listed, since=mark)
        if before is None:
            return
        absent = [item for item in behind if item.uid in before and not self._cache.holds(kind, item)]
        if len(absent) > MOST_READ:
            return
        await self._read(kind, absent)
        if self._cache.trust(kind, since=mark):
            del self._listed[kind]

    async def _list(self, kind: Kind) -> Sequence[Version]:
        label = None if kind is EMBEDDING_MODEL else LABEL_MODEL
        found: list[Version] = []
        for scope in self._scopes:
            found += await self._gateway.list_versions(kind, namespace=scope, label=label)
        return found

    async def _read(self, kind: Kind, versions: Sequence[Version]) -> None:
        """Children by lists of their models: the operator has no right to get what it only watches."""
        if kind is EMBEDDING_MODEL:
            for version in versions:
                item = await self._gateway.get(kind, namespace=version.namespace, name=version.name)
                if item is not None:
                    self._cache.put(kind, item)
            return
        for namespace, model in {(version.namespace, version.model) for version in versions}:
            for item in await self._gateway.list(kind, namespace=namespace, labels={LABEL_MODEL: model}):
                self._cache.put(kind, item)
