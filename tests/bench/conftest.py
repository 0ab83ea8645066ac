"""The benchmarks' modules are scripts side by side, not a package."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "bench")]
