"""Debian packages: everything that is missing is named at once."""

import os
from pathlib import Path

import pytest

from localcluster import layout
from localcluster.debian import install_missing, missing_packages
from localcluster.errors import ClusterError

PROGRAMS = {"sh": "dash", "no-such-program": "package-b", "no-such-other": "package-a", "/no/such/file": "package-c"}


def test_present_programs_need_no_package(tmp_path: Path) -> None:
    program = tmp_path / "plugin"
    program.touch()
    assert missing_packages({"sh": "dash", str(program): "plugins"}) == []


def test_every_missing_package_is_named_once() -> None:
    assert missing_packages({**PROGRAMS, "no-such-third": "package-a"}) == ["package-a", "package-b", "package-c"]


def test_a_user_who_may_not_install_is_told_all_of_it_in_one_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(layout, "CACHE", tmp_path)
    with pytest.raises(ClusterError, match="apt-get install --no-install-recommends package-a package-b package-c"):
        install_missing(PROGRAMS)
