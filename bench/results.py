"""Figures on disk: build/bench/<name>.json, with the machine and the versions that they were taken on."""

from __future__ import annotations

import datetime
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "build" / "bench"
OWN = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy")


def write_results(name: str, *, figures: Mapping[str, Any], peers: Mapping[str, str] | None = None) -> Path:
    """`peers`: versions of what was measured beside ours, by distribution."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {"machine": describe_machine(), "versions": _versions(peers or {}), "figures": figures}
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def describe_machine() -> dict[str, Any]:
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "cpu": _read_cpu_model(),
        "cpus": _count_cpus(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "commit": _read_commit(),
    }


def _read_cpu_model() -> str:
    """The name and the instructions that decide how fast matrices are multiplied."""
    facts: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    flags = set(facts.get("flags", "").split())
    known = [flag for flag in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if flag in flags]
    return f"{facts.get('model name', platform.machine())} ({', '.join(known)})"


def _count_cpus() -> int:
    sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "runtime")]
    from embedding_runtime.cpu import count_cpus

    return count_cpus()


def _read_commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=RESULTS.parents[1]
    )
    return done.stdout.strip() or "unknown"


def _versions(peers: Mapping[str, str]) -> dict[str, str]:
    own = {name: version(name) for name in OWN}
    return {"python": platform.python_version()} | own | dict(peers)
