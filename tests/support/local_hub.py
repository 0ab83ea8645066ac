"""`hack/cluster hub` as tests use it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LocalHub:
    """`state` is the folder of a hub of its own; None is the one that the cluster's users have."""

    command: Path
    url: str
    state: Path | None = None

    def run(self, *arguments: str) -> str:
        """Run a hub subcommand and return what it printed."""
        own = ["--state", str(self.state)] if self.state else []
        command = [str(self.command), "hub", *own, *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert result.returncode == 0, f"hub {' '.join(arguments)} failed:\n{result.stdout}{result.stderr}"
        return result.stdout
