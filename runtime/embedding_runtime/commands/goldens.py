"""`embedding-runtime goldens`: golden cases by the reference implementation, for people and as a Job."""

import re
import sys
from decimal import Decimal
from pathlib import Path

import click

from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.parse import DEFAULT_MIN_COSINE_SIMILARITY
from embedding_model.goldens.written import DECIMAL_PATTERN
from embedding_model.ports import ReferenceSet
from embedding_model.refusal import Refusal, Unavailable
from embedding_model.resolved import ResolvedModel
from embedding_runtime.commands.flags import ValueOf, flag, log_format_flag
from embedding_runtime.log import configure_logging
from embedding_runtime.reference.compute import ReferenceSettings, compute_reference
from embedding_runtime.reference.environment import prepare_environment
from embedding_runtime.served_model import read_resolved, resolve_folder
from embedding_runtime.settings import ANY_ADDRESS, Device, LogFormat
from embedding_runtime.termination import report_failure

FOLDER = click.Path(path_type=Path)  # a missing one is refused, with a typed reason
FILE = click.Path(dir_okay=False, path_type=Path)


def _read_threshold(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not re.fullmatch(DECIMAL_PATTERN, value) or not 0 < Decimal(value) <= 1:
        raise click.BadParameter("expected a decimal number above 0 and up to 1, such as 0.999")
    return value


@click.command()
@flag("--resolved", type=FILE, help="Resolved model (JSON): every file is checked against its hashes.")
@flag("--model", type=FOLDER, help="Folder with the model's files. Either this or --cache.")
@flag("--cache", type=FOLDER, help="Volume that pods share, with the files by their sha256. Needs --resolved.")
@flag(
    "--device",
    type=ValueOf(Device),
    default=Device.AUTO,
    show_default=True,
    help="auto: a GPU where there is one. Computed in float32 on either.",
)
@flag(
    "--min-cosine-similarity",
    default=DEFAULT_MIN_COSINE_SIMILARITY,
    show_default=True,
    metavar="DECIMAL",
    callback=_read_threshold,
    help="Threshold of vector cases. Quantised weights lower it to what they can keep.",
)
@click.option("--output", type=FILE, help="File for the cases (JSON lines), as verify takes them. [default: stdout]")
@flag("--keys", type=click.Path(path_type=Path), help="Folder of keys: with it the set is served on the private port.")
@flag("--host", default=ANY_ADDRESS, show_default=True, help="Address to listen on with --keys; :: takes IPv4 too.")
@flag("--private-port", default=8081, show_default=True, type=click.IntRange(min=0, max=65535))
@log_format_flag
def goldens(
    resolved: Path | None,
    model: Path | None,
    cache: Path | None,
    device: Device,
    min_cosine_similarity: str,
    output: Path | None,
    keys: Path | None,
    host: str,
    private_port: int,
    log_format: LogFormat,
) -> None:
    """Compute golden cases with sentence-transformers and transformers, from the files that are served.

    Needs the distribution's extra `reference`. Without --resolved a folder is inspected, and its cases are for a model
    that is served as found. With --keys the process is a Job: it serves the set until it is told to stop, and ends with
    exit status 3 where the model is refused.
    """
    if (model is None) == (cache is None) or (cache and not resolved):
        raise click.UsageError("give either --model, or --cache and --resolved")
    configure_logging(log_format)
    prepare_environment()
    try:
        settings = ReferenceSettings(
            resolved=_read_model(resolved, folder=model),
            model=model,
            cache=cache,
            device=device,
            min_cosine_similarity=min_cosine_similarity,
        )
        if keys is not None:
            sys.exit(_serve(settings, keys=keys, host=host, port=private_port))
        found = compute_reference(settings)
    except (Refusal, Unavailable) as error:
        sys.exit(report_failure(error))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _write(found, output=output)


def _read_model(resolved: Path | None, *, folder: Path | None) -> ResolvedModel:
    if resolved is not None:
        return read_resolved(resolved)
    assert folder is not None
    return resolve_folder(folder)


def _serve(settings: ReferenceSettings, *, keys: Path, host: str, port: int) -> int:
    import uvloop

    from embedding_runtime.resolve_job import serve_result

    try:
        status: int = uvloop.run(
            serve_result(lambda meter: compute_reference(settings), keys=keys, host=host, port=port, ends_refused=True)
        )
        return status
    except OSError as error:
        raise click.ClickException(f"cannot listen: {error.strerror or error}") from error


def _write(found: ReferenceSet, *, output: Path | None) -> None:
    """Both halves, one case a line."""
    lines = CaseSet(cases=(*found.goldens, *found.holdout)).to_jsonl()
    if output is None:
        sys.stdout.buffer.write(lines)
        return
    try:
        output.write_bytes(lines)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error
    count = len(found.goldens) + len(found.holdout)
    click.echo(f"{count} cases of the space {found.space} by {found.implementation} in {output}", err=True)
