"""The tokenizer of a folder alone, without the model: it names the tokens of another server's sparse vectors."""

from pathlib import Path

from embedding_model.inspection import inspect
from embedding_model.resolved import Declared
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.listing import TOKENIZER_LIMIT
from embedding_model.tokenizer_files import TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, VOCABULARY_FILE
from embedding_runtime.core.tokenizer import load_backend
from embedding_runtime.core.vocabulary import Vocabulary
from embedding_runtime.served_model import read_resolved

_FILES = (TOKENIZER_FILE, VOCABULARY_FILE, TOKENIZER_CONFIG_FILE)


def read_folder_vocabulary(folder: Path, *, resolved: Path | None, declared: Declared) -> Vocabulary:
    """`resolved`: the resolved model, if there is one; else the folder is inspected. Raises Refusal, Unavailable."""
    source = FolderSource(folder)
    inspection = read_resolved(resolved).inspection if resolved else inspect(source, declared=declared)
    root = f"{inspection.folder}/" if inspection.folder else ""
    files = {
        file.path.removeprefix(root): source.read(file.path, limit=TOKENIZER_LIMIT)
        for file in source.files()
        if file.path.startswith(root) and file.path.removeprefix(root) in _FILES
    }
    return Vocabulary(load_backend(files, family=inspection.family))
