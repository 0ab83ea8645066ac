"""`embedding-runtime resolve`: what a Job runs to resolve a model that the operator cannot resolve itself."""

import sys
from pathlib import Path
from typing import TypeVar

import click
from pydantic import ValidationError

from embedding_model.refusal import Unavailable
from embedding_model.resolved import Declared, Document, Origin
from embedding_runtime.commands.endpoint import access_flags, read_access
from embedding_runtime.commands.flags import ValueOf, flag, log_format_flag
from embedding_runtime.log import configure_logging
from embedding_runtime.resolving import ConversionPolicy, ResolveSettings, resolve_model
from embedding_runtime.settings import ANY_ADDRESS, LogFormat
from embedding_runtime.termination import report_failure

FOLDER = click.Path(path_type=Path)
D = TypeVar("D", bound=Document)


@click.command()
@flag("--origin", required=True, metavar="JSON", help="Where the model comes from; with a revision, that commit.")
@flag("--declared", default="{}", metavar="JSON", help="What the spec says the model is.")
@flag(
    "--conversion",
    type=ValueOf(ConversionPolicy),
    default=ConversionPolicy.NEVER,
    show_default=True,
    help="Isolated: pickles without safetensors are converted, by a process that can open nothing.",
)
@flag("--folder", type=FOLDER, help="Where the model's claim or image is mounted.")
@flag("--work", type=FOLDER, help="Folder for an image that is pulled, and for pickles while they are converted.")
@flag("--cache", type=FOLDER, help="Volume that pods share: what was converted goes to its embedding-operator-v1.")
@access_flags
@flag("--keys", type=click.Path(path_type=Path), help="Folder with the files that tokens are checked with.")
@flag("--host", default=ANY_ADDRESS, show_default=True, help="Address to listen on; :: takes IPv4 too.")
@flag("--private-port", default=8081, show_default=True, type=click.IntRange(min=0, max=65535))
@log_format_flag
def resolve(
    origin: str,
    declared: str,
    conversion: ConversionPolicy,
    folder: Path | None,
    work: Path | None,
    cache: Path | None,
    endpoint: str,
    redirect_hosts: tuple[str, ...],
    token_file: Path | None,
    pull_secrets: tuple[Path, ...],
    keys: Path | None,
    host: str,
    private_port: int,
    log_format: LogFormat,
) -> None:
    """Say what a model is and which bytes it is; serve the answer on the private port until told to stop.

    A refusal is an answer too. What may heal, such as a hub that is down, ends the process with status 1. Certificate
    authorities to trust are taken as PEM text from EMBEDDING_RUNTIME_CERTIFICATES, proxies from HTTPS_PROXY and
    NO_PROXY.
    """
    configure_logging(log_format)

    import uvloop

    from embedding_runtime.resolve_job import serve_result

    try:
        source = _parse(Origin, origin, flag_name="--origin")
        settings = ResolveSettings(
            origin=source,
            declared=_parse(Declared, declared, flag_name="--declared"),
            conversion=conversion,
            access=read_access(endpoint, redirect_hosts=redirect_hosts, token_file=token_file, kind=source.kind),
            folder=folder,
            work=work,
            cache=cache,
            pull_secrets=pull_secrets,
        )
        sys.exit(
            uvloop.run(
                serve_result(
                    lambda meter: resolve_model(settings, meter=meter), keys=keys, host=host, port=private_port
                )
            )
        )
    except Unavailable as error:
        sys.exit(report_failure(error))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot listen: {error.strerror or error}") from error


def _parse(document: type[D], text: str, *, flag_name: str) -> D:
    try:
        return document.from_json(text)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, part["loc"])) or "document" for part in error.errors()[:3])
        raise click.UsageError(f"{flag_name} is not the JSON document that it should be ({fields} is wrong)") from None
