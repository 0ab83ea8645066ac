"""Time and memory of one long text, by length and by how attention is computed.

    .venv/bin/python bench/long_inputs.py [--lengths 512,2048,8192,32768] [--kinds plain,windows] [--reference-to 4096]

Small seeded models (two layers, width 256), loaded as `serve` loads them: tokens in, pooled vector out, one thread,
float32. Each figure is a process of its own. `memory` is the peak of resident memory above what is resident once the
model is loaded. Lengths up to --reference-to are computed by transformers' class as sentence-transformers loads it too;
beyond, that would take up to 32 GiB.

    plain                       Qwen3: a causal kernel, no mask
    windows                     Mistral with a window of 4096 tokens
    capped                      Gemma 2: capped scores, a window of 4096 in every other layer
    both directions             Qwen2 with is_causal false
    both directions, windows    Gemma 3 as in EmbeddingGemma, a window of 512 in every other layer
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "support")]

LENGTHS = (512, 1024, 2048, 4096, 8192, 16384, 32768)
SHAPE = {"hidden_size": 256, "intermediate_size": 768, "num_attention_heads": 8, "num_key_value_heads": 2}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("qwen3", {"head_dim": 32}),
    "windows": ("mistral", {"sliding_window": 4096}),
    "capped": ("gemma2", {"head_dim": 32, "sliding_window": 4096}),
    "both directions": ("qwen2", {"is_causal": False}),
    "both directions, windows": ("gemma3_text", {"head_dim": 32, "sliding_window": 512}),
}
PEAK, RESIDENT = "VmHWM", "VmRSS"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=_numbers, default=LENGTHS)
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(KINDS))
    parser.add_argument("--reference-to", type=int, default=4096)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        folder, length, reference = arguments.child
        print(json.dumps(measure(Path(folder), length=int(length), reference=reference == "reference")))
        return
    print(f"{'attention':<26} {'tokens':>7} {'time':>9} {'memory':>10}   {'reference':>20}")
    with tempfile.TemporaryDirectory() as scratch:
        for kind in arguments.kinds:
            folder = build(Path(scratch) / kind.replace(" ", "-"), kind=kind, longest=max(arguments.lengths))
            for length in arguments.lengths:
                seconds, mebibytes = run(folder, length=length, reference=False)
                line = f"{kind:<26} {length:>7} {seconds:>7.2f} s {mebibytes:>6.0f} MiB"
                if length <= arguments.reference_to:
                    seconds, mebibytes = run(folder, length=length, reference=True)
                    line += f"   {seconds:>7.2f} s {mebibytes:>6.0f} MiB"
                print(line, flush=True)


def build(folder: Path, *, kind: str, longest: int) -> Path:
    import seeded_models

    family, config = KINDS[kind]
    _silence()
    return seeded_models.build(
        folder, family=family, pooling="lasttoken", max_length=longest, spread=0.05, **SHAPE, **config
    )


def run(folder: Path, *, length: int, reference: bool) -> tuple[float, float]:
    """Seconds and MiB of one text, in a process of its own."""
    command = [sys.executable, __file__, "--child", str(folder), str(length), "reference" if reference else "ours"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{length} tokens ended with {done.returncode}:\n{done.stderr[-2000:]}")
    seconds, mebibytes = json.loads(done.stdout.splitlines()[-1])
    return seconds, mebibytes


def measure(folder: Path, *, length: int, reference: bool) -> tuple[float, float]:
    import torch

    _silence()
    torch.set_num_threads(1)
    ids = torch.randint(10, 250, (length,), generator=torch.Generator().manual_seed(1)).tolist()
    compute = _load_reference(folder) if reference else _load(folder)
    compute(ids[:64])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    before, started = _memory(RESIDENT), time.perf_counter()
    compute(ids)
    return time.perf_counter() - started, _memory(PEAK) - before


def _load(folder: Path) -> Any:
    from loaded_model import Loaded

    from embedding_runtime.core.jobs import Tokens

    model = Loaded(folder)
    return lambda ids: model.backend.compute([Tokens(ids=ids)])


def _load_reference(folder: Path) -> Any:
    import parity
    import torch

    module = parity.load_reference(folder)[0].auto_model

    def compute(ids: list[int]) -> Any:
        batch = torch.tensor([ids])
        with torch.inference_mode():
            return module(input_ids=batch, attention_mask=torch.ones_like(batch)).last_hidden_state[:, -1]

    return compute


def _memory(key: str) -> float:
    """MiB of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) / 1024


def _silence() -> None:
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    logging.disable(logging.WARNING)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    main()
