"""Where the process stands between start and exit, and what that means for its ports."""

import secrets
from dataclasses import dataclass, field
from enum import StrEnum

from embedding_model.ports import CaseResult, GateState
from embedding_runtime.settings import FailurePolicy


class Phase(StrEnum):
    LOADING = "Loading"  # reading, hashing, warming up
    LOADED = "Loaded"
    DRAINING = "Draining"  # SIGTERM came: out of the Service, still answering


@dataclass
class Lifecycle:
    """Changed on the event loop only."""

    failure_policy: FailurePolicy
    boot_id: str = field(default_factory=lambda: secrets.token_hex(8))
    phase: Phase = Phase.LOADING
    gate: GateState = GateState.PENDING
    results: tuple[CaseResult, ...] = ()
    retired: bool = False

    @property
    def loaded(self) -> bool:
        return self.phase is not Phase.LOADING

    @property
    def answering(self) -> bool:
        """Whether requests are answered at all; a blocked pod answers none."""
        return self.loaded and (self.gate is GateState.PASSED or self.unverified)

    @property
    def ready(self) -> bool:
        """Whether the pod belongs into its Service."""
        return self.answering and self.phase is Phase.LOADED

    @property
    def unverified(self) -> bool:
        """Serving although golden cases failed."""
        return self.gate is GateState.FAILED and self.failure_policy is FailurePolicy.WARN

    @property
    def closing(self) -> bool:
        """Whether every response ends its connection, so that clients come back elsewhere."""
        return self.retired or self.phase is Phase.DRAINING

    def explain(self) -> str:
        """Why the pod is not ready, in words for a person; `ok` when it is."""
        if self.phase is Phase.LOADING:
            return "the model is being loaded"
        if self.phase is Phase.DRAINING:
            return "the server is shutting down"
        if self.gate is GateState.PENDING:
            return "golden cases are being answered"
        if not self.ready:
            failed = [result for result in self.results if not result.passed]
            first = f": {failed[0].name}: {failed[0].detail}" if failed else ""
            return f"{len(failed)} of {len(self.results)} golden cases failed{first}"
        return "ok"
