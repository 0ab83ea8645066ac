"""Builds the image of tests/images/faulty upon the runtime image of this checkout, and brings it to the registry."""

import shutil
import tempfile
from pathlib import Path

from localcluster import buildah, images, layout

FOLDER = Path(__file__).resolve().parents[1] / "images" / "faulty"
NAME = f"localhost/{layout.IMAGE_PREFIX}/faulty:dev"


def build_faulty_image(*, other_revision: Path) -> str:
    """Its reference by digest. `other_revision`: weights of another model of the shape of those that are served."""
    with tempfile.TemporaryDirectory() as context:
        shutil.copy(FOLDER / "embedding_faults.py", context)
        shutil.copy(other_revision, Path(context) / "other-revision.safetensors")
        arguments = ["--layers", "--build-arg", f"RUNTIME={images.local_name('runtime')}"]
        arguments += ["--file", str(FOLDER / "Containerfile"), "--tag", NAME, context]
        buildah.build(arguments, log=layout.LOGS / "build-faulty.log")
    return images.load(NAME)
