"""Which generation does the Service select, how many pods does each one keep, and which of them go?

A Service moves as a whole, each step read off the cluster anew, so that whoever restarts goes on where it stopped:

    step                                                             seen by
    1  the new generation has as many pods as are asked for          its Deployment, its pods, the gate
    2  the Service selects it                                        the Service's selector
    3  no EndpointSlice lists a pod of the generation before         EndpointSlices
    4  those pods have been told to end their clients' connections   the operator's facts
    5  the generation before is scaled to 0, and kept                its Deployment
    6  an EndpointSlice lists a ready pod of the new one             EndpointSlices

Under `strategy: Replace` step 5 comes first: see `is_slot_free`. A space that spec.space does not approve never comes
to step 2: it has a Service of its own.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from embedding_operator.api import names
from embedding_operator.api.reasons import Reason
from embedding_operator.api.rollout_spec import RolloutStrategy
from embedding_operator.api.status import KEPT_RETIRED
from embedding_operator.judge.endpoints import list_pods, list_reached_pods
from embedding_operator.judge.generations import (
    Generation,
    is_started,
    read_selected_space,
    read_served_spaces,
)
from embedding_operator.judge.verdict import Verdict, waiting
from embedding_operator.observe.snapshot import ObservedPod, Snapshot


@dataclass(frozen=True)
class Traffic:
    """`selected`: the space that the Service is to select; None while there is nothing to select.

    `serving`: the space that it serves now, whatever a hand made of the Service.
    `replicas`: what each generation is to have that is neither the target nor pending. `target_replicas`: what the
    target is to have. `retiring`: pods to be told to end their connections; `recalled`: pods that do, of a space that a
    Service selects or will select, and are to be told to keep them. `expired`: retired generations to delete.
    `own_services`: spaces that have a Service of their own, beside the model's.
    `leaves_gap`: the pods that serve go before new ones come (Replace), and `awaited` are those that are not gone yet.
    `verdict` is set while a move is under way, and while no request to the Service finds a pod.
    """

    selected: str | None
    serving: str | None = None
    replicas: Mapping[str, int] = field(default_factory=dict)
    target_replicas: int = 0
    retiring: Sequence[ObservedPod] = ()
    recalled: Sequence[ObservedPod] = ()
    expired: Sequence[str] = ()
    own_services: Sequence[str] = ()
    leaves_gap: bool = False
    awaited: Sequence[str] = ()
    verdict: Verdict | None = None


def judge_traffic(
    snapshot: Snapshot,
    *,
    generations: Mapping[str, Generation],
    target: str | None,
    is_target_ready: bool,
    replicas: int,
    pending: str | None = None,
    is_settled: bool = True,
    can_be_made: bool = True,
    scales_selected: bool = False,
) -> Traffic:
    """`target` is the space that the spec asks for and that may be served, `pending` one that is not approved. With
    neither known, everything stays.

    `is_settled`: whether `pending` is all that waits for approval, as far as the source was asked.
    `can_be_made`: nothing stands in the way of the target's pods that is known before they are there.
    `scales_selected`: but for the number of pods of what serves, because it may be long until something else does.
    """
    live, is_known = read_selected_space(snapshot), target is not None or pending is not None
    serving = find_serving_space(snapshot, generations=generations)
    selected = _select(
        snapshot,
        live=serving,
        generations={space: item for space, item in generations.items() if space != pending},
        target=target,
        is_target_ready=is_target_ready,
        replicas=replicas,
    )
    goes_first = _goes_first(snapshot, live=serving, selected=selected, generations=generations, target=target)
    leaves_gap = goes_first and can_be_made
    own_services = _find_own_services(snapshot, live=live, target=target, pending=pending, keeps=not is_settled)
    beside = _list_beside(snapshot, pending=pending, is_settled=is_settled)
    listed = list_pods(snapshot)
    others = {
        space: item
        for space, item in generations.items()
        if space not in (target, pending) and (item.deployment is not None or space == selected)
    }
    wanted, retiring = {}, []
    for space, item in others.items():
        if item.deployment is None:  # a hand deleted what serves
            wanted[space] = 0 if leaves_gap else replicas
        elif not (is_known or (scales_selected and space == selected)) or (space in own_services and space != selected):
            wanted[space] = item.replicas
        elif space == selected:
            wanted[space] = 0 if leaves_gap else replicas
        else:
            staying = _find_staying(item, listed=listed)
            has_moved = selected == live or space != live
            retiring += [pod for pod in staying if has_moved and not _is_listed(item, listed=listed)]
            wanted[space] = item.replicas if staying else 0
    return Traffic(
        selected=selected,
        serving=serving,
        replicas=wanted,
        target_replicas=_count_target(
            snapshot, generations=generations, target=target, beside=beside, replicas=replicas
        ),
        retiring=retiring,
        recalled=_find_recalled(generations, spaces={target, pending, selected, *own_services}),
        expired=_expire(snapshot, others, wanted=wanted, selected=selected) if is_known else (),
        own_services=own_services,
        leaves_gap=leaves_gap,
        awaited=_find_holders(snapshot, target=target, beside=beside) if leaves_gap else (),
        verdict=_describe_move(
            live,
            selected=selected,
            target=target,
            is_target_ready=is_target_ready,
            is_leaving=any(count for space, count in wanted.items() if space not in own_services),
            is_reached=_is_reached(generations.get(target or ""), ready=list_reached_pods(snapshot)),
            retiring=retiring,
        ),
    )


def find_serving_space(snapshot: Snapshot, *, generations: Mapping[str, Generation]) -> str | None:
    """The space that the model's Service serves: what it selects, unless somebody else wrote that selector, or deleted
    the Service. Then it is what the status says: the last that was served.

    We never move a Service to what spec.space does not approve, nor to a generation without ready pods.
    """
    live = read_selected_space(snapshot)
    former = next((item for item in generations.values() if item.was_served and item.is_kept), None)
    if former is None or live == former.space:
        return live
    approved, current = snapshot.spec.space if snapshot.spec else None, generations.get(live or "")
    is_ours = approved != former.space and current is not None and current.ready_pods
    return live if is_ours else former.space


def is_slot_free(snapshot: Snapshot, *, target: str | None, pending: str | None, is_settled: bool) -> bool:
    """Whether pods of `target`, or a Job that needs what they need, may be made now.

    Under Replace only once no server pod of another space is left, the ending ones included: they hold their device
    until they are gone. What waits for approval has devices of its own. `pending`, `is_settled`: see `judge_traffic`.
    """
    beside = _list_beside(snapshot, pending=pending, is_settled=is_settled)
    return not _find_holders(snapshot, target=target, beside=beside)


def _list_beside(snapshot: Snapshot, *, pending: str | None, is_settled: bool) -> Collection[str]:
    """Spaces that wait for approval, or may: all that have a Service of their own, but for what the model's selects."""
    unsettled = set() if is_settled else _list_own_spaces(snapshot) - {read_selected_space(snapshot) or ""}
    return {*unsettled, *([pending] if pending else ())}


def _list_own_spaces(snapshot: Snapshot) -> set[str]:
    labels = (item["metadata"].get("labels") or {} for item in snapshot.children.services)
    return {str(item[names.LABEL_SPACE]) for item in labels if names.LABEL_SPACE in item}


def _find_holders(snapshot: Snapshot, *, target: str | None, beside: Collection[str]) -> Sequence[str]:
    """Names of the pods whose end a Replace waits for."""
    if not _replaces(snapshot):
        return []
    labels = {pod.name: pod.object["metadata"].get("labels") or {} for pod in snapshot.pods if not pod.has_ended}
    return [
        name
        for name, item in labels.items()
        if item.get(names.LABEL_COMPONENT) == names.COMPONENT_SERVER
        and item.get(names.LABEL_SPACE) not in {target, *beside}
    ]


def _replaces(snapshot: Snapshot) -> bool:
    return snapshot.spec is not None and snapshot.spec.rollout.strategy is RolloutStrategy.REPLACE


def _select(
    snapshot: Snapshot,
    *,
    live: str | None,
    generations: Mapping[str, Generation],
    target: str | None,
    is_target_ready: bool,
    replicas: int,
) -> str | None:
    current = generations.get(live) if live else None
    if current is None or not current.is_kept:
        # No Service yet, or one that selects nothing: whoever serves best, else what is asked for.
        best = _find_best(snapshot, generations=generations, target=target)
        if is_target_ready or best is None:
            return target or live or _find_approved(snapshot, generations=generations)
        return best.space
    if target is None or target == live:
        return live
    if is_target_ready and replicas > 0:
        return target
    # A generation that never served has no traffic to protect, and may hold the device that the next one needs.
    # Without pods nobody has verified the target: the Service stays, for the time when there are pods again.
    return live if current.has_served else target


def _find_best(snapshot: Snapshot, *, generations: Mapping[str, Generation], target: str | None) -> Generation | None:
    """With spec.space set, nothing but that and what served before; a space that waits for approval never."""
    approved = snapshot.spec.space if snapshot.spec else None
    serving = [
        item
        for item in generations.values()
        if item.ready_pods
        and item.deployment is not None
        and (approved is None or item.was_served or item.space == approved)
    ]
    return max(
        serving,
        key=lambda item: (item.space == target, item.was_served, len(item.ready_pods), item.space),
        default=None,
    )


def _find_approved(snapshot: Snapshot, *, generations: Mapping[str, Generation]) -> str | None:
    """Though none of its pods is ready now."""
    approved = generations.get(snapshot.spec.space or "") if snapshot.spec else None
    return approved.space if approved is not None and approved.deployment is not None else None


def _goes_first(
    snapshot: Snapshot,
    *,
    live: str | None,
    selected: str | None,
    generations: Mapping[str, Generation],
    target: str | None,
) -> bool:
    """Whether Replace takes away what serves: not where the new pods run already, as those that were approved do."""
    if not _replaces(snapshot) or target is None or live is None or not (selected == live != target):
        return False
    serving, coming = generations.get(live), generations.get(target)
    is_gone = serving is not None and serving.replicas == 0
    return is_gone or coming is None or not any(is_started(pod) for pod in coming.pods)


def _count_target(
    snapshot: Snapshot,
    *,
    generations: Mapping[str, Generation],
    target: str | None,
    beside: Collection[str],
    replicas: int,
) -> int:
    """As asked for, once there is room for it; what has pods already keeps its room."""
    if target is None:
        return 0
    known = generations.get(target)
    is_free = not _find_holders(snapshot, target=target, beside=beside)
    has_room = is_free or (known is not None and known.replicas > 0)
    return replicas if has_room else 0


def _find_own_services(
    snapshot: Snapshot, *, live: str | None, target: str | None, pending: str | None, keeps: bool
) -> Sequence[str]:
    """The pending space's; the target's as long as the model's Service has not moved to it; while it is not known what
    waits for approval, those that there are."""
    there = _list_own_spaces(snapshot)
    if keeps or (target is None and pending is None):
        return sorted({*there, *([pending] if pending else ())})
    wanted = {pending} if pending else set()
    if target in there and live != target:
        wanted.add(target)
    return sorted(space for space in wanted if space)


def _find_staying(item: Generation, *, listed: frozenset[str]) -> Sequence[ObservedPod]:
    """Pods that clients may still be connected to."""
    return [pod for pod in item.pods if pod.name in listed or (pod.is_ready and not pod.is_retired)]


def _find_recalled(generations: Mapping[str, Generation], *, spaces: Collection[str | None]) -> Sequence[ObservedPod]:
    pods = (pod for space, item in generations.items() if space in spaces for pod in item.pods)
    return [pod for pod in pods if pod.is_retired or (pod.report is not None and pod.report.retired)]


def _is_listed(item: Generation, *, listed: frozenset[str]) -> bool:
    return any(pod.name in listed for pod in item.pods)


def _is_reached(target: Generation | None, *, ready: frozenset[str]) -> bool:
    """Whether a request to the Service finds a pod of the target, as far as it has any."""
    pods = target.ready_pods if target else ()
    return not pods or any(pod.name in ready for pod in pods)


def _expire(
    snapshot: Snapshot, others: Mapping[str, Generation], *, wanted: Mapping[str, int], selected: str | None
) -> Sequence[str]:
    """All retired generations but the last that served and, where fewer than are kept have, the newest others."""
    retired = [item for space, item in others.items() if space != selected and wanted[space] == 0 and not item.pods]
    newest_first = sorted(retired, key=lambda item: (item.created, item.space), reverse=True)
    served = read_served_spaces(snapshot)
    best_first = sorted(
        newest_first, key=lambda item: served.index(item.space) if item.space in served else len(served)
    )
    return [item.space for item in best_first[KEPT_RETIRED:]]


def _describe_move(
    live: str | None,
    *,
    selected: str | None,
    target: str | None,
    is_target_ready: bool,
    is_leaving: bool,
    is_reached: bool,
    retiring: Sequence[ObservedPod],
) -> Verdict | None:
    if target is None or selected != target or not is_target_ready:
        return None
    if live is not None and live != target:
        return waiting(Reason.MOVING_SERVICE, "the new vector space is ready: the Service is moving to it")
    if retiring:
        return waiting(
            Reason.MOVING_SERVICE, "the Service has moved; pods of the space before are told to end their connections"
        )
    if is_leaving:
        return waiting(Reason.MOVING_SERVICE, "the Service has moved; endpoints still list pods of the space before")
    if not is_reached:
        return waiting(Reason.NO_ENDPOINTS, "pods are ready; no EndpointSlice of the Service lists one as ready yet")
    return None
