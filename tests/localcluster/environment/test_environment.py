"""`hack/find-uv` and `hack/environment` on a machine that has next to nothing."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

# A Python whose pip is there once Debian's package is; it notes each call and installs a uv into --target.
PYTHON = """#!/bin/sh
[ "$1" = -c ] && exit 0
[ -e "$HOME/has-pip" ] || exit 1
[ "$3" = --version ] && exit 0
echo pip "$@" >>"$CALLS"
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/bin"
cp /bin/true "$2/bin/uv"
"""

APT = """#!/bin/sh
echo apt-get "$@" >>"$CALLS"
case "$*" in *python3-pip*) touch "$HOME/has-pip";; esac
"""


@dataclass(frozen=True)
class Checkout:
    """A copy of the script and its requirements, on a machine without uv."""

    folder: Path

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": str(self.folder / "programs"),
            "HOME": str(self.folder),
            "CALLS": str(self.folder / "calls"),
        }
        command = ["/bin/bash", str(self.folder / "hack" / script)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def find(self) -> Path:
        result = self.run("find-uv")
        assert result.returncode == 0, result.stderr
        return Path(result.stdout.strip())

    def calls(self) -> list[str]:
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def install(self, name: str, program: str) -> None:
        (self.folder / "programs" / name).write_text(program)
        (self.folder / "programs" / name).chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    for folder in ("hack", "requirements", "programs"):
        (tmp_path / folder).mkdir()
    for name in ("find-uv", "environment"):
        shutil.copy2(ROOT / "hack" / name, tmp_path / "hack")
    for file in ("requirements/uv.txt", "requirements/dev.txt", "pyproject.toml"):
        (tmp_path / file).write_text("first\n")
    (tmp_path / ".venv").mkdir()
    for name in ("bash", "cat", "cp", "cut", "dirname", "env", "mkdir", "rm", "sha256sum", "touch"):
        found = shutil.which(name)
        assert found
        (tmp_path / "programs" / name).symlink_to(os.path.realpath(found))
    checkout = Checkout(tmp_path)
    checkout.install("python3", PYTHON)
    checkout.install("apt-get", APT)
    return checkout


@pytest.fixture
def checkout_with_pip(checkout: Checkout) -> Checkout:
    (checkout.folder / "has-pip").touch()
    return checkout


def test_uv_is_installed_once(checkout_with_pip: Checkout) -> None:
    first = checkout_with_pip.find()
    assert os.access(first, os.X_OK)
    assert checkout_with_pip.find() == first
    assert len(checkout_with_pip.calls()) == 1


def test_another_version_takes_the_place_of_the_one_before(checkout_with_pip: Checkout) -> None:
    tool = checkout_with_pip.find()
    (tool.parent / "of-the-old-version").touch()
    (checkout_with_pip.folder / "requirements" / "uv.txt").write_text("second\n")
    assert checkout_with_pip.find() == tool
    assert len(checkout_with_pip.calls()) == 2
    assert not (tool.parent / "of-the-old-version").exists()


def test_uv_on_path_is_used(checkout_with_pip: Checkout) -> None:
    present = checkout_with_pip.folder / "programs" / "uv"
    present.symlink_to("/bin/true")
    assert checkout_with_pip.find() == present
    assert checkout_with_pip.calls() == []


def test_a_user_is_told_of_missing_packages_in_one_line(checkout: Checkout) -> None:
    checkout.install("id", "#!/bin/sh\necho 1000\n")
    result = checkout.run("environment")
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert "sudo apt-get install --no-install-recommends python3-pip" in line
    assert checkout.calls() == []


def test_root_gets_missing_packages_and_the_environment(checkout: Checkout) -> None:
    checkout.install("id", "#!/bin/sh\necho 0\n")
    result = checkout.run("environment")
    assert result.returncode == 0, result.stderr
    update, install, pip = checkout.calls()
    assert update == "apt-get -qq -o DPkg::Lock::Timeout=120 update"
    assert install.startswith("apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends python3-pip")
    assert pip.startswith("pip -m pip install")
    assert (checkout.folder / ".venv" / ".environment").is_file()
