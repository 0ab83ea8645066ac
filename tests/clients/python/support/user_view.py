"""What the user of a client sees, and which clients a check is about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Seen:
    """An exception of this type (or one below it), whose text matches."""

    error: type[BaseException]
    pattern: str


def give_clients(metafunc: pytest.Metafunc, *, choices: Mapping[str, Callable[[Any], bool]]) -> None:
    """Run a check for each of its module's CLIENTS that the name of its argument chooses."""
    for argument in set(choices) & set(metafunc.fixturenames):
        chosen = [client for client in metafunc.module.CLIENTS if choices[argument](client)]
        assert chosen, f"{metafunc.function.__name__} is about none of the clients: do not import it"
        metafunc.parametrize(argument, chosen, ids=[client.name for client in chosen])
