"""Which reasons a condition can have, with which status: part of the API, shown in docs/reference/conditions.md.

`reconcile.summary` computes the conditions from verdicts; tests hold every status that it makes to this table.

Ready=False      has the reason of Reconciling or Stalled, whichever is there, or says that the model is suspended
Verified=Unknown has that of Resolved while the model is not resolved: there is nothing to verify
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from embedding_model.refusal import Reason as RefusalReason
from embedding_operator.api.reasons import ConditionType, Reason
from embedding_operator.api.status import ConditionStatus

AnyReason = Reason | RefusalReason
Reasons = tuple[AnyReason, ...]

# What keeps a pod from starting, be it one that serves or a Job's, and may pass by itself.
UNSTARTED: Final[Reasons] = (
    Reason.INSUFFICIENT_CAPACITY,
    Reason.UNSCHEDULABLE,
    Reason.VOLUME_NOT_FOUND,
    Reason.SECRET_NOT_FOUND,
    Reason.IMAGE_UNAVAILABLE,
)
_POD_TROUBLE: Final[Reasons] = (
    *UNSTARTED,
    Reason.NODE_LOST,
    Reason.DOWNLOAD_FAILED,
    Reason.CRASH_LOOPING,
    Reason.OUT_OF_MEMORY,
    Reason.POD_FAILED,
)
_ASKING: Final[Reasons] = (Reason.RESOLVING, Reason.INSPECTING_VOLUME, Reason.CONVERTING)

# What a source and its files are refused for; the other refusals are of golden cases and of pods that serve.
_NOT_OF_A_SOURCE: Final = frozenset(
    {RefusalReason.INVALID_GOLDEN, RefusalReason.INVALID_AUTH, RefusalReason.DEVICE_UNAVAILABLE}
)
_SOURCE_REFUSED: Final[Reasons] = tuple(reason for reason in RefusalReason if reason not in _NOT_OF_A_SOURCE)

WRONG_ANSWERS: Final[Reasons] = (Reason.GOLDEN_MISMATCH, Reason.AUDIT_FAILED)

# What the API server does not take.
UNTAKEN: Final[Reasons] = (Reason.QUOTA_EXCEEDED, Reason.API_FORBIDDEN, Reason.CHILD_REJECTED)

_RECONCILING: Final[Reasons] = (
    *_ASKING,
    Reason.PROGRESSING,
    Reason.DOWNLOADING,
    Reason.VERIFYING,
    Reason.COMPUTING_REFERENCE,
    Reason.REPLACING,
    Reason.ROLLING_OUT,
    Reason.MOVING_SERVICE,
    Reason.NO_ENDPOINTS,
    Reason.TERMINATING,
    Reason.HUB_UNAVAILABLE,
    *_POD_TROUBLE,
    Reason.JWKS_CONFIG_MAP_NOT_FOUND,
    Reason.SLOW_START,
    Reason.FIELD_CONFLICT,
    *UNTAKEN,
    *WRONG_ANSWERS,
)
_STALLED: Final[Reasons] = (
    Reason.INVALID_SPEC,
    Reason.PROFILE_NOT_FOUND,
    Reason.GOLDENS_CONFIG_MAP_NOT_FOUND,
    Reason.SPACE_CHANGE_NOT_APPROVED,
    Reason.REFERENCE_UNAVAILABLE,
    *WRONG_ANSWERS,
    Reason.STARTUP_TIMEOUT,
    Reason.CONFLICT,
    Reason.CHILD_REJECTED,
    *RefusalReason,
)
_UNRESOLVED: Final[Reasons] = (
    Reason.INVALID_SPEC,
    Reason.HUB_UNAVAILABLE,
    *_POD_TROUBLE,
    # Of a Job that is to read or to compute.
    *UNTAKEN,
    *_SOURCE_REFUSED,
)


def _join(*groups: Reasons) -> Reasons:
    return tuple(dict.fromkeys(reason for group in groups for reason in group))


_TABLE: Final[Mapping[ConditionType, Mapping[ConditionStatus, Reasons]]] = {
    ConditionType.READY: {
        ConditionStatus.TRUE: (Reason.SERVING, Reason.UPDATE_AVAILABLE, Reason.SCALED_TO_ZERO),
        ConditionStatus.FALSE: _join((Reason.SUSPENDED,), _RECONCILING, _STALLED),
    },
    ConditionType.AVAILABLE: {
        ConditionStatus.TRUE: (Reason.MINIMUM_AVAILABLE, Reason.PREVIOUS_GENERATION_SERVING),
        ConditionStatus.FALSE: (Reason.NOT_AVAILABLE, Reason.SCALED_TO_ZERO, Reason.REPLACING),
        ConditionStatus.UNKNOWN: (Reason.SUSPENDED,),
    },
    ConditionType.VERIFIED: {
        ConditionStatus.TRUE: (Reason.GOLDENS_PASSED,),
        ConditionStatus.FALSE: (
            *WRONG_ANSWERS,
            Reason.REFERENCE_UNAVAILABLE,
            Reason.GOLDENS_CONFIG_MAP_NOT_FOUND,
            RefusalReason.INVALID_GOLDEN,
        ),
        ConditionStatus.UNKNOWN: _join(
            (
                Reason.NO_GOLDENS,
                Reason.VERIFYING,
                Reason.COMPUTING_REFERENCE,
                Reason.SCALED_TO_ZERO,
                Reason.SPACE_CHANGE_NOT_APPROVED,
                Reason.CONFLICT,
                Reason.SUSPENDED,
            ),
            _ASKING,
            _UNRESOLVED,
        ),
    },
    ConditionType.RESOLVED: {
        ConditionStatus.TRUE: (Reason.RESOLVED,),
        ConditionStatus.FALSE: (*_UNRESOLVED, Reason.PROFILE_NOT_FOUND),
        ConditionStatus.UNKNOWN: (*_ASKING, Reason.SUSPENDED),
    },
    ConditionType.RECONCILING: {ConditionStatus.TRUE: _RECONCILING},
    ConditionType.STALLED: {ConditionStatus.TRUE: _STALLED},
}

CONDITION_REASONS: Final = MappingProxyType({kind: MappingProxyType(by_status) for kind, by_status in _TABLE.items()})
"""By condition and status, in the order in which the reference shows them."""

EVENT_REASONS: Final[Reasons] = (Reason.SERVICE_MOVED, Reason.QUARANTINED)
"""Of events alone; every turn of a condition is told by an event with the condition's own reason besides."""


def is_declared(kind: str, *, status: str, reason: str) -> bool:
    """Whether a condition of this type can have this reason with this status."""
    return any(
        (kind, status) == (declared, with_status) and reason in reasons
        for declared, by_status in CONDITION_REASONS.items()
        for with_status, reasons in by_status.items()
    )


def list_appearances(reason: AnyReason) -> list[tuple[ConditionType, ConditionStatus]]:
    """The conditions that can have this reason, each with the status that it has then."""
    return [
        (kind, status)
        for kind, by_status in CONDITION_REASONS.items()
        for status, reasons in by_status.items()
        if reason in reasons
    ]
