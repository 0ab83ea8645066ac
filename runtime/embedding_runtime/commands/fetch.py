"""`embedding-runtime fetch`: what the init container runs."""

import logging
import os
import sys
from pathlib import Path

import click

from embedding_model.refusal import Refusal, Unavailable
from embedding_model.sources.download import fetch as download
from embedding_runtime.commands.flags import flag
from embedding_runtime.served_model import read_resolved
from embedding_runtime.termination import report_failure


@click.command()
@flag("--resolved", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Resolved model (JSON).")
@flag("--target", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to fill.")
@flag("--endpoint", default="https://huggingface.co", show_default=True, help="The hub to download from.")
@flag(
    "--connections",
    default=4,
    show_default=True,
    type=click.IntRange(min=1, max=32),
    help="Downloads at the same time.",
)
def fetch(resolved: Path, target: Path, endpoint: str, connections: int) -> None:
    """Download the files of a resolved model at its commit, each checked against its hash.

    Files that are there already and have the right hash are kept. A token for the hub is taken from HF_TOKEN.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # one line a request, with the whole URL
    try:
        model = read_resolved(resolved)
        download(
            resolved=model,
            endpoint=endpoint,
            target=target,
            token=os.environ.get("HF_TOKEN") or None,
            connections=connections,
        )
    except (Refusal, Unavailable) as error:
        sys.exit(report_failure(error))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    size = sum(file.size for file in model.manifest.files)
    click.echo(f"{len(model.manifest.files)} files, {size} bytes, verified in {target}")
