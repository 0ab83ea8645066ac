"""Flags that are environment variables too: --health-port is EMBEDDING_OPERATOR_HEALTH_PORT."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

PREFIX: Final = "EMBEDDING_OPERATOR"

_Command = TypeVar("_Command", bound=Callable[..., Any])


def flag(name: str, *, also: str | None = None, **attributes: Any) -> Callable[[_Command], _Command]:
    """A click option whose value may come from the environment; `also` is a second variable, asked when ours is unset.

    `name` is the long flag, such as `--health-port`.
    """
    variable = f"{PREFIX}_{name.removeprefix('--').replace('-', '_').upper()}"
    names = [variable, also] if also else [variable]
    return click.option(name, envvar=names, show_envvar=True, **attributes)
