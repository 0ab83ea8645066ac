"""Leadership by a Lease: of several replicas exactly one reconciles.

The rules are client-go's leaderelection: a holder renews every `retry` seconds and gives up `renew_deadline` seconds
after its last renewal; a standby takes over once it has seen no renewal for `duration` seconds by its own monotonic
clock, so that clocks of different nodes are never compared. Because renew_deadline < duration, the old holder has
stopped before the new one starts. Every write of the operator is an idempotent apply, so even a frozen process that
wakes up with a lost Lease does no harm in the moment before it notices.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from embedding_operator.clock import Clock, MonotonicClock
from embedding_operator.kube.gateway import LEASE, Conflict, Gateway, GatewayError, Object
from embedding_operator.settings import LeaseSettings

logger = logging.getLogger(__name__)


class LeaseLost(Exception):
    """Another process leads, or may lead by now: the caller must stop working at once."""


@dataclass(frozen=True)
class _Sighting:
    """A holder's record, and when it expires by our own clock: so long after it was first seen to be like this."""

    holder: str
    renewed: str
    expires_at: float


class Elector:
    """One candidate. `identity` must be unique per process: two candidates of one identity would both lead."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        namespace: str,
        identity: str,
        settings: LeaseSettings,
        clock: Clock | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._gateway = gateway
        self._namespace = namespace
        self._identity = identity
        self._settings = settings
        self._clock = clock or MonotonicClock()
        self._now = now
        self._jitter = jitter
        self._held: Object | None = None
        self._may_hold = False  # a write that takes the Lease was sent, whatever came of it
        self._seen: _Sighting | None = None
        self._said: str | None = None

    async def acquire(self) -> None:
        """Return once this process holds the Lease."""
        while True:
            try:
                if await self._try_to_take():
                    logger.info("leading: %s holds the Lease %s", self._identity, self._where)
                    return
                self._say(f"standing by: the Lease {self._where} is held by another replica")
            except Conflict:
                pass  # another standby was faster
            except GatewayError as error:
                self._say(f"standing by: cannot read or take the Lease {self._where}: {error.message}")
            await self._pause(until=self._seen.expires_at if self._seen is not None else None)

    async def hold(self) -> None:
        """Renew until it fails.

        Raises:
            LeaseLost: another process took it, or no renewal succeeded for `renew_deadline` seconds.
        """
        renewed_at = self._clock.monotonic()
        while True:
            await self._pause()
            left = renewed_at + self._settings.renew_deadline - self._clock.monotonic()
            if left <= 0:
                raise LeaseLost(f"the Lease {self._where} could not be renewed for {self._settings.renew_deadline} s")
            try:
                started = self._clock.monotonic()
                # One hanging connection must not eat the whole deadline.
                async with asyncio.timeout(min(left, 2 * self._settings.retry)):
                    await self._renew()
                # The renewal counts from when it was sent: that is the earliest time the API server can have seen it.
                renewed_at = started
            except (GatewayError, TimeoutError) as error:
                logger.warning("cannot renew the Lease %s: %s", self._where, error or "no answer in time")

    async def release(self) -> None:
        """Give a Lease that we hold up, so that a standby takes over at once; failing to is no harm, only slower."""
        if not self._may_hold:
            return
        with suppress(GatewayError, TimeoutError):
            async with asyncio.timeout(self._settings.renew_deadline):
                held = self._held or await self._gateway.get(LEASE, namespace=self._namespace, name=self._settings.name)
                if held is not None and held["spec"].get("holderIdentity") == self._identity:
                    empty = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._timestamp()}
                    await self._gateway.replace({**held, "spec": {**held["spec"], **empty}})
        self._held, self._may_hold = None, False

    @property
    def _where(self) -> str:
        return f"{self._namespace}/{self._settings.name}"

    async def _try_to_take(self) -> bool:
        live = await self._gateway.get(LEASE, namespace=self._namespace, name=self._settings.name)
        if live is None:
            self._may_hold = True
            self._held = await self._gateway.create(self._manifest(transitions=0))
            return True
        spec = live.get("spec") or {}
        if not self._is_free(spec):
            return False
        self._may_hold = True
        self._held = await self._gateway.replace(self._taken_over(live))
        return True

    def _is_free(self, spec: Mapping[str, Any]) -> bool:
        """Whether nobody holds it, or its holder has not renewed for its own duration since we first looked."""
        holder = spec.get("holderIdentity") or ""
        if not holder:
            return True
        renewed = str(spec.get("renewTime"))
        now = self._clock.monotonic()
        if self._seen is None or (self._seen.holder, self._seen.renewed) != (holder, renewed):
            seconds = float(spec.get("leaseDurationSeconds") or self._settings.duration)
            self._seen = _Sighting(holder=holder, renewed=renewed, expires_at=now + seconds)
        return now >= self._seen.expires_at

    async def _renew(self) -> None:
        held, self._held = self._held, None
        if held is None:
            held = await self._read_again()
        spec = {**held["spec"], "renewTime": self._timestamp()}
        self._held = await self._gateway.replace({**held, "spec": spec})

    async def _read_again(self) -> Object:
        """The Lease as it is now, after a failed renewal whose effect is unknown."""
        live = await self._gateway.get(LEASE, namespace=self._namespace, name=self._settings.name)
        if live is None:
            return await self._gateway.create(self._manifest(transitions=0))
        holder = (live.get("spec") or {}).get("holderIdentity")
        if holder != self._identity:
            raise LeaseLost(f"the Lease {self._where} was taken by another replica")
        return live

    def _taken_over(self, live: Object) -> Object:
        transitions = int((live.get("spec") or {}).get("leaseTransitions") or 0) + 1
        return {**live, "spec": self._manifest(transitions=transitions)["spec"]}

    def _manifest(self, *, transitions: int) -> dict[str, Any]:
        timestamp = self._timestamp()
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"namespace": self._namespace, "name": self._settings.name},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": round(self._settings.duration),
                "acquireTime": timestamp,
                "renewTime": timestamp,
                "leaseTransitions": transitions,
            },
        }

    def _timestamp(self) -> str:
        """MicroTime: RFC 3339 in UTC with six digits, the only form the API server accepts here."""
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    async def _pause(self, *, until: float | None = None) -> None:
        """Until the next try, or until a moment before it that is still to come."""
        # Up to 20 % more, so that standbys do not come all at the same moment.
        seconds = self._settings.retry * (1.0 + 0.2 * self._jitter())
        left = until - self._clock.monotonic() if until is not None else 0.0
        await self._clock.sleep(min(seconds, left) if left > 0 else seconds)

    def _say(self, message: str) -> None:
        """Once per change: a standby asks every second for weeks."""
        if message != self._said:
            logger.info(message)
            self._said = message
