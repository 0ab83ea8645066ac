"""How `fetch` and `resolve` reach a hub or a registry: by flags, and by variables of the environment."""

import os
from pathlib import Path

import click

from embedding_model.refusal import Unavailable
from embedding_model.resolved import SourceKind
from embedding_model.sources.access import HUB_REDIRECT_HOSTS, Access
from embedding_runtime.commands.flags import F, flag

HUB = "https://huggingface.co"
CERTIFICATES = "EMBEDDING_RUNTIME_CERTIFICATES"

_FILE = click.Path(dir_okay=False, path_type=Path)


def access_flags(command: F) -> F:
    """The flags of every command that asks a hub or a registry: endpoint, redirect_hosts, token_file, pull_secrets."""
    for add in reversed(_FLAGS):  # as a stack of decorators would: the first is shown first
        command = add(command)
    return command


_FLAGS = (
    flag("--endpoint", default=HUB, show_default=True, help="The hub, or the registry, to ask."),
    flag(
        "--redirect-host",
        "redirect_hosts",
        multiple=True,
        help="A host that the endpoint may redirect to; `*.` stands for any name below. Repeatable. "
        f"[default: {', '.join(HUB_REDIRECT_HOSTS)} for {HUB}, else none]",
    ),
    flag("--token-file", type=_FILE, help="File with the hub's token. [default: the variable HF_TOKEN]"),
    flag(
        "--pull-secret",
        "pull_secrets",
        type=_FILE,
        multiple=True,
        help="File of registry credentials (.dockerconfigjson). Repeatable; the first that knows the registry counts.",
    ),
)


def read_access(endpoint: str, *, redirect_hosts: tuple[str, ...], token_file: Path | None, kind: SourceKind) -> Access:
    """The access to the endpoint of a source of this kind. The token is a hub's, and no registry ever gets it.

    Only the public hub has redirect hosts that need not be named. Raises Unavailable as `read_token` does.
    """
    return Access(
        endpoint=endpoint,
        redirect_hosts=redirect_hosts or (HUB_REDIRECT_HOSTS if endpoint == HUB else ()),
        certificates=os.environ.get(CERTIFICATES) or None,
        token=read_token(token_file) if kind is SourceKind.HUGGING_FACE else None,
    )


def read_token(file: Path | None) -> str | None:
    """The token of a file, or of HF_TOKEN. Raises Unavailable when the file cannot be read, never with its content."""
    if file is None:
        return os.environ.get("HF_TOKEN") or None
    try:
        return file.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"the token file {file} cannot be read ({type(error).__name__}); it is mounted from a Secret's key"
        ) from None
