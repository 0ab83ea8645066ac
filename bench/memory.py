"""Memory that loading takes: float32, bfloat16, Int8 and Int4 of a language model as an embedder.

    .venv/bin/python bench/memory.py [--layers 12] [--width 1024] [--folder FOLDER]

Makes a Qwen3 of random weights in bfloat16 (or takes FOLDER), and loads it as `embedding-runtime serve` does, each time
in a process of its own. Prints, in MiB beyond what the process has after its imports:
    peak     the most while it was loaded
    loaded   what it then was
    weights  the bytes of the parameters themselves
and, of a given FOLDER, the smallest cosine to float32 of a few texts: random weights say nothing about rounding.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "hack"), str(ROOT / "tests" / "support")]

VARIANTS = (("float32", "None"), ("bfloat16", "None"), ("float32", "Int8"), ("bfloat16", "Int8"), ("bfloat16", "Int4"))
TEXTS = (
    "The weather is lovely today.",
    "What is the capital of France?",
    "A Deployment keeps its pods running: when one of them fails, another is started on a node with room for it.",
    "naïve café 東京 🚀",
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--layers", type=int, default=12)
    arguments.add_argument("--width", type=int, default=1024)
    arguments.add_argument("--folder", type=Path)
    arguments.add_argument("--one", nargs=2, metavar=("DTYPE", "QUANTIZATION"), help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.one:
        measure(options.folder, dtype=options.one[0], quantization=options.one[1])
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or build(Path(scratch) / "model", layers=options.layers, width=options.width)
        on_disk = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        print(f"{on_disk / 2**20:.0f} MiB on disk")
        print(f"{'dtype':10}{'quantised':12}{'peak':>8}{'loaded':>8}{'weights':>9}{'seconds':>9}  cosine")
        expected = None
        for dtype, quantization in VARIANTS:
            found = run(folder, dtype=dtype, quantization=quantization)
            expected = expected or found["vectors"]
            worst = f"{worst_cosine(found['vectors'], expected):.5f}" if options.folder else "-"
            sizes = "".join(f"{found[key] / 2**20:>{width}.0f}" for key, width in SIZES)
            print(f"{dtype:10}{quantization:12}{sizes}{found['seconds']:>9.1f}  {worst}", flush=True)


SIZES = (("peak", 8), ("loaded", 8), ("weights", 9))


def build(folder: Path, *, layers: int, width: int) -> Path:
    import seeded_models
    from safetensors.torch import load_file, save_file

    seeded_models.build(
        folder,
        family="qwen3",
        pooling="lasttoken",
        layers=layers,
        hidden_size=width,
        intermediate_size=3 * width,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 128,
        head_dim=64,
    )
    path = folder / "model.safetensors"
    tensors = {name: tensor.bfloat16() for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})
    return folder


def run(folder: Path, *, dtype: str, quantization: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--folder", str(folder), "--one", dtype, quantization]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(folder: Path, *, dtype: str, quantization: str) -> None:
    """In a process of its own: import what is needed, load, and print what it took as JSON."""
    import time

    import torch
    import torchao.quantization

    from embedding_model.resolved import Quantization
    from embedding_model.serving import Overrides
    from embedding_runtime.architectures.families import find_architecture
    from embedding_runtime.architectures.network import load_network
    from embedding_runtime.core.input_tokenizers import load_tokenizer
    from embedding_runtime.core.inputs import Text
    from embedding_runtime.files import read_files
    from embedding_runtime.gguf_files import show_gguf
    from embedding_runtime.memory import giving_memory_back, measure_process
    from embedding_runtime.served_model import resolve_folder

    resolved = resolve_folder(folder, overrides=Overrides(quantization=Quantization(quantization)))
    inspection, serving = resolved.inspection, resolved.serving
    find_architecture(inspection.family).import_class(inspection.architecture)
    if quantization == "Int4":
        import torchao.prototype.quantization.int4  # noqa: F401
    _, before = measure_process()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    started = time.monotonic()
    files = show_gguf(read_files(folder, manifest=resolved.manifest, threads=2))
    with giving_memory_back():
        network = load_network(
            files,
            inspection=inspection,
            head=None,
            device=torch.device("cpu"),
            dtype=getattr(torch, dtype),
            quantization=Quantization(quantization),
        )
    tokenizer = load_tokenizer(files, inspection=inspection, serving=serving)
    seconds = time.monotonic() - started
    del files
    peak, loaded = measure_process()
    vectors = []
    from embedding_runtime.architectures.batch import collate

    with torch.inference_mode():
        for tokens in tokenizer.encode([Text(text) for text in TEXTS]):
            batch = collate([tokens], pad_id=network.pad_id, device=network.device)
            vectors.append(network.forward(batch)[0, -1].float().tolist())
    weights = sum(count_bytes(parameter) for parameter in network.module.parameters())
    print(
        json.dumps(
            {"peak": peak - before, "loaded": loaded - before, "weights": weights, "seconds": seconds}
            | {"vectors": vectors}
        )
    )


def count_bytes(parameter: object) -> int:
    if hasattr(parameter, "__tensor_flatten__"):
        names, _ = parameter.__tensor_flatten__()
        return sum(int(getattr(parameter, name).nbytes) for name in names)
    return int(parameter.nbytes)  # type: ignore[attr-defined]


def worst_cosine(found: list[list[float]], expected: list[list[float]]) -> float:
    import numpy as np

    one, other = np.array(found), np.array(expected)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / lengths).min())


if __name__ == "__main__":
    main()
