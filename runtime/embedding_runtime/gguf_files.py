"""A model that is one GGUF file, shown as the folder of files that everything else here reads.

Its configuration and tokenizer are in its header. The whole file is read and hashed before any of it counts, also where
the weights are read again later: the same hash then holds for what is loaded.
"""

import orjson

from embedding_model.inspection.gguf_config import read_gguf_config
from embedding_model.inspection.gguf_tokenizer import render_tokenizer
from embedding_model.sources.gguf import GgufHeader, find_gguf, parse_gguf_header
from embedding_model.sources.selection import CONFIG_FILE
from embedding_model.tokenizer_files import TOKENIZER_FILE
from embedding_runtime.files import ModelFiles, Reader


def show_gguf(files: ModelFiles) -> ModelFiles:
    """The same files; where they are a GGUF model, with a config.json and a tokenizer.json made of its header.

    Raises Refusal: what parsing the header raises, HASH_MISMATCH; Unavailable.
    """
    path = find_gguf(tuple(files))
    if path is None:
        return files
    with files.open(path) as reader:
        try:
            header = read_header(reader, path=path)
            shown = {CONFIG_FILE: read_gguf_config(header), TOKENIZER_FILE: render_tokenizer(header)}
        finally:
            reader.finish()  # a file that is not the one that was resolved explains whatever else is wrong
    return files.adding({name: bytearray(orjson.dumps(document)) for name, document in shown.items()})


def read_header(reader: Reader, *, path: str) -> GgufHeader:
    """From the first bytes of a file; more of them than the header has may be read. Raises Refusal."""
    left = reader.size

    def pull(count: int) -> bytes:
        nonlocal left
        data = bytearray(min(count, left))
        reader.fill(memoryview(data))
        left -= len(data)
        return bytes(data)

    return parse_gguf_header(pull, path=path, size=reader.size)
