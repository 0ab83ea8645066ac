"""`embedding-operator inspect`: what a model is, from its own files, with the evidence for every value."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedding_operator.cli.options import flag

if TYPE_CHECKING:
    from embedding_model.resolved import Inspection, Manifest, Origin


@click.command()
@click.argument("source")
@flag("--hub-endpoint", default="https://huggingface.co", show_default=True, help="Hub that repositories come from.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Form of the answer."
)
def inspect(source: str, hub_endpoint: str, output: str) -> None:
    """Say what the model in SOURCE is and which files are served.

    SOURCE is a folder (./models/bge-small), or a repository with an optional revision (ORG/NAME[@REVISION]).
    Only small files and the headers of the weights are read from a hub; a folder needs no network and is hashed whole.
    """
    from embedding_model.refusal import Refusal, Unavailable

    try:
        origin, manifest, inspection = _inspect(source, hub_endpoint=hub_endpoint)
    except Refusal as refusal:
        if output == "json":
            click.echo(refusal.document().model_dump_json(exclude_none=True))
        else:
            click.echo(f"{refusal.reason}: {refusal.message}", err=True)
        raise SystemExit(1) from None
    except Unavailable as error:
        raise click.ClickException(error.message) from error
    if output == "json":
        click.echo(_as_json(origin, manifest=manifest, inspection=inspection))
    else:
        click.echo(_as_text(origin, manifest=manifest, inspection=inspection))


def _inspect(source: str, *, hub_endpoint: str) -> "tuple[Origin, Manifest, Inspection]":
    from embedding_model.inspection import inspect as inspect_source
    from embedding_model.sources.access import Access
    from embedding_model.sources.folder import FolderSource
    from embedding_model.sources.hub import HubSource
    from embedding_model.sources.manifest import build_manifest
    from embedding_model.sources.selection import select

    folder = Path(source)
    # "org/name" may be both: a folder that is there wins, as it does for git and for transformers.
    if folder.is_dir() or source.startswith((".", "/", "~")):
        local = FolderSource(folder.expanduser())
        return local.origin, build_manifest(local, paths=select(local)), inspect_source(local)
    repo, _, revision = source.partition("@")
    try:
        with HubSource.resolve(access=Access(endpoint=hub_endpoint), repo=repo, revision=revision or "main") as remote:
            inspection = inspect_source(remote)
            return remote.origin, build_manifest(remote, paths=select(remote)), inspection
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _as_json(origin: "Origin", *, manifest: "Manifest", inspection: "Inspection") -> str:
    import orjson

    document = {
        "origin": origin.to_dict(),
        "manifest": {"digest": f"sha256:{manifest.digest()}", **manifest.to_dict()},
        "inspection": inspection.to_dict(),
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _as_text(origin: "Origin", *, manifest: "Manifest", inspection: "Inspection") -> str:
    weights = inspection.weights
    rows: list[tuple[str, Any]] = [
        ("source", origin.repo or origin.path),
        ("revision", origin.revision),
        ("task", inspection.task),
        ("architecture", inspection.architecture),
        ("pooling", inspection.pooling),
        ("normalize", "yes" if inspection.normalize else "no"),
        ("dimensions", inspection.dimensions),
        ("Matryoshka", ", ".join(map(str, inspection.matryoshka_dimensions))),
        ("maximum input", f"{inspection.max_input_tokens} tokens"),
        ("prompts", ", ".join(f"{prompt.name}={prompt.text!r}" for prompt in inspection.prompts)),
        ("default prompt", inspection.default_prompt),
        ("weights", f"{weights.bytes:,} bytes in {weights.files} {weights.format} file(s)"),
        ("parameters", f"{weights.parameters:,}"),
        ("manifest", f"sha256:{manifest.digest()} ({len(manifest.files)} files)"),
    ]
    lines = [f"{name:<16}{value}" for name, value in rows if value not in (None, "")]
    lines += ["", "evidence"]
    for item in inspection.evidence:
        place = f"{item.file}: {item.key}" if item.key else item.file
        note = f" ({item.note})" if item.note else ""
        lost = f"; overruled: {', '.join(item.overruled)}" if item.overruled else ""
        lines.append(f"  {item.field} = {item.value}  from {place}{note}{lost}")
    return "\n".join(lines)
