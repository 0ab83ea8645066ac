"""`embedding-runtime fetch`: what the init container runs."""

import sys
from pathlib import Path

import click

from embedding_model.cache.layout import CacheVerify
from embedding_model.refusal import Refusal, Unavailable
from embedding_model.sources.download import CONNECTIONS
from embedding_runtime.commands.endpoint import access_flags, read_access
from embedding_runtime.commands.flags import ValueOf, flag, log_format_flag
from embedding_runtime.fetching import FetchSettings, fetch_model
from embedding_runtime.log import configure_logging, write_result
from embedding_runtime.served_model import read_resolved
from embedding_runtime.settings import ANY_ADDRESS, LogFormat
from embedding_runtime.termination import report_failure

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@flag("--resolved", required=True, type=FILE, help="Resolved model (JSON).")
@flag("--target", type=FOLDER, help="Folder to fill.")
@flag("--cache", type=FOLDER, help="Volume that pods share: the files go to its folder embedding-operator-v1.")
@flag(
    "--cache-verify",
    type=ValueOf(CacheVerify),
    default=CacheVerify.FULL,
    show_default=True,
    help="What is checked of files that are in the cache already: Full is their sha256, Quick their size.",
)
@flag("--folder", type=FOLDER, help="Where a model from a claim, or an image, is mounted.")
@flag("--work", type=FOLDER, help="Folder for pickles until they are converted.")
@access_flags
@flag(
    "--connections",
    default=CONNECTIONS,
    show_default=True,
    type=click.IntRange(min=1, max=32),
    help="Downloads at the same time.",
)
@flag("--keys", type=click.Path(path_type=Path), help="Folder of keys: with it progress is shown on the private port.")
@flag("--host", default=ANY_ADDRESS, show_default=True, help="Address to listen on with --keys; :: takes IPv4 too.")
@flag("--private-port", default=8081, show_default=True, type=click.IntRange(min=0, max=65535))
@log_format_flag
def fetch(
    resolved: Path,
    target: Path | None,
    cache: Path | None,
    cache_verify: CacheVerify,
    folder: Path | None,
    work: Path | None,
    endpoint: str,
    redirect_hosts: tuple[str, ...],
    token_file: Path | None,
    pull_secrets: tuple[Path, ...],
    connections: int,
    keys: Path | None,
    host: str,
    private_port: int,
    log_format: LogFormat,
) -> None:
    """Fetch the files of a resolved model, each checked against its hash, into a folder or a shared cache.

    Files that are there already and are right are kept; when all are, nobody is asked. A broken download goes on where
    it stopped. Certificate authorities to trust are taken as PEM text from EMBEDDING_RUNTIME_CERTIFICATES, proxies from
    HTTPS_PROXY and NO_PROXY.
    """
    if (target is None) == (cache is None):
        raise click.UsageError("give either --target or --cache")
    configure_logging(log_format)

    import uvloop

    from embedding_runtime.fetch_process import run_fetch

    try:
        model = read_resolved(resolved)
        settings = FetchSettings(
            access=read_access(endpoint, redirect_hosts=redirect_hosts, token_file=token_file, kind=model.origin.kind),
            target=target,
            cache=cache,
            cache_verify=cache_verify,
            folder=folder,
            work=work,
            pull_secrets=pull_secrets,
            connections=connections,
        )
        status = uvloop.run(
            run_fetch(
                lambda meter: fetch_model(model, settings=settings, meter=meter),
                keys=keys,
                host=host,
                port=private_port,
            )
        )
    except (Refusal, Unavailable) as error:
        sys.exit(report_failure(error))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if status == 0:
        size = sum(file.size for file in model.manifest.files)
        write_result(f"{len(model.manifest.files)} files, {size} bytes, verified in {target or cache}")
    sys.exit(status)
