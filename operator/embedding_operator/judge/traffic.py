"""Which generation does the Service select, how many pods do the others keep, and which of them go?

A Service moves as a whole: to pods that are all ready, and the old pods go only once no EndpointSlice lists them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from embedding_operator.api import names
from embedding_operator.api.reasons import Reason
from embedding_operator.judge.generations import Generation
from embedding_operator.judge.verdict import Verdict, waiting
from embedding_operator.observe.snapshot import Snapshot

KEPT_RETIRED: Final = 2  # the way back: a retired generation costs no pod, only names


@dataclass(frozen=True)
class Traffic:
    """`selected`: the space that the Service is to select; None while there is nothing to select.

    `replicas`: what each generation but the target is to have. `expired`: retired generations to delete.
    `verdict` is set while a move is under way.
    """

    selected: str | None
    replicas: Mapping[str, int] = field(default_factory=dict)
    expired: Sequence[str] = ()
    verdict: Verdict | None = None


def judge_traffic(
    snapshot: Snapshot,
    *,
    generations: Mapping[str, Generation],
    target: str | None,
    is_target_ready: bool,
    replicas: int,
    scales_selected: bool = False,
) -> Traffic:
    """`target` is the space that the spec asks for, None while that is not known: then everything stays.

    `scales_selected`: but for the number of pods of what serves, because it may be long until something else does.
    """
    live = read_selected_space(snapshot)
    selected = _select(live, generations=generations, target=target, is_target_ready=is_target_ready)
    listed = _list_pods(snapshot)
    others = {space: item for space, item in generations.items() if space != target and item.deployment is not None}
    wanted = {
        space: _count_replicas(
            item,
            is_selected=space == selected,
            is_known=target is not None or (scales_selected and space == selected),
            listed=listed,
            replicas=replicas,
        )
        for space, item in others.items()
    }
    return Traffic(
        selected=selected,
        replicas=wanted,
        expired=_expire(others, wanted=wanted, selected=selected) if target is not None else (),
        verdict=_describe_move(
            live, selected=selected, target=target, is_target_ready=is_target_ready, others=others, wanted=wanted
        ),
    )


def read_selected_space(snapshot: Snapshot) -> str | None:
    """The space that the live Service selects; None without a Service, or with a selector that is not ours."""
    for item in snapshot.children.services:
        if item["metadata"]["name"] == snapshot.key.name:
            space = ((item.get("spec") or {}).get("selector") or {}).get(names.LABEL_SPACE)
            return str(space) if space else None
    return None


def _select(
    live: str | None, *, generations: Mapping[str, Generation], target: str | None, is_target_ready: bool
) -> str | None:
    current = generations.get(live) if live else None
    if current is None or current.deployment is None:
        # No Service yet, or one that selects nothing: whoever serves best, else what is asked for.
        serving = [item for item in generations.values() if item.ready_pods and item.deployment is not None]
        best = max(serving, key=lambda item: (item.space == target, len(item.ready_pods), item.space), default=None)
        if is_target_ready or best is None:
            return target or live
        return best.space
    if target is None or target == live or is_target_ready:
        return target or live
    # A generation that never served has no traffic to protect, and may hold the device that the next one needs.
    return live if current.has_served else target


def _count_replicas(
    item: Generation, *, is_selected: bool, is_known: bool, listed: frozenset[str], replicas: int
) -> int:
    if not is_known:
        return item.replicas
    if is_selected:
        return replicas
    if any(pod.ref.name in listed for pod in item.pods):
        return item.replicas
    return 0


def _list_pods(snapshot: Snapshot) -> frozenset[str]:
    """Names of the pods that the Service's EndpointSlices list."""
    return frozenset(_target_name(endpoint) for item in snapshot.endpoints for endpoint in item.get("endpoints") or ())


def _target_name(endpoint: Mapping[str, Any]) -> str:
    return str((endpoint.get("targetRef") or {}).get("name", ""))


def _expire(others: Mapping[str, Generation], *, wanted: Mapping[str, int], selected: str | None) -> Sequence[str]:
    retired = [item for space, item in others.items() if space != selected and wanted[space] == 0 and not item.pods]
    newest_first = sorted(retired, key=lambda item: (item.created, item.space), reverse=True)
    return [item.space for item in newest_first[KEPT_RETIRED:]]


def _describe_move(
    live: str | None,
    *,
    selected: str | None,
    target: str | None,
    is_target_ready: bool,
    others: Mapping[str, Generation],
    wanted: Mapping[str, int],
) -> Verdict | None:
    if target is None or selected != target or not is_target_ready:
        return None
    if live is not None and live != target:
        return waiting(Reason.MOVING_SERVICE, "the new vector space is ready: the Service is moving to it")
    if any(wanted[space] for space in others):
        return waiting(Reason.MOVING_SERVICE, "the Service has moved; endpoints still list pods of the space before")
    return None
