"""How `fetch` and `resolve` reach a hub or a registry: by flags, and by variables of the environment."""

import os
from pathlib import Path

from embedding_model.refusal import Unavailable
from embedding_model.resolved import SourceKind
from embedding_model.sources.access import HUB_REDIRECT_HOSTS, Access

HUB = "https://huggingface.co"
CERTIFICATES = "EMBEDDING_RUNTIME_CERTIFICATES"


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
