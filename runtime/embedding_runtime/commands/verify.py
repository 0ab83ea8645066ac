"""`embedding-runtime verify`: are these the right files, and do they give the right answers?"""

import asyncio
import sys
from pathlib import Path

import click

from embedding_model.goldens.cases import SparseCase
from embedding_model.ports import CaseResult
from embedding_model.refusal import Refusal, Unavailable
from embedding_model.resolved import Declared, Pooling, Task
from embedding_model.sources.verification import verify as verify_files
from embedding_runtime.commands.endpoint import read_token
from embedding_runtime.commands.flags import ValueOf, flag
from embedding_runtime.cpu import limit_library_threads
from embedding_runtime.served_model import read_resolved
from embedding_runtime.settings import ServeSettings
from embedding_runtime.termination import FAILED, report_failure

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FILE_OR_FOLDER = click.Path(exists=True, path_type=Path)


@click.command()
@flag("--model", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder with the model's files.")
@flag("--resolved", type=FILE, help="Resolved model (JSON): every file of the folder is checked against its hashes.")
@flag("--task", type=ValueOf(Task), help="What the folder is for, where its files leave it open.")
@flag("--pooling", type=ValueOf(Pooling), help="How the vectors of the folder's model are pooled: overrules the files.")
@flag("--goldens", type=FILE_OR_FOLDER, help="Golden cases (JSON lines), of any kind; or a folder of such files.")
@click.option(
    "--url",
    help="Ask a running server, such as http://localhost:8080, instead of loading the folder. Sparse cases need "
    "--model beside it, whose tokenizer names the tokens.",
)
@click.option(
    "--name",
    help="The served name to ask for, with --url; it applies the prompt that a case names. [default: the first that "
    "the server has, and prompts by their names]",
)
@flag("--api-key-file", type=FILE, help="File with the key, or the token, that the server of --url asks for.")
def verify(
    model: Path | None,
    resolved: Path | None,
    task: Task | None,
    pooling: Pooling | None,
    goldens: Path | None,
    url: str | None,
    name: str | None,
    api_key_file: Path | None,
) -> None:
    """Check a folder's files by their hashes, and golden cases against the folder or against a server."""
    if not ((model and resolved) or (goldens and (model or url))):
        raise click.UsageError(
            "nothing to check: give --model and --resolved for the files, "
            "--goldens and --model or --url for the answers"
        )
    try:
        if model and resolved:
            manifest = read_resolved(resolved).manifest
            verify_files(manifest=manifest, folder=model)
            click.echo(f"{len(manifest.files)} files have the expected hashes")
        api_key = read_token(api_key_file) if api_key_file else None
        results = (
            _check_goldens(
                goldens,
                model=model,
                resolved=resolved,
                declared=Declared(task=task, pooling=pooling),
                url=url,
                name=name,
                api_key=api_key,
            )
            if goldens
            else ()
        )
    except (Refusal, Unavailable) as error:
        sys.exit(report_failure(error))
    for result in results:
        click.echo(f"{'passed' if result.passed else 'FAILED'}  {result.name}: {result.detail}")
    if not all(result.passed for result in results):
        sys.exit(FAILED)


def _check_goldens(
    goldens: Path,
    *,
    model: Path | None,
    resolved: Path | None,
    declared: Declared,
    url: str | None,
    name: str | None,
    api_key: str | None,
) -> tuple[CaseResult, ...]:
    limit_library_threads()

    from embedding_runtime.gate import read_case_set

    cases = read_case_set(goldens).cases
    if not cases:
        raise click.UsageError(
            f"--goldens: {goldens} holds no case, so nothing is checked: write one JSON object on each line"
        )
    if url is None:
        from embedding_runtime.golden_check import check_folder

        settings = ServeSettings(model=model, resolved=resolved, task=declared.task, pooling=declared.pooling)
        return asyncio.run(check_folder(settings, cases=cases))

    from embedding_runtime.folder_vocabulary import read_folder_vocabulary
    from embedding_runtime.server_check import check_server

    has_terms = any(isinstance(case, SparseCase) for case in cases)
    vocabulary = read_folder_vocabulary(model, resolved=resolved, declared=declared) if model and has_terms else None
    return asyncio.run(check_server(url, cases=cases, name=name, api_key=api_key, vocabulary=vocabulary))
