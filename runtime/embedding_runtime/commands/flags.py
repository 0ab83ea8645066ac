"""Flags that are environment variables too: --max-batch-tokens is EMBEDDING_RUNTIME_MAX_BATCH_TOKENS."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

import click

from embedding_runtime.settings import LogFormat

PREFIX = "EMBEDDING_RUNTIME_"

F = TypeVar("F", bound=Callable[..., Any])


def flag(name: str, *declarations: str, **attributes: Any) -> Callable[[F], F]:
    """click.option with the environment variable of its name."""
    variable = PREFIX + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, *declarations, envvar=variable, show_envvar=True, **attributes)


class ValueOf(click.Choice[Any]):
    """A choice among an enum's values, in any case: click.Choice of an enum asks for its members' names."""

    def __init__(self, choices: type[StrEnum]) -> None:
        super().__init__([member.value for member in choices], case_sensitive=False)
        self.enum = choices

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self.enum(super().convert(value, param, ctx))


def log_format_flag(command: F) -> F:
    """The flag of every command that runs in a pod."""
    add = flag(
        "--log-format",
        type=ValueOf(LogFormat),
        default=LogFormat.TEXT,
        show_default=True,
        help="text, or json: an object a line.",
    )
    return add(command)
