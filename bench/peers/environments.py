"""Environments of the servers and libraries that ours is measured against, in build/peers.

Made from requirements/peer-<name>.txt, with hashes, by uv, which links from its cache what ours has too.

    .venv/bin/python bench/peers/environments.py infinity
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / "build" / "peers"
STAMP = ".requirements"


def make_environment(name: str) -> Path:
    """The environment's folder; does nothing when it matches the requirements. Raises CalledProcessError."""
    folder, requirements = ENVIRONMENTS / name, ROOT / "requirements" / f"peer-{name}.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return folder
    uv = subprocess.check_output([ROOT / "hack" / "find-uv"], text=True).strip()
    python = folder / "bin" / "python"
    print(f"installing {name} into {folder.relative_to(ROOT)}", file=sys.stderr)
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
    sync = ["pip", "sync", "--quiet", "--python", python, "--require-hashes", requirements]
    subprocess.run([uv, *sync], check=True)
    stamp.write_text(wanted)
    return folder


def read_version(name: str, *distributions: str) -> dict[str, str]:
    """Versions of distributions in an environment; those beside the first are named after it."""
    script = (
        "import json, sys; from importlib.metadata import version; print(json.dumps(list(map(version, sys.argv[1:]))))"
    )
    command = [ENVIRONMENTS / name / "bin" / "python", "-c", script, *distributions]
    found = json.loads(subprocess.check_output(command, text=True))
    first = distributions[0]
    return {d if d == first else f"{d} ({first}'s)": version for d, version in zip(distributions, found, strict=True)}


if __name__ == "__main__":
    for wanted_name in sys.argv[1:]:
        make_environment(wanted_name)
