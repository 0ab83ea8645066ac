"""`embedding-runtime convert`: a pickle becomes a safetensors file, for people."""

import sys
from pathlib import Path

import click

from embedding_model.refusal import Refusal, Unavailable
from embedding_runtime.conversion.isolated import convert as convert_file
from embedding_runtime.conversion.isolated import describe
from embedding_runtime.termination import report_failure


@click.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
def convert(source: Path, target: Path) -> None:
    """Write the tensors of the pickle SOURCE (pytorch_model.bin) to the new file TARGET (model.safetensors).

    The pickle is read by a process that can open neither file nor socket, and loads nothing but tensors. The same
    pickle gives the same bytes on every machine.
    """
    if target.exists():
        raise click.UsageError(f"{target} is there already; name a new file")
    try:
        converted = convert_file(source, target=target, name=source.name)
    except (Refusal, Unavailable) as error:
        sys.exit(report_failure(error))
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror}") from error
    click.echo(f"{source.name}: {describe(converted.report)}", err=True)
    for path, digest in ((source, converted.source), (target, converted.target)):
        click.echo(f"{digest.sha256}  {path}")
