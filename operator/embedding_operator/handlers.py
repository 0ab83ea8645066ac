"""kopf, and nothing but kopf: watches of our kind and of its children, turned into what is kept in memory, and keys.

Only `on.event` is used. Change handlers, timers and daemons write annotations and finalizers on the user's object and
depend on edges; here an event says how an object is now, and "look at this key again": a doubled one does no harm.
"""

import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import kopf

from embedding_operator.api.names import FIELD_MANAGER, LABEL_MODEL
from embedding_operator.kube.connection import Connection
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    EMBEDDING_MODEL,
    ENDPOINT_SLICE,
    JOB,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    Kind,
    Object,
)
from embedding_operator.observe.facts import Key

# Everything that carries our label: children, and what Kubernetes makes of them (pods, EndpointSlices).
CHILD_KINDS: Final = (DEPLOYMENT, POD, SERVICE, CONFIG_MAP, JOB, ENDPOINT_SLICE, POD_DISRUPTION_BUDGET)

# kopf remembers refused credentials by equality; a fresh expiration makes re-read ones acceptable again, and bounds how
# long a rotated token can be used.
CREDENTIALS_SECONDS: Final = 600.0
# The API server ends a watch after this long: a regular, clean reconnect.
WATCH_SECONDS: Final = 600
# Objects of one page of the lists that watches begin with. It is in memory as text and as dicts, with managedFields,
# and one of each kind at the same time: a hundred ConfigMaps of golden cases are some 15 MiB.
CHUNK_SIZE: Final = 100
# kopf holds what an event told of an object until none has come for so long: by default 5 s, in which it lists all
# there are, each ten times as large as we keep it.
IDLE_SECONDS: Final = 0.1
# A watch that the server did not end in time sits on a dead connection.
WATCH_GRACE_SECONDS: Final = 30


@dataclass(frozen=True)
class Watches:
    """What to watch and whom to tell. `namespaces` empty means all of them.

    `on_object` gets each event's type (None where a watch begins, and lists) and object, `on_key` the object's key.
    Both are called from the informer's own thread; they must neither raise nor block.
    """

    on_key: Callable[[Key], None]
    load_connection: Callable[[], Awaitable[Connection]]
    on_object: Callable[[Kind, str | None, Object], None] = lambda kind, change, item: None
    namespaces: tuple[str, ...] = ()
    credentials_seconds: float = CREDENTIALS_SECONDS


async def watch(watches: Watches, *, stop: threading.Event) -> None:
    """Watch until `stop` is set.

    Raises whatever ends kopf: a resource type that is gone (its CRD was deleted), refused credentials, repeated errors
    of the API server. The caller starts it anew.
    """
    await kopf.operator(
        registry=build_registry(watches),
        settings=build_settings(),
        clusterwide=not watches.namespaces,
        namespaces=list(watches.namespaces),
        standalone=True,
        stop_flag=stop,
    )


def build_registry(watches: Watches) -> kopf.OperatorRegistry:
    """A registry of its own: kopf's default one is global."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        return _as_kopf(await watches.load_connection(), seconds=watches.credentials_seconds)

    @kopf.on.event(*_selector(EMBEDDING_MODEL), registry=registry)
    async def enqueue_model(*, event: Mapping[str, Any], namespace: str | None, name: str, **_: Any) -> None:
        watches.on_object(EMBEDDING_MODEL, event["type"], event["object"])
        watches.on_key(Key(namespace=namespace or "", name=name))

    for kind in CHILD_KINDS:
        handler = _tell_owner(watches, kind=kind)
        kopf.on.event(*_selector(kind), registry=registry, id=f"enqueue_owner_of_{kind.plural}")(handler)
    return registry


def _tell_owner(watches: Watches, *, kind: Kind) -> Callable[..., Awaitable[None]]:
    async def enqueue_owner(
        *, event: Mapping[str, Any], namespace: str | None, labels: Mapping[str, str], **_: Any
    ) -> None:
        watches.on_object(kind, event["type"], event["object"])
        if model := labels.get(LABEL_MODEL):
            watches.on_key(Key(namespace=namespace or "", name=model))

    return enqueue_owner


def build_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True  # leadership is the Lease's business
    settings.scanning.disabled = True  # no list of CRDs and namespaces: the caller knows when our CRD comes and goes
    settings.posting.enabled = False  # Events are posted by the reconciler, deduplicated
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.client_timeout = WATCH_SECONDS + WATCH_GRACE_SECONDS
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = CHUNK_SIZE
    settings.queueing.idle_timeout = IDLE_SECONDS
    for kind in CHILD_KINDS:
        settings.watching.label_selectors[_selector(kind)] = LABEL_MODEL
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    # kopf retries a 403 too; the caller restarts kopf with its own backoff anyway.
    settings.networking.error_backoffs = (0.2, 0.5, 1, 2)
    settings.networking.trust_env = False
    # kopf would kill the whole process with -9 after this long; ending it in time is our own business.
    settings.process.ultimate_exiting_timeout = None
    settings.persistence.finalizer = f"{FIELD_MANAGER}.never.used/finalizer"
    # kopf finds out what changed since the last event, and how far its handlers have come, whoever asks.
    settings.persistence.diffbase_storage = _NoDifferences()
    settings.persistence.progress_storage = _NoProgress()
    return settings


class _NoDifferences(kopf.DiffBaseStorage):
    """Nothing changed since the last event: only change handlers ask. kopf's own copies each object that comes, twice,
    which is a third of what an event costs."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        return {}

    def fetch(self, *, body: Any) -> Any:
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        raise AssertionError("an event handler stores nothing in the object")


class _NoProgress(kopf.ProgressStorage):
    """Handlers of events are called once, and have no progress."""

    def fetch(self, *, key: Any, body: Any) -> Any:
        return None

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        raise AssertionError("an event handler stores nothing in the object")

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        """There is nothing."""

    def touch(self, *, body: Any, patch: Any, value: Any) -> None:
        """Nothing is waited for."""

    def clear(self, *, essence: Any) -> Any:
        return essence


def _selector(kind: Kind) -> tuple[str, str, str]:
    """Group, version and plural as kopf wants them; the core group is the empty string."""
    group, _, version = kind.api_version.rpartition("/")
    return group, version, kind.plural


def _as_kopf(connection: Connection, *, seconds: float) -> kopf.ConnectionInfo:
    return kopf.ConnectionInfo(
        server=connection.server,
        ca_path=connection.ca_path,
        insecure=not connection.verify,
        token=connection.token,
        certificate_path=connection.certificate_path,
        private_key_path=connection.private_key_path,
        proxy_url=connection.proxy_url,
        trust_env=False,
        expiration=datetime.now(UTC) + timedelta(seconds=seconds),
    )
