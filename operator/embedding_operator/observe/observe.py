"""The one place that reads: objects from the API server, facts from resolve/ and audit/, into a frozen Snapshot."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from embedding_model import ports
from embedding_operator.api import names
from embedding_operator.api.spec import EmbeddingModelSpec, InvalidSpec, parse_spec
from embedding_operator.api.status import EmbeddingModelStatus
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    EMBEDDING_MODEL,
    ENDPOINT_SLICE,
    JOB,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    Gateway,
)
from embedding_operator.observe.facts import UNMADE_MEMORY_SECONDS, Facts, Key, PodRef, RefusedAnswer, UnmadeJob
from embedding_operator.observe.snapshot import (
    Children,
    Object,
    ObservedPod,
    Snapshot,
    UserGoldens,
    has_ended,
    is_fetching,
    is_ready,
)
from embedding_operator.observe.source import Hubs, read_source
from embedding_operator.observe.stored_model import read_stored_models
from embedding_operator.observe.stored_reference import read_references
from embedding_operator.observe.vouched import split_vouched


async def observe(gateway: Gateway, key: Key, *, facts: Facts, hubs: Hubs, now: datetime) -> Snapshot | None:
    """Everything about one EmbeddingModel; None when it is gone. Raises GatewayError."""
    model = await gateway.get(EMBEDDING_MODEL, namespace=key.namespace, name=key.name)
    if model is None:
        return None
    spec, error = _read_spec(model)
    ours = {names.LABEL_MODEL: key.name}
    listed = await asyncio.gather(
        *(
            gateway.list(kind, namespace=key.namespace, labels=ours)
            for kind in (DEPLOYMENT, SERVICE, CONFIG_MAP, JOB, POD_DISRUPTION_BUDGET, POD, ENDPOINT_SLICE)
        )
    )
    *objects, pods, slices = listed
    uid = str(model["metadata"]["uid"])
    groups = [_sort(item for item in group if is_controlled_by(item, uid=uid)) for group in objects]
    strangers = [item for group in objects for item in group if not is_controlled_by(item, uid=uid)]
    before = EmbeddingModelStatus.from_dict(model.get("status"))
    groups[2], planted = split_vouched(groups[2], before=before)
    models = read_stored_models(groups[2])
    asked = read_source(model, before=before, spec=spec, models=models, facts=facts, key=key, hubs=hubs)
    jobs = frozenset(item["metadata"]["uid"] for item in groups[3])
    return Snapshot(
        key=key,
        now=now,
        model=model,
        spec=spec,
        spec_error=error,
        request=asked.request,
        models=models,
        stored=asked.stored,
        resolution=asked.resolution,
        is_private=asked.is_private,
        head=asked.head,
        candidate=asked.candidate,
        references=read_references(groups[2], model=key.name),
        children=Children(*groups),
        foreign=[item for item in strangers if not _is_leftover(item, name=key.name)],
        leftover=[item for item in strangers if _is_leftover(item, name=key.name)],
        planted=planted,
        pods=[_read_pod(pod, key=key, facts=facts) for pod in _sort(pods) if _is_our_pod(pod, key=key, jobs=jobs)],
        endpoints=_sort(slices),
        user_goldens=await _read_user_goldens(gateway, key=key, spec=spec),
        claim_exists=await _look_for_claim(gateway, key=key, claim=_source_claim(spec)),
        cache_exists=await _look_for_claim(gateway, key=key, claim=_cache_claim(spec)),
        keys=facts.keys(),
        quarantine=facts.quarantine(key),
        documents=facts.documents(key),
        refused_answers=_read_refused(facts, key=key, uid=uid),
        unmade_jobs=_read_unmade(facts, key=key, uid=uid, now=now),
    )


def _read_refused(facts: Facts, *, key: Key, uid: str) -> Mapping[str, RefusedAnswer]:
    return {question: answer for question, answer in facts.refused_answers(key).items() if answer.model == uid}


def _read_unmade(facts: Facts, *, key: Key, uid: str, now: datetime) -> Mapping[str, UnmadeJob]:
    """Without those that nobody has offered for long: why they were refused then says nothing about today."""
    limit = now - timedelta(seconds=UNMADE_MEMORY_SECONDS)
    return {question: job for question, job in facts.unmade_jobs(key).items() if job.model == uid and job.at > limit}


def _read_spec(model: Object) -> tuple[EmbeddingModelSpec | None, str | None]:
    try:
        return parse_spec(model.get("spec")), None
    except InvalidSpec as error:
        return None, error.message


def _is_our_pod(pod: Object, *, key: Key, jobs: frozenset[str]) -> bool:
    """Whether a ReplicaSet of our Deployment or one of our Jobs controls it: labels alone can be anybody's, and our
    token goes to what we ask."""
    labels = pod["metadata"].get("labels") or {}
    deployment = names.deployment_name(key.name, fingerprint=labels.get(names.LABEL_SPACE, ""))
    return any(
        owner.get("controller")
        and (
            (owner.get("kind") == "ReplicaSet" and str(owner.get("name")).startswith(f"{deployment}-"))
            or (owner.get("kind") == "Job" and owner.get("uid") in jobs)
        )
        for owner in _owners(pod)
    )


def _read_pod(pod: Object, *, key: Key, facts: Facts) -> ObservedPod:
    status = pod.get("status") or {}
    started = status.get("containerStatuses") or ()
    ref = PodRef(
        key=key,
        name=pod["metadata"]["name"],
        uid=pod["metadata"]["uid"],
        ip="" if has_ended(pod) else read_address(pod),
        starts=sum(item.get("restartCount", 0) for item in started),
        is_running=any("running" in (item.get("state") or {}) for item in started),
        is_ready=is_ready(pod),
        takes_shared_token=names.ANNOTATION_AUDIENCE not in (pod["metadata"].get("annotations") or {}),
    )
    component = (pod["metadata"].get("labels") or {}).get(names.LABEL_COMPONENT)
    if component in names.JOB_COMPONENTS and is_fetching(pod):
        return ObservedPod(object=pod, ref=ref, progress=facts.progress(ref), silence=facts.unreachable(ref))
    if component in names.JOB_COMPONENTS:
        report, defect = facts.job_report(ref), facts.job_defect(ref)
        return ObservedPod(object=pod, ref=ref, job_report=report, silence=facts.unreachable(ref), job_defect=defect)
    goldens, trials = facts.goldens(ref), facts.trials(ref)
    told = facts.is_retired(ref)
    progress = facts.progress(ref) if is_fetching(pod) else None
    return ObservedPod(
        object=pod,
        ref=ref,
        report=goldens,
        trials=trials,
        progress=progress,
        silence=facts.unreachable(ref),
        audit=facts.audit(ref),
        is_retired=bool(goldens and goldens.retired) if told is None else told,
    )


def read_address(pod: Object) -> str:
    """Where to ask it; empty where no pod of ours can be: what listens there would be shown our token.

    We render no pod on its node's network, and no network gives a pod an address of the node's own or of its link,
    where the node's cloud answers. Who may write a pod's status could say so all the same.
    """
    text = (pod.get("status") or {}).get("podIP") or ""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    address = getattr(address, "ipv4_mapped", None) or address
    is_odd = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    return "" if is_odd or (pod.get("spec") or {}).get("hostNetwork") else text


async def _read_user_goldens(gateway: Gateway, *, key: Key, spec: EmbeddingModelSpec | None) -> UserGoldens | None:
    if spec is None or spec.verification.goldens_config_map_ref is None:
        return None
    name = spec.verification.goldens_config_map_ref.name
    found = await gateway.get(CONFIG_MAP, namespace=key.namespace, name=name)
    data, binary = ((found or {}).get(part) or {} for part in ("data", "binaryData"))
    return UserGoldens(
        name=name,
        exists=found is not None,
        text=data.get(ports.GOLDENS_FILE),
        is_binary=ports.GOLDENS_FILE in binary,
    )


async def _look_for_claim(gateway: Gateway, *, key: Key, claim: str | None) -> bool | None:
    if claim is None:
        return None
    return await gateway.get(PERSISTENT_VOLUME_CLAIM, namespace=key.namespace, name=claim) is not None


def _source_claim(spec: EmbeddingModelSpec | None) -> str | None:
    volume = spec.model.persistent_volume_claim if spec else None
    return volume.claim_name if volume else None


def _cache_claim(spec: EmbeddingModelSpec | None) -> str | None:
    return spec.cache.persistent_volume_claim.claim_name if spec and spec.cache else None


def is_controlled_by(item: Object, *, uid: str) -> bool:
    return any(owner.get("controller") and owner.get("uid") == uid for owner in _owners(item))


def _is_leftover(item: Object, *, name: str) -> bool:
    """Controlled by an EmbeddingModel of this name that is gone: the garbage collector will delete it."""
    return any(
        owner.get("controller") and (owner.get("kind"), owner.get("name")) == (names.KIND, name)
        for owner in _owners(item)
    )


def _owners(item: Object) -> Sequence[Mapping[str, Any]]:
    owners: Sequence[Mapping[str, Any]] = item["metadata"].get("ownerReferences") or ()
    return owners


def _sort(items: Iterable[Object]) -> Sequence[Object]:
    return sorted(items, key=lambda item: str(item["metadata"]["name"]))
