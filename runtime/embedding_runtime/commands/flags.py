"""Flags that are environment variables too: --max-batch-tokens is EMBEDDING_RUNTIME_MAX_BATCH_TOKENS."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

PREFIX = "EMBEDDING_RUNTIME_"

F = TypeVar("F", bound=Callable[..., Any])


def flag(name: str, *declarations: str, **attributes: Any) -> Callable[[F], F]:
    """click.option with the environment variable of its name."""
    variable = PREFIX + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, *declarations, envvar=variable, show_envvar=True, **attributes)
