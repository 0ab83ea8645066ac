"""What a pod must import before it is ready: most of its start is imports."""

import subprocess
import sys
from pathlib import Path

import pytest
import seeded_models

# Each takes longer to import than a small model takes to load.
HEAVY = ("transformers", "sentence_transformers", "torchao", "gguf", "torch._dynamo", "scipy", "sklearn")

_LOAD = f"""
import sys
from pathlib import Path
import torch
from embedding_runtime.backends.torch_backend import load_backend
from embedding_runtime.core.input_tokenizers import load_tokenizer
from embedding_runtime.core.inputs import Text
from embedding_runtime.files import read_files
from embedding_runtime.served_model import resolve_folder
from embedding_runtime.settings import Dtype

folder = Path(sys.argv[1])
resolved = resolve_folder(folder)
files = read_files(folder, manifest=resolved.manifest, threads=1)
tokenizer = load_tokenizer(files, inspection=resolved.inspection, serving=resolved.serving)
device = torch.device("cpu")
backend = load_backend(
    files, inspection=resolved.inspection, serving=resolved.serving, device=device, dtype=Dtype.FLOAT32
)
backend.compute(tokenizer.encode([Text("a text")]))
print(backend.path, *[name for name in {HEAVY!r} if name in sys.modules])
"""


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_a_model_that_our_own_code_computes_is_loaded_without_a_slow_import(family: str, tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family=family)

    run = subprocess.run([sys.executable, "-c", _LOAD, str(folder)], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "native BertEncoder"
