"""One test of the suite, run while a part of the product is wrong, in this process."""

import contextlib
import sys
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


class _Switched:
    """A plugin: the switch is on during the test itself, not while its fixtures are made."""

    def __init__(self, switch: AbstractContextManager[object]) -> None:
        self._switch = switch
        self.raised: BaseException | None = None
        self.ran = 0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        self.ran += 1
        try:
            with self._switch:
                return (yield)
        except BaseException as error:
            self.raised = error
            raise


def run_test(test: str, *, switch: AbstractContextManager[object]) -> BaseException | None:
    """What the test (its file from the root, "::", its name, its parameters) raised with the switch on; None: nothing.

    Raises LookupError where there is no such test, or where it failed before it began.
    """
    plugin = _Switched(switch)
    # Modules stay as they are: those of the tests were imported, and rewritten, before. Nothing is written down.
    options = "-o addopts=--import-mode=importlib --assert=plain --capture=no -p no:cacheprovider -p no:terminal"
    settings = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
    with _unchanged_hooks():
        code = pytest.main([str(ROOT / test), *options.split(), *settings], plugins=[plugin])
    if plugin.ran != 1 or code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise LookupError(f"{test} names {plugin.ran} tests that ran, expected one (pytest ended with {code!r})")
    return plugin.raised


@contextlib.contextmanager
def replaced(owner: Any, name: str, wrong: Any) -> Iterator[None]:
    """`owner.name`, an attribute or an item of a dict, is `wrong` meanwhile; so is every module's name for the same."""
    if isinstance(owner, dict):
        right = owner[name]
        owner[name] = wrong
        try:
            yield
        finally:
            owner[name] = right
        return
    right = owner.__dict__[name]
    with contextlib.ExitStack() as stack:
        holders = [owner]
        if callable(right) and not isinstance(owner, type):
            modules = [module for module in list(sys.modules.values()) if module is not None]
            holders += [module for module in modules if getattr(module, "__dict__", {}).get(name) is right]
        for holder in holders:
            stack.callback(setattr, holder, name, right)
            setattr(holder, name, wrong)
        yield


@contextlib.contextmanager
def _unchanged_hooks() -> Iterator[None]:
    """pytest enters an import hook of its own and takes it away with whatever was imported through it."""
    hooks = list(sys.meta_path)
    try:
        yield
    finally:
        sys.meta_path[:] = hooks
