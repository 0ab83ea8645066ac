"""Pickles that run code when they are loaded without weights_only."""

import io
import textwrap
from pathlib import Path
from typing import Any

import torch


class Runs:
    """Its pickle executes `code` when it is loaded."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> Any:
        return exec, (self.code, {})


def write_hostile(path: Path, *, code: str) -> Path:
    torch.save({"bert.weight": torch.zeros(2), "more": Runs(code)}, path)
    return path


def attempts(expressions: dict[str, str]) -> str:
    """Code that evaluates each expression and leaves in `sys.attempts` what came of it; `call` makes a system call."""
    return textwrap.dedent(
        f"""
        import ctypes, mmap, os, socket, subprocess, sys, threading

        def call(number):
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.syscall(number, 0, 0, 0, 0, 0, 0) == -1:
                raise OSError(ctypes.get_errno(), "")

        sys.attempts = {{}}
        for what, expression in {expressions!r}.items():
            try:
                sys.attempts[what] = "done: " + repr(eval(expression))[:100]
            except BaseException as error:
                sys.attempts[what] = type(error).__name__
        """
    )


def saved(value: Any, *, is_zip: bool = True) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=is_zip)
    file.seek(0)
    return file
