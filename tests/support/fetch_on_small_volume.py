"""A download onto a volume of its own that is too small, made larger after the failure. Needs a mount namespace:

    unshare --mount python fetch_on_small_volume.py FOLDER ENDPOINT ORIGIN-JSON ENTRY-JSON

Prints the failure, then the sha256 of what came in the end.
"""

import subprocess
import sys
from pathlib import Path

from embedding_model.refusal import Unavailable
from embedding_model.resolved import FileEntry, Origin
from embedding_model.sources.access import Access
from embedding_model.sources.destination import FolderDestination
from embedding_model.sources.download import download
from embedding_model.sources.progress import Meter
from embedding_model.sources.reading import hash_in_place


class Hopeful(FolderDestination):
    """What others write to a volume between the check and the last byte cannot be foreseen."""

    def free_bytes(self) -> int:
        return 1 << 60


def main() -> None:
    folder, endpoint, origin, entry = sys.argv[1:]
    wanted = FileEntry.from_json(entry)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={wanted.size // 2}", "tmpfs", folder], check=True)
    place = Hopeful(Path(folder))

    def fetch() -> None:
        download(
            [wanted],
            origin=Origin.from_json(origin),
            access=Access(endpoint=endpoint),
            destination=place,
            meter=Meter(),
        )

    try:
        fetch()
    except Unavailable as error:
        print(error.message)
    print((Path(folder) / wanted.path).exists())
    subprocess.run(["mount", "-o", f"remount,size={wanted.size * 2}", folder], check=True)
    fetch()
    print(hash_in_place(place.locate(wanted)))


if __name__ == "__main__":
    main()
