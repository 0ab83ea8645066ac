"""Everything that should exist, given the verdicts: manifests in the order in which they are applied.

A pod must find what it mounts, so ConfigMaps come before Deployments. A generation whose template has not changed, or
may not change now, is restored word for word from its template ConfigMap.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from embedding_model.resolved import ResolvedModel
from embedding_operator.api import names
from embedding_operator.api.spec import EmbeddingModelSpec
from embedding_operator.children.config_maps import (
    TEMPLATE_FILE,
    goldens_config_map,
    holdout_config_map,
    keys_config_map,
    model_config_map,
    restored_config_map,
    template_config_map,
)
from embedding_operator.children.deployment import SURGING, deployment, deployment_body
from embedding_operator.children.disruption_budget import MIN_REPLICAS, disruption_budget
from embedding_operator.children.metadata import Owner
from embedding_operator.children.mounted import Mounted, find_mounted
from embedding_operator.children.pod_template import Rendering
from embedding_operator.children.profile import RenderSettings, Unrenderable
from embedding_operator.children.reference_job import reference_job
from embedding_operator.children.resolve_job import resolve_job
from embedding_operator.children.service import own_service, service
from embedding_operator.judge.case_set import name_parts, split_case_set
from embedding_operator.judge.generations import Generation, is_template, list_config_maps, mounted_config_map
from embedding_operator.judge.judgement import Judgement
from embedding_operator.judge.observed_job import find_jobs
from embedding_operator.judge.pod_trouble import find_trouble
from embedding_operator.judge.verdict import RECHECK_SECONDS, Verdict, stalled
from embedding_operator.observe.snapshot import Snapshot

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Template:
    """A Deployment's body as stored: `name` of its ConfigMap, `inputs` that it was rendered from."""

    name: str
    space: str
    inputs: str
    body: Mapping[str, Any]
    created: str


@dataclass(frozen=True)
class Desired:
    """`problem` is set when something could not be rendered; what could be, is in `manifests` all the same.

    `update_available`: a rendering of today (image, chart values) would differ from the template in force.
    `mounted`: the ConfigMaps that pods mount, though nothing that is rendered today is.
    `kept`: the Deployment of what serves, where `manifests` take all its pods for what is to come: to be written in its
    place while something else cannot be.
    """

    manifests: Sequence[Manifest] = ()
    problem: Verdict | None = None
    update_available: bool = False
    mounted: Mounted = field(default_factory=Mounted)
    kept: Manifest | None = None


def desire(snapshot: Snapshot, *, judgement: Judgement, settings: RenderSettings, rolls_upgrades: bool) -> Desired:
    """`rolls_upgrades`: a newer rendering is rolled out by itself (the chart's upgradePolicy Rolling)."""
    owner = Owner(namespace=snapshot.key.namespace, name=snapshot.key.name, uid=snapshot.uid)
    templates = read_templates(snapshot)
    keys = [keys_config_map(owner, data=snapshot.keys)] if snapshot.keys else []
    parts = [
        _desire_part(owner, snapshot, part, settings=settings, templates=templates, rolls_upgrades=rolls_upgrades)
        for part in judgement.all
    ]
    main, problem = parts[0], next((part.problem for part in parts if part.problem), None)
    others = _restore_others(
        owner, snapshot=snapshot, judgement=judgement, templates=templates, is_stuck=problem is not None
    )
    traffic = _direct_traffic(owner, snapshot=snapshot, judgement=judgement)
    manifests = [*keys, *(manifest for part in parts for manifest in part.manifests), *others, *traffic]
    distinct = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests}
    rendered = {name for kind, name in distinct if kind == "ConfigMap"}
    mounted = find_mounted(snapshot, generations=judgement.generations, rendered=rendered)
    distinct |= {("ConfigMap", name): restored_config_map(owner, seen=seen) for name, seen in mounted.deleted.items()}
    return replace(
        main,
        manifests=sorted(distinct.values(), key=_apply_order),
        problem=problem,
        mounted=mounted,
        kept=_keep_serving(owner, snapshot=snapshot, judgement=judgement, templates=templates),
    )


def _desire_part(
    owner: Owner,
    snapshot: Snapshot,
    judgement: Judgement,
    *,
    settings: RenderSettings,
    templates: Sequence[Template],
    rolls_upgrades: bool,
) -> Desired:
    """One generation that is asked for, with what its pods mount."""
    stored = list(_store_documents(owner, judgement=judgement))
    try:
        target = _Target(snapshot, judgement, settings, owner, templates, rolls_upgrades).build(stored)
    except Unrenderable as error:
        problem = stalled(error.reason, error.message, recheck_seconds=RECHECK_SECONDS)
        replicas = _scale_held(snapshot, judgement)
        held = _hold_target(owner, snapshot, judgement=judgement, templates=templates, replicas=replicas)
        target = Desired(manifests=held, problem=problem)
    return replace(target, manifests=[*stored, *target.manifests])


def _store_documents(owner: Owner, *, judgement: Judgement) -> Iterator[Manifest]:
    """What pods mount: kept whatever else goes wrong, since the resolved model must not be resolved anew."""
    if judgement.model.resolved is not None:
        model = judgement.model
        yield model_config_map(
            owner, resolved=judgement.model.resolved, request=model.request or "", followed=model.followed
        )
    computed = judgement.reference.computed if judgement.reference else None
    if computed is not None:
        yield goldens_config_map(owner, case_set=computed.goldens, reference=computed)
        yield holdout_config_map(owner, reference=computed)
    if judgement.cases and judgement.case_set and judgement.gate and judgement.gate.adopted:
        for part in split_case_set(judgement.case_set):
            yield goldens_config_map(owner, case_set=part, reference=judgement.cases.reference)


def read_templates(snapshot: Snapshot) -> Sequence[Template]:
    """Stored templates, newest last. One that cannot be read counts as absent."""
    found = []
    for item in snapshot.children.config_maps:
        if not is_template(item):
            continue
        metadata = item["metadata"]
        try:
            body = orjson.loads((item.get("data") or {}).get(TEMPLATE_FILE, ""))
        except orjson.JSONDecodeError:
            continue
        found.append(
            Template(
                name=metadata["name"],
                space=metadata["labels"].get(names.LABEL_SPACE, ""),
                inputs=(metadata.get("annotations") or {}).get(names.ANNOTATION_INPUTS, ""),
                body=body,
                created=metadata.get("creationTimestamp", ""),
            )
        )
    return sorted(found, key=lambda template: (template.created, template.name))


@dataclass(frozen=True)
class _Target:
    """Builds the generation that the spec asks for."""

    snapshot: Snapshot
    judgement: Judgement
    settings: RenderSettings
    owner: Owner
    templates: Sequence[Template]
    rolls_upgrades: bool

    def build(self, stored: Sequence[Manifest]) -> Desired:
        """`stored` are the documents that pods mount. Raises Unrenderable."""
        judgement, spec, job = self.judgement, self.snapshot.spec, self.judgement.model.job
        jobs: list[Manifest] = []
        if job is not None and spec and not (job.expired or job.kept):
            component = names.COMPONENT_CONVERT if job.converts else names.COMPONENT_INSPECT
            jobs.append(
                resolve_job(self.owner, request=job.request, spec=spec, settings=self.settings, component=component)
            )
        resolved, target = judgement.model.resolved, judgement.target
        if resolved is None or target is None or spec is None:
            return Desired(manifests=jobs)
        wish = judgement.reference.job if judgement.reference else None
        if wish is not None and not (wish.expired or wish.kept):
            asked = reference_job(
                self.owner,
                question=wish.question,
                resolved=resolved,
                model_config_map=_name_first(stored, component=names.COMPONENT_MODEL),
                spec=spec,
                settings=self.settings,
            )
            if asked["metadata"]["name"] != wish.refused:  # made of something else it may answer otherwise
                jobs.append(asked)
        if judgement.gate is None or not judgement.gate.adopted:
            replicas = judgement.traffic.target_replicas
            held = _hold_target(
                self.owner, self.snapshot, judgement=judgement, templates=self.templates, replicas=replicas
            )
            return Desired(manifests=[*jobs, *held])
        deployed = self._deploy(stored, spec=spec, resolved=resolved, target=target)
        return replace(deployed, manifests=[*jobs, *deployed.manifests])

    def _deploy(
        self, stored: Sequence[Manifest], *, spec: EmbeddingModelSpec, resolved: ResolvedModel, target: Generation
    ) -> Desired:
        inputs = self.judgement.inputs or ""
        known = {item["metadata"]["name"] for item in [*stored, *self.snapshot.children.config_maps]}
        rendering = Rendering(
            model=self.owner.name,
            resolved=resolved,
            model_config_map=_name_first(stored, component=names.COMPONENT_MODEL),
            goldens_config_maps=self._name_goldens(space=resolved.space),
            inputs=inputs,
        )
        template = _choose_template(self.templates, target=target, inputs=inputs, known=known, model=self.owner.name)
        if template is not None:
            # A commit written where its branch stood gives another document, not other bytes: no reason to differ.
            in_force = mounted_config_map(template.body["template"]["spec"], volume="model-config")
            rendering = replace(rendering, model_config_map=in_force or rendering.model_config_map)
        fresh = self._render(rendering, spec=spec, template=template)
        is_newer = template is not None and fresh != template.body
        takes_newer = self.rolls_upgrades or _is_broken(target)
        body = fresh if template is None or (is_newer and takes_newer) else template.body
        config_map = template_config_map(self.owner, body=body, space=target.space, inputs=inputs)
        name, replicas = config_map["metadata"]["name"], self.judgement.traffic.target_replicas
        wanted = deployment(
            self.owner,
            body=body,
            space=target.space,
            replicas=replicas,
            inputs=inputs,
            template=name,
            protects_pods=target.protects_pods(replicas=replicas, template=name),
            strategy=spec.rollout.strategy,
        )
        return Desired(manifests=[config_map, wanted], update_available=is_newer and not takes_newer)

    def _name_goldens(self, *, space: str) -> Sequence[str]:
        case_set = self.judgement.case_set
        return name_parts(case_set, model=self.owner.name, space=space) if case_set else ()

    def _render(
        self, rendering: Rendering, *, spec: EmbeddingModelSpec, template: Template | None
    ) -> Mapping[str, Any]:
        """A rendering of today. A profile or mirror that the chart lost does not matter to a template in force."""
        try:
            return deployment_body(rendering, spec=spec, settings=self.settings)
        except Unrenderable:
            if template is None:
                raise
            return template.body


def _name_first(stored: Sequence[Manifest], *, component: str) -> str:
    found = (item["metadata"] for item in stored if item["metadata"]["labels"][names.LABEL_COMPONENT] == component)
    return str(next(found)["name"])


def _is_broken(generation: Generation) -> bool:
    """Whether a generation never served and its pods cannot start: a newer image may cure it, and hurts nobody."""
    return not generation.has_served and any(find_trouble(pod.object) for pod in generation.pods)


def _choose_template(
    templates: Sequence[Template], *, target: Generation, inputs: str, known: set[str], model: str
) -> Template | None:
    """The stored template of these inputs: the one in force, else the newest whose ConfigMaps are all there."""
    keys = names.keys_configmap_name(model)
    usable = [
        template
        for template in templates
        if template.space == target.space
        and template.inputs == inputs
        and list_config_maps(template.body["template"]["spec"]) - {keys} <= known
    ]
    in_force = [template for template in usable if template.name == target.template]
    return next(reversed(in_force or usable), None)


def _hold_target(
    owner: Owner, snapshot: Snapshot, *, judgement: Judgement, templates: Sequence[Template], replicas: int
) -> Sequence[Manifest]:
    """The target as it is but for its pods' number: its template may not change now."""
    if judgement.target is None or judgement.collision is not None:
        return []
    return _restore(owner, snapshot, generation=judgement.target, templates=templates, replicas=replicas)


def _scale_held(snapshot: Snapshot, judgement: Judgement) -> int:
    """Pods of a target that cannot be rendered: as many as asked for where it serves, else those that it has."""
    target = judgement.target
    if target is None or snapshot.spec is None:
        return 0
    return snapshot.spec.replicas if target.space == judgement.traffic.selected else target.replicas


def _restore_others(
    owner: Owner, *, snapshot: Snapshot, judgement: Judgement, templates: Sequence[Template], is_stuck: bool
) -> Iterator[Manifest]:
    """`is_stuck`: what is asked for cannot be rendered: under Replace, what serves need not make way for it."""
    replicas_asked = snapshot.spec.replicas if snapshot.spec else 1
    selected = judgement.traffic.selected
    for space, replicas in judgement.traffic.replicas.items():
        if space not in judgement.traffic.expired:
            stays = is_stuck and judgement.traffic.leaves_gap and space == selected
            count = replicas_asked if stays else replicas
            generation = judgement.generations[space]
            yield from _restore(owner, snapshot, generation=generation, templates=templates, replicas=count)


def _keep_serving(
    owner: Owner, *, snapshot: Snapshot, judgement: Judgement, templates: Sequence[Template]
) -> Manifest | None:
    """As long as it has pods, or nothing has taken their place: neither what is to come, once the API server has taken
    its Deployment, nor a Job that computes what that needs."""
    traffic, target = judgement.traffic, judgement.target
    generation, wanted = (
        judgement.generations.get(traffic.serving or ""),
        snapshot.spec.replicas if snapshot.spec else 0,
    )
    if generation is None or wanted == 0 or traffic.replicas.get(generation.space) != 0:
        return None
    beside = judgement.pending.target if judgement.pending else None
    others = [item for item in judgement.generations.values() if item not in (generation, beside)]
    has_successor = any(item.replicas > 0 for item in others) or (target is not None and target.deployment is not None)
    if generation.replicas == 0 and (has_successor or _is_computing(snapshot, judgement=judgement)):
        return None
    restored = _restore(owner, snapshot, generation=generation, templates=templates, replicas=wanted)
    return next((item for item in restored if item["kind"] == "Deployment"), None)


def _is_computing(snapshot: Snapshot, *, judgement: Judgement) -> bool:
    """Whether a Job has the place of the target's pods: it computes or has answered, or its pod has found a node."""
    wish = judgement.reference.job if judgement.reference else None
    if wish is None:
        return False
    pods = [job.pod for job in find_jobs(snapshot, question=wish.question) if job.pod is not None]
    return wish.kept is not None or any(pod.object["spec"].get("nodeName") for pod in pods if not pod.has_ended)


def _restore(
    owner: Owner, snapshot: Snapshot, *, generation: Generation, templates: Sequence[Template], replicas: int
) -> Sequence[Manifest]:
    """A generation's Deployment, word for word from its template; with the template lost, from the live object."""
    live = generation.deployment
    matching = (item for item in reversed(templates) if item.space == generation.space)
    stored = next((item for item in matching if live is None or item.name == generation.template), None)
    if stored is not None:
        body, inputs = stored.body, stored.inputs
    elif live is not None:
        body = {key: value for key, value in live["spec"].items() if key != "replicas"} | {"strategy": SURGING}
        inputs = generation.inputs or ""
    else:
        return []
    config_map = template_config_map(owner, body=body, space=generation.space, inputs=inputs)
    name = config_map["metadata"]["name"]
    return [
        config_map,
        deployment(
            owner,
            body=body,
            space=generation.space,
            replicas=replicas,
            inputs=inputs,
            template=name,
            protects_pods=generation.protects_pods(replicas=replicas, template=name),
            strategy=snapshot.spec.rollout.strategy if snapshot.spec else generation.strategy,
        ),
    ]


def _direct_traffic(owner: Owner, *, snapshot: Snapshot, judgement: Judgement) -> Iterator[Manifest]:
    yield from (own_service(owner, space=space) for space in judgement.traffic.own_services)
    selected = judgement.traffic.selected
    if selected is None:
        return
    yield service(owner, space=selected)
    if snapshot.spec is not None and snapshot.spec.replicas >= MIN_REPLICAS:
        yield disruption_budget(owner, space=selected)


def _apply_order(manifest: Manifest) -> int:
    return ["ConfigMap", "Job", "Service", "Deployment", "PodDisruptionBudget"].index(manifest["kind"])
