"""`embedding-runtime inspect`: what a folder is, for people."""

import sys
from pathlib import Path

import click

from embedding_model.inspection import inspect as inspect_source
from embedding_model.inspection.report import render_inspection
from embedding_model.refusal import Refusal, Unavailable
from embedding_model.sources.folder import FolderSource
from embedding_runtime.termination import report_failure


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def inspect(folder: Path, output: str) -> None:
    """Say what the model in FOLDER is, and which of its files says so."""
    try:
        inspection = inspect_source(FolderSource(folder))
    except (Refusal, Unavailable) as error:
        sys.exit(report_failure(error))
    click.echo(inspection.to_json().decode() if output == "json" else render_inspection(inspection))
