"""`embedding-operator inspect`: what a model is, from its own files, with the evidence for every value."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedding_operator.cli.options import flag

if TYPE_CHECKING:
    from embedding_model.refusal import Refusal
    from embedding_model.resolved import Declared, Inspection, Manifest, Origin
    from embedding_model.sources.source import Source

_REFUSED = 3  # exit status; 1 is for what may work the next time, 2 for a command line that is wrong
_TASKS = ("Auto", "Embedding", "Reranking", "Classification", "Sparse")
_POOLINGS = ("Cls", "Mean", "Max", "MeanSqrtLength", "WeightedMean", "LastToken")


@click.command()
@click.argument("source")
@click.option("--task", type=click.Choice(_TASKS), default="Auto", show_default=True, help="As in spec.task.")
@click.option(
    "--pooling",
    type=click.Choice(_POOLINGS),
    help="As in spec.embedding.pooling: overrules the files.",
)
@click.option(
    "--hash", "hashes", is_flag=True, help="List the files with their sha256 as well (a folder is read whole)."
)
@flag("--hub-endpoint", default="https://huggingface.co", show_default=True, help="Hub that repositories come from.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Form of the answer."
)
def inspect(source: str, task: str, pooling: str | None, hashes: bool, hub_endpoint: str, output: str) -> None:
    """Say what the model in SOURCE is, and which of its files says so. Nothing is written.

    SOURCE is a folder (./models/bge-small), or a repository with an optional revision (ORG/NAME[@REVISION]). Only
    small files and the headers of the weights are read; of a gated repository with the token in HF_TOKEN. Exit status:
    0 understood, 3 refused, 1 not reachable.
    """
    from embedding_model.refusal import Refusal, Unavailable
    from embedding_model.resolved import Declared
    from embedding_model.serving import overrule_pooling

    declared = Declared.model_validate({"task": None if task == "Auto" else task, "pooling": pooling})
    try:
        origin, inspection, manifest = _look(source, declared=declared, hub_endpoint=hub_endpoint, hashes=hashes)
        if declared.pooling is not None:
            inspection = overrule_pooling(inspection, pooling=declared.pooling)
    except Refusal as refusal:
        _print_refusal(refusal, output=output)
        raise SystemExit(_REFUSED) from None
    except Unavailable as error:
        raise click.ClickException(error.message) from error
    printed = _as_json if output == "json" else _as_text
    click.echo(printed(origin, inspection=inspection, manifest=manifest))


def _look(
    source: str, *, declared: "Declared", hub_endpoint: str, hashes: bool
) -> "tuple[Origin, Inspection, Manifest | None]":
    from embedding_model.sources.folder import FolderSource

    folder = Path(source)
    # "org/name" may be both: a folder that is there wins, as it does for git and for transformers.
    if folder.is_dir() or source.startswith((".", "/", "~")):
        return _read(FolderSource(folder.expanduser()), declared=declared, hashes=hashes)
    from embedding_model.refusal import Unavailable
    from embedding_model.sources.access import Access
    from embedding_model.sources.hub import HubSource

    repo, _, revision = source.partition("@")
    access = Access(endpoint=hub_endpoint, token=os.environ.get("HF_TOKEN") or None)
    try:
        with HubSource.resolve(access=access, repo=repo, revision=revision or "main") as remote:
            return _read(remote, declared=declared, hashes=hashes)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except Unavailable as error:
        raise Unavailable(f"{error.message} (it was asked because {source} is no folder here)") from error


def _read(source: "Source", *, declared: "Declared", hashes: bool) -> "tuple[Origin, Inspection, Manifest | None]":
    from embedding_model.inspection import inspect as inspect_source
    from embedding_model.sources.manifest import build_manifest
    from embedding_model.sources.selection import select

    inspection = inspect_source(source, declared=declared)
    return source.origin, inspection, build_manifest(source, paths=select(source)) if hashes else None


def _as_json(origin: "Origin", *, inspection: "Inspection", manifest: "Manifest | None") -> str:
    """The object of status.model, as far as files alone say it; `files` only with --hash."""
    import orjson

    document = inspection.to_dict()
    model: dict[str, Any] = {
        "source": origin.repo or origin.path,
        "requested": origin.requested,
        "revision": origin.revision,
        "shortRevision": None if origin.revision is None else origin.revision[:12],
        **document,
        "prompts": document.get("prompts", []),
        "labels": document.get("labels", []),
        "served": _explain_unserved(inspection) is None,
        "note": _explain_unserved(inspection),
    }
    if manifest is not None:
        model["manifest"] = f"sha256:{manifest.digest()}"
        model["files"] = [file.to_dict() for file in manifest.files]
    present = {key: value for key, value in model.items() if value is not None}
    return orjson.dumps(present, option=orjson.OPT_INDENT_2).decode()


def _as_text(origin: "Origin", *, inspection: "Inspection", manifest: "Manifest | None") -> str:
    from embedding_model.inspection.quoting import escape
    from embedding_model.inspection.report import render_inspection

    lines = [f"Source        {escape(origin.repo or origin.path or '')}"]
    if origin.revision is not None:
        lines.append(f"Revision      {origin.revision} ({escape(origin.requested or '')})")
    lines.append(render_inspection(inspection))
    if manifest is not None:
        lines += [f"Files         sha256:{manifest.digest()}"]
        lines += [f"  {file.sha256}  {file.size:>12}  {escape(file.path)}" for file in manifest.files]
    note = _explain_unserved(inspection)
    if note is not None:
        lines.append(f"Note: {note}")
    return "\n".join(lines)


def _explain_unserved(inspection: "Inspection") -> str | None:
    """Why this version does not serve what was understood; None where it does."""
    from embedding_model.refusal import Refusal
    from embedding_model.served import require_served

    try:
        require_served(inspection)
    except Refusal as refusal:
        return refusal.message
    return None


def _print_refusal(refusal: "Refusal", *, output: str) -> None:
    if output == "json":
        import orjson

        click.echo(orjson.dumps({"refusal": refusal.document().model_dump(mode="json")}).decode())
        return
    settles = "" if refusal.field is None else f" (spec.{refusal.field} settles it)"
    click.echo(f"{refusal.reason}: {refusal.message}{settles}", err=True)
