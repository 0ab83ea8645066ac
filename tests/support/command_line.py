"""`embedding-runtime` as people and pods start it."""

import subprocess
import sys


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "embedding_runtime", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
