"""What it takes to say what a 16 GB model is: time, requests and bytes, from a hub and from a folder.

    .venv/bin/python bench/inspection.py [--rounds 5]

The repository has the files, headers and sizes of Qwen3-Embedding-8B in bfloat16: four shards with their index and a
tokenizer.json of 11 MB. The weights are sparse files, real headers in front of nothing, so it needs hardly any disk;
the hub lists them under made-up hashes, which inspection does not look at. Prints minimum, median and maximum of
    resolve          commit and list of files
    inspect          what the model is
    manifest         every file that is loaded, with its size and hash
    beyond network   the three without the time spent waiting for the hub
and what was fetched, then the same from a folder (without hashing), and as the whole command.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "hack"), str(ROOT / "tests" / "support")]

import httpx  # noqa: E402
from model_fixtures.formats import (  # noqa: E402
    Stored,
    json_file,
    library_file,
    modules_file,
    pooling_file,
    safetensors_header,
)

from embedding_model.inspection import inspect  # noqa: E402
from embedding_model.resolved import FileEntry, Inspection, Origin  # noqa: E402
from embedding_model.sources.access import Access  # noqa: E402
from embedding_model.sources.folder import FolderSource  # noqa: E402
from embedding_model.sources.hub import HubSource  # noqa: E402
from embedding_model.sources.manifest import build_manifest  # noqa: E402
from embedding_model.sources.selection import select  # noqa: E402
from embedding_model.sources.source import ListedFile, Source  # noqa: E402
from localcluster.hub.repository import Repository  # noqa: E402
from localcluster.hub.server import running  # noqa: E402
from localcluster.hub.store import Store  # noqa: E402

REPO = "bench/qwen3-embedding-8b"
SHARDS, LAYERS, WIDTH, INNER, HEADS, KEYS, HEAD, VOCABULARY = 4, 36, 4096, 12288, 32, 8, 128, 151665
AIM_SECONDS, AIM_BYTES = 1.0, 5_000_000


class SparseRepository(Repository):
    """Keeps a large file as a link to it, named by its path and size: nothing reads sixteen gigabytes of zeros."""

    def _keep_large(self, file: Path) -> tuple[str, int]:
        size = file.stat().st_size
        name = hashlib.sha256(f"{file.name} {size}".encode()).hexdigest()
        target = self.large_file(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            os.link(file, target)
        return name, size


class SparseStore(Store):
    def _repository(self, repo: str) -> Repository:
        return self._repositories.setdefault(repo, SparseRepository(self.path / "repos" / f"{repo}.git"))


@dataclass
class MeteredSource:
    """A source that counts the time and the bytes of every answer."""

    inner: Source
    seconds: float = 0.0
    fetched: int = 0
    requests: list[str] = field(default_factory=list)

    @property
    def origin(self) -> Origin:
        return self.inner.origin

    def files(self) -> Sequence[ListedFile]:
        return self.inner.files()

    def read(self, path: str, *, limit: int) -> bytes:
        with self._counted(f"{path} whole"):
            data = self.inner.read(path, limit=limit)
        self.fetched += len(data)
        return data

    def read_range(self, path: str, *, start: int, length: int) -> bytes:
        with self._counted(f"{path} {start}+{length}"):
            data = self.inner.read_range(path, start=start, length=length)
        self.fetched += len(data)
        return data

    def hash(self, path: str) -> FileEntry:
        with self._counted(f"{path} hash"):
            return self.inner.hash(path)

    @contextmanager
    def _counted(self, what: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - begun
            self.requests.append(what)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as scratch:
        folder = write_model(Path(scratch) / "model")
        total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        print(f"repository: {total / 1e9:.1f} GB in {len(list(folder.rglob('*')))} files")
        measure_hub(folder, store=SparseStore(Path(scratch) / "hub"), rounds=rounds)
        measure_folder(folder, rounds=rounds)


def measure_hub(folder: Path, *, store: Store, rounds: int) -> None:
    store.push(folder, REPO)
    figures: dict[str, list[float]] = {}
    with running(store) as url:
        for _ in range(rounds):
            sent = Meter()
            client = httpx.Client(event_hooks={"response": [sent.count]}, follow_redirects=False)
            begun = time.perf_counter()
            resolved = HubSource.resolve(access=Access(endpoint=url), repo=REPO, revision="main", client=client)
            source = MeteredSource(resolved)
            listed = time.perf_counter()
            found = inspect(source)
            inspected = time.perf_counter()
            build_manifest(source, paths=select(source))
            ended = time.perf_counter()
            resolved.close()
            for name, seconds in (
                ("resolve", listed - begun),
                ("inspect", inspected - listed),
                ("manifest", ended - inspected),
                ("beyond network", ended - listed - source.seconds),
            ):
                figures.setdefault(name, []).append(seconds)
    print("from a hub")
    for name, values in figures.items():
        print_seconds(name, values)
    print(f"  {'fetched':<24} {sent.received / 1e6:.2f} MB in {sent.answers} answers")
    print(f"  {'answer':<24} {describe(found)}")
    worst = max(figures["beyond network"])
    verdict = "met" if worst < AIM_SECONDS and sent.received < AIM_BYTES else "MISSED"
    print(f"  aims: below {AIM_SECONDS:.0f} s beyond the network and {AIM_BYTES / 1e6:.0f} MB: {verdict}")


def measure_folder(folder: Path, *, rounds: int) -> None:
    print("from a folder")
    print_seconds("inspect", [timed(lambda: inspect(FolderSource(folder))) for _ in range(rounds)])
    command = [sys.executable, "-m", "embedding_operator", "inspect", str(folder), "-o", "json"]

    def run() -> None:
        subprocess.run(command, check=True, capture_output=True)

    print_seconds("the whole command", [timed(run) for _ in range(rounds)])


class Meter:
    """Bytes of bodies and number of answers, by their headers."""

    def __init__(self) -> None:
        self.received = 0
        self.answers = 0

    def count(self, response: httpx.Response) -> None:
        self.received += int(response.headers.get("content-length", 0))
        self.answers += 1


def timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def print_seconds(name: str, values: Sequence[float]) -> None:
    print(f"  {name:<24} {min(values):7.3f} {median(values):7.3f} {max(values):7.3f} s")


def describe(found: Inspection) -> str:
    return (
        f"{found.task} {found.architecture}, {found.pooling}, {found.dimensions} wide, {found.max_input_tokens} tokens"
    )


def write_model(folder: Path) -> Path:
    tensors = model_tensors()
    names = list(tensors)
    step = -(-len(names) // SHARDS)
    weight_map = {}
    for number in range(SHARDS):
        path = f"model-{number + 1:05d}-of-{SHARDS:05d}.safetensors"
        shard = {name: tensors[name] for name in names[number * step : (number + 1) * step]}
        weight_map.update(dict.fromkeys(shard, path))
        header = safetensors_header(shard)
        write(folder / path, header)
        os.truncate(folder / path, len(header) + sum(tensor.size for tensor in shard.values()))
    total = sum(tensor.size for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    files = {"model.safetensors.index.json": json_file(index), **small_files()}
    for path, data in files.items():
        write(folder / path, data)
    return folder


def write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def model_tensors() -> dict[str, Stored]:
    shapes: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (VOCABULARY, WIDTH)}
    for number in range(LAYERS):
        layer = f"layers.{number}."
        shapes |= {
            f"{layer}self_attn.q_proj.weight": (HEADS * HEAD, WIDTH),
            f"{layer}self_attn.k_proj.weight": (KEYS * HEAD, WIDTH),
            f"{layer}self_attn.v_proj.weight": (KEYS * HEAD, WIDTH),
            f"{layer}self_attn.o_proj.weight": (WIDTH, HEADS * HEAD),
            f"{layer}self_attn.q_norm.weight": (HEAD,),
            f"{layer}self_attn.k_norm.weight": (HEAD,),
            f"{layer}mlp.gate_proj.weight": (INNER, WIDTH),
            f"{layer}mlp.up_proj.weight": (INNER, WIDTH),
            f"{layer}mlp.down_proj.weight": (WIDTH, INNER),
            f"{layer}input_layernorm.weight": (WIDTH,),
            f"{layer}post_attention_layernorm.weight": (WIDTH,),
        }
    shapes["norm.weight"] = (WIDTH,)
    return {name: Stored(shape, "BF16") for name, shape in shapes.items()}


def small_files() -> dict[str, bytes]:
    from model_fixtures.catalogue import CATALOGUE

    small = CATALOGUE["Qwen/Qwen3-Embedding-0.6B"].files
    config = json.loads(small["config.json"]) | {
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEYS,
        "head_dim": HEAD,
        "vocab_size": VOCABULARY,
        "max_window_layers": LAYERS,
        "max_position_embeddings": 40960,
    }
    tokenizer = json.loads(small["tokenizer.json"])
    known = len(tokenizer["model"]["vocab"]) + len(tokenizer["added_tokens"])
    tokenizer["model"]["vocab"] |= {f"token{number:06d}": number for number in range(known, VOCABULARY)}
    tokenizer["model"]["merges"] = [["token", f"{number:06d}"] for number in range(151_387)]
    return {
        **{path: data for path, data in small.items() if path != "model.safetensors"},
        "config.json": json_file(config),
        "tokenizer.json": json_file(tokenizer),
        "modules.json": modules_file("Transformer", "Pooling", "Normalize"),
        "1_Pooling/config.json": pooling_file(WIDTH, "lasttoken", include_prompt=True),
        "config_sentence_transformers.json": library_file(prompts={"query": "Instruct: search\nQuery:"}),
    }


if __name__ == "__main__":
    main()
