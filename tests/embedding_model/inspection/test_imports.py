"""What a model is can be asked by a small process that has no torch."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "transformers", "tokenizers", "httpx", "yaml", "kopf", "kubernetes", "asyncio")


@pytest.mark.parametrize(
    "module",
    [
        "embedding_model.inspection",
        "embedding_model.inspection.report",
        "embedding_model.goldens.parse",
        "embedding_model.goldens.compare",
        "embedding_model.space",
        "embedding_model.serving",
    ],
)
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_neither_side_is_imported() -> None:
    code = (
        "import sys, embedding_model.inspection.report, embedding_model.goldens.parse, embedding_model.space\n"
        "print(*[name for name in sys.modules if name.startswith(('embedding_runtime', 'embedding_operator'))])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
