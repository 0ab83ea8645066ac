"""`hack/cluster hub` as tests use it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LocalHub:
    command: Path
    url: str

    def run(self, *arguments: str) -> str:
        """Run a hub subcommand and return what it printed."""
        result = subprocess.run(
            [str(self.command), "hub", *arguments], capture_output=True, text=True, check=False, timeout=300
        )
        assert result.returncode == 0, f"hub {' '.join(arguments)} failed:\n{result.stdout}{result.stderr}"
        return result.stdout
