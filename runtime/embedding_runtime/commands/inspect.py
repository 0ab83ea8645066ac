"""`embedding-runtime inspect`: what a folder is; also the form that a Job runs."""

import logging
import sys
from pathlib import Path

import click

from embedding_model.inspection import inspect as inspect_source
from embedding_model.inspection.report import render_inspection
from embedding_model.refusal import Refusal, Unavailable
from embedding_model.sources.folder import FolderSource
from embedding_runtime.commands.flags import flag
from embedding_runtime.settings import ANY_ADDRESS
from embedding_runtime.termination import report_failure


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--report", is_flag=True, help="Also hash every file, and serve the result on the private port.")
@flag("--keys", type=click.Path(path_type=Path), help="Folder with issuer, jwks.json and subject: who may read it.")
@flag(
    "--host",
    default=ANY_ADDRESS,
    show_default=True,
    help="Address to listen on with --report; :: takes IPv4 too.",
)
@flag("--private-port", default=8081, show_default=True, type=click.IntRange(min=0, max=65535))
def inspect(folder: Path, output: str, report: bool, keys: Path | None, host: str, private_port: int) -> None:
    """Say what the model in FOLDER is, and which of its files says so."""
    if report:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        import uvloop

        from embedding_runtime.inspect_job import serve_report

        try:
            sys.exit(uvloop.run(serve_report(folder, keys=keys, host=host, port=private_port)))
        except OSError as error:
            raise click.ClickException(f"cannot listen: {error.strerror or error}") from error
    try:
        inspection = inspect_source(FolderSource(folder))
    except (Refusal, Unavailable) as error:
        sys.exit(report_failure(error))
    click.echo(inspection.to_json().decode() if output == "json" else render_inspection(inspection))
