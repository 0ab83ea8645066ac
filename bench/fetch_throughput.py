"""How fast files are fetched and hashed, against `hf download` from the same hub on this machine.

    .venv/bin/python bench/fetch_throughput.py [--rounds 5] [--megabytes 1024] [--folder DIR]

Starts the stand-in hub in a process of its own, then runs `embedding-runtime fetch` and `hf download --local-dir` as
people do, in turn, into empty folders, and prints the median seconds of each and their ratio (below 1: ours is faster).
Ours hashes every byte and flushes every file to the disk before it gets its name; `hf download` does neither. With
--memory the target is in memory (/dev/shm), which leaves the network code and the hashing.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "hack"), str(ROOT / "tests" / "support")]

from runtime_under_test import resolved_model  # noqa: E402

from embedding_model.resolved import FileEntry, Manifest, Origin, SourceKind  # noqa: E402
from localcluster.hub.server import running  # noqa: E402
from localcluster.hub.store import Store  # noqa: E402

BIN = ROOT / ".venv" / "bin"
BLOCK = random.Random(7).randbytes(1 << 20)
CASES: Mapping[str, Sequence[float]] = {  # sizes as parts of --megabytes
    "one file": (1.0,),
    "four shards": (0.25, 0.25, 0.25, 0.25),
    "200 small files": (0.0001,) * 200,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--memory", action="store_true", help="Write to /dev/shm instead of --folder.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as held:
        store = Store(Path(held) / "hub")
        models = {name: push(store, name=name, sizes=sizes, total=options.megabytes) for name, sizes in CASES.items()}
        receiver, sender = multiprocessing.Pipe(duplex=False)
        hub = multiprocessing.Process(target=serve, args=(store.path, sender), daemon=True)
        hub.start()
        try:
            url = receiver.recv()
            target = Path(tempfile.mkdtemp(dir="/dev/shm" if options.memory else held))
            for name, (origin, entries) in models.items():
                measure(name, origin, entries, url=url, target=target, rounds=options.rounds)
        finally:
            hub.terminate()
            hub.join()
            if options.memory:
                shutil.rmtree(target, ignore_errors=True)


def push(store: Store, *, name: str, sizes: Sequence[float], total: int) -> tuple[Origin, tuple[FileEntry, ...]]:
    repo = f"bench/{name.replace(' ', '-')}"
    with tempfile.TemporaryDirectory(dir=store.path) as folder:
        entries = tuple(
            write(Path(folder) / f"file-{number:03}.safetensors", size=round(size * total * 1e6), seed=number)
            for number, size in enumerate(sizes)
        )
        commit = store.push(Path(folder), repo)
    return Origin(kind=SourceKind.HUGGING_FACE, repo=repo, requested="main", revision=commit), entries


def write(path: Path, *, size: int, seed: int) -> FileEntry:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        left, number = size, 0
        while left:
            block = (seed.to_bytes(8, "big") + number.to_bytes(8, "big") + BLOCK[16:])[:left]
            file.write(block)
            digest.update(block)
            left, number = left - len(block), number + 1
    return FileEntry(path=path.name, size=size, sha256=digest.hexdigest())


def serve(store: Path, sender: Connection) -> None:
    with running(Store(store)) as url:
        sender.send(url)
        multiprocessing.Event().wait()


def measure(name: str, origin: Origin, entries: Sequence[FileEntry], *, url: str, target: Path, rounds: int) -> None:
    document = target / "model.json"
    document.write_bytes(
        resolved_model().model_copy(update={"origin": origin, "manifest": Manifest(files=tuple(entries))}).to_json()
    )
    ours = [BIN / "embedding-runtime", "fetch", "--resolved", document, "--target", target / "files", "--endpoint", url]
    theirs = [BIN / "hf", "download", origin.repo, "--revision", origin.revision, "--local-dir", target / "files"]
    environment = {"HF_ENDPOINT": url, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    seconds: dict[str, list[float]] = {"ours": [], "hf download": []}
    for _ in range(rounds):
        for label, command in (("ours", ours), ("hf download", theirs)):
            shutil.rmtree(target / "files", ignore_errors=True)
            os.sync()  # what the last round wrote is not this one's work
            started = time.perf_counter()
            ended = subprocess.run(
                [str(part) for part in command],
                env={**os.environ, **environment},
                capture_output=True,
                check=False,
            )
            seconds[label].append(time.perf_counter() - started)
            if ended.returncode:
                sys.exit(f"{label} failed:\n{ended.stderr.decode()[-2000:]}")
            check(target / "files", entries)
    shutil.rmtree(target / "files")
    size = sum(entry.size for entry in entries)
    both = {label: median(values) for label, values in seconds.items()}
    rates = ", ".join(f"{label} {value:.2f} s ({size / value / 1e6:.0f} MB/s)" for label, value in both.items())
    print(f"{name:<16} {size / 1e6:7.0f} MB  {rates}; ratio {both['ours'] / both['hf download']:.2f}", flush=True)


def check(folder: Path, entries: Sequence[FileEntry]) -> None:
    wrong = [entry.path for entry in entries if (folder / entry.path).stat().st_size != entry.size]
    if wrong:
        sys.exit(f"{wrong[0]} has another size than it should")


if __name__ == "__main__":
    main()
