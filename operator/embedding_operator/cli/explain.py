"""`embedding-operator explain`: what would be created for a manifest, without a cluster.

The real reconciler runs over a Gateway in memory, so that what is shown is what would be applied.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from embedding_operator.cli.options import flag

if TYPE_CHECKING:
    from embedding_model.ports import JobReport
    from embedding_model.resolved import Declared, Inspection, Manifest, Origin
    from embedding_operator.kube.memory import MemoryGateway
    from embedding_operator.observe.facts import MemoryFacts, Resolution, ResolutionRequest
    from embedding_operator.settings import Settings

# Reconciles: to learn what is to be resolved, to make the Job of golden cases, to read its answer, to create what needs
# it, and to see what that leads to.
ROUNDS: Final = 5
# What the API server and the garbage collector add; no part of what is asked for.
SERVER_FIELDS: Final = ("uid", "resourceVersion", "generation", "creationTimestamp", "ownerReferences")


@click.command()
@click.option(
    "-f",
    "--filename",
    required=True,
    type=click.File("r", encoding="utf-8"),
    help="Manifest of an EmbeddingModel, and of ConfigMaps that it names; - is standard input.",
)
@flag(
    "--settings",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The operator's settings.yaml. Default: one profile, cpu, with this version's image.",
)
@flag("--hub-endpoint", default=None, help="Hub that repositories come from. Default: the settings' one.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Take the model's files from this folder instead of the hub: nothing is asked of the network.",
)
def explain(filename: Any, settings: Path | None, hub_endpoint: str | None, folder: Path | None) -> None:
    """Print the objects that the operator would create for a manifest, as YAML.

    The conditions that the model would show are printed on standard error. The rules of the CRD's schema are the API
    server's to check: `kubectl apply --dry-run=server` does. Of what a Job resolves (a volume, an image, a private
    hub), only the Job can be shown, unless --folder has the files.
    """
    import asyncio

    import yaml

    from embedding_operator.settings import SettingsError, default_settings, load_settings

    try:
        loaded = load_settings(settings) if settings is not None else default_settings()
        documents = [item for item in yaml.safe_load_all(filename) if item]
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    except yaml.YAMLError as error:
        raise click.UsageError(f"{filename.name} is not valid YAML: {error}") from error
    loaded = loaded.with_hub(hub_endpoint)
    outcome = asyncio.run(_explain(_read(documents), settings=loaded, folder=folder))
    if folder is not None:
        click.echo("the commit shown is made up from the content of the folder", err=True)
    if outcome.is_computed:
        words = "golden cases that the Job computes are not shown; the name of their ConfigMap is made up"
        click.echo(words, err=True)
    for row in outcome.conditions:
        click.echo(f"{row['type']}={row['status']} {row['reason']}: {row.get('message', '')}", err=True)
    yaml.safe_dump_all(outcome.manifests, sys.stdout, sort_keys=False, width=120)
    raise SystemExit(1 if any(row["type"] == "Stalled" for row in outcome.conditions) else 0)


@dataclass(frozen=True)
class _Outcome:
    """`is_computed`: a Job would compute golden cases, which are not shown."""

    manifests: Sequence[Mapping[str, Any]]
    conditions: Sequence[Mapping[str, Any]]
    is_computed: bool = False


@dataclass(frozen=True)
class _Input:
    model: Mapping[str, Any]
    others: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


def _read(documents: Sequence[Any]) -> _Input:
    """The one EmbeddingModel and the ConfigMaps beside it, all in one namespace."""
    from embedding_operator.api.names import API_VERSION, KIND

    found: dict[str, list[Any]] = {KIND: [], "ConfigMap": []}
    for item in documents:
        kind = item.get("kind") if isinstance(item, dict) else None
        if kind not in found or not isinstance(item.get("metadata"), dict) or not item["metadata"].get("name"):
            raise click.UsageError(f"expected an {KIND} and ConfigMaps, each with a name; found {kind or 'no object'}")
        item["metadata"].setdefault("namespace", "default")
        found[kind].append(item)
    if len(found[KIND]) != 1:
        raise click.UsageError(f"expected one {KIND}, found {len(found[KIND])}")
    model = found[KIND][0]
    if model.get("apiVersion") != API_VERSION:
        raise click.UsageError(f"expected apiVersion {API_VERSION}, found {model.get('apiVersion')}")
    return _Input(model=model, others=found["ConfigMap"])


async def _explain(given: _Input, *, settings: "Settings", folder: Path | None) -> _Outcome:
    from embedding_operator.api.names import ANNOTATION_REFERENCE
    from embedding_operator.kube.gateway import EMBEDDING_MODEL
    from embedding_operator.kube.memory import MemoryGateway
    from embedding_operator.observe.facts import Key, MemoryFacts
    from embedding_operator.reconcile.reconcile import reconcile

    gateway, facts = MemoryGateway(), MemoryFacts()
    for item in (given.model, *given.others, *_assumed(given.model)):
        gateway.put({key: value for key, value in item.items() if key != "status"})
    metadata = given.model["metadata"]
    key = Key(namespace=metadata["namespace"], name=metadata["name"])
    jobs: dict[str, Mapping[str, Any]] = {}
    for _ in range(ROUNDS):
        await reconcile(key, gateway=gateway, facts=facts, settings=settings, clock=lambda: datetime.now(UTC))
        for request in facts.resolutions_requested:
            facts.resolutions.setdefault(request.question, _resolve(request, settings=settings, folder=folder))
        facts.resolutions_requested.clear()
        for job in _children(gateway, key.name, kinds=("Job",)):
            jobs.setdefault(job["metadata"]["name"], job)
        _answer_jobs(gateway, facts=facts, folder=folder)
    live = gateway.peek(EMBEDDING_MODEL, namespace=key.namespace, name=key.name) or {}
    others = _children(gateway, key.name, kinds=("ConfigMap", "Service", "Deployment", "PodDisruptionBudget"))
    shown = [item for item in others if ANNOTATION_REFERENCE not in item["metadata"].get("annotations", {})]
    return _Outcome(
        manifests=[*jobs.values(), *shown],
        conditions=live.get("status", {}).get("conditions", ()),
        is_computed=len(shown) < len(others),
    )


def _answer_jobs(gateway: "MemoryGateway", *, facts: "MemoryFacts", folder: Path | None) -> None:
    """Answer each Job that can be answered here, as a pod of it that serves the answer."""
    from embedding_operator.kube.gateway import JOB, POD

    for job in gateway.peek_all(JOB):
        metadata, template = job["metadata"], job["spec"]["template"]
        name = f"{metadata['name']}-0"
        if gateway.peek(POD, namespace=metadata["namespace"], name=name):
            continue
        report = _answer(job, folder=folder)
        if report is None:
            continue
        owner = {"kind": "Job", "name": metadata["name"], "uid": metadata["uid"], "controller": True}
        pod = gateway.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "namespace": metadata["namespace"],
                    "name": name,
                    "labels": template["metadata"]["labels"],
                    "ownerReferences": [owner],
                },
                "status": {"phase": "Running"},
            }
        )
        facts.job_reports[pod["metadata"]["uid"]] = report


def _answer(job: Mapping[str, Any], *, folder: Path | None) -> "JobReport | None":
    """What a Job would find: of a source, what the folder has; of a reference, one case that stands for all of them."""
    from embedding_model.goldens.cases import SimilarityCase
    from embedding_model.ports import JobReport, JobState, ReferenceSet
    from embedding_model.refusal import Refusal
    from embedding_model.resolved import Declared, InspectionResult, Origin
    from embedding_operator.api.names import COMPONENT_REFERENCE, LABEL_COMPONENT, LABEL_SPACE

    labels = job["metadata"]["labels"]
    if labels[LABEL_COMPONENT] == COMPONENT_REFERENCE:
        one = SimilarityCase(name="reference.computed", a="", b="", expected="1", tolerance="0.1")
        other = one.model_copy(update={"name": "holdout.computed"})
        found = ReferenceSet(space=labels[LABEL_SPACE], implementation="explain", goldens=(one,), holdout=(other,))
        return JobReport(state=JobState.DONE, reference=found)
    if folder is None:
        return None
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    origin, declared = (arguments[arguments.index(option) + 1] for option in ("--origin", "--declared"))
    try:
        asked = Origin.from_json(origin)
        manifest, inspection = _read_folder(folder, origin=asked, declared=Declared.from_json(declared))
        result = InspectionResult(origin=asked, manifest=manifest, inspection=inspection)
        return JobReport(state=JobState.DONE, result=result)
    except Refusal as refusal:
        return JobReport(state=JobState.REFUSED, refusal=refusal.document())


def _assumed(model: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The volumes that the manifest names: whether they exist is for the cluster to say."""
    spec = model.get("spec") or {}
    owners = (spec.get("model") or {}, spec.get("cache") or {})
    claims = {(item.get("persistentVolumeClaim") or {}).get("claimName") for item in owners}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": model["metadata"]["namespace"]},
        }
        for claim in claims
        if isinstance(claim, str)
    ]


def _resolve(request: "ResolutionRequest", *, settings: "Settings", folder: Path | None) -> "Resolution":
    from embedding_model.refusal import Refusal, Unavailable
    from embedding_operator.observe.facts import Refused, Resolved
    from embedding_operator.resolve.hub import resolve_from_hub

    try:
        if folder is None:
            return resolve_from_hub(request, settings=settings)
        # No commit is known for a folder; its content stands in for one, so that other files give another object.
        manifest, inspection = _read_folder(folder, origin=request.origin, declared=request.declared)
        origin = request.origin.model_copy(update={"revision": manifest.digest()[:40]})
        return Resolved(origin=origin, manifest=manifest, inspection=inspection)
    except Refusal as refusal:
        return Refused(refusal.document())
    except Unavailable as error:
        raise click.ClickException(f"{error.message}; --folder explains without a hub") from error


def _read_folder(folder: Path, *, origin: "Origin", declared: "Declared") -> "tuple[Manifest, Inspection]":
    """The folder as the files of `origin`: some prompts are known by a repository's name only."""
    from embedding_model.inspection import inspect
    from embedding_model.sources.folder import FolderSource
    from embedding_model.sources.manifest import build_manifest
    from embedding_model.sources.selection import select

    source = FolderSource(folder, origin=origin)
    inspection = inspect(source, declared=declared)
    return build_manifest(source, paths=select(source)), inspection


def _children(gateway: "MemoryGateway", model: str, *, kinds: Sequence[str]) -> list[dict[str, Any]]:
    from embedding_operator.api.names import LABEL_MODEL
    from embedding_operator.reconcile.apply import KINDS

    found = [item for kind in kinds for item in gateway.peek_all(KINDS[kind], labels={LABEL_MODEL: model})]
    for item in found:
        item["metadata"] = {key: value for key, value in item["metadata"].items() if key not in SERVER_FIELDS}
    return found
