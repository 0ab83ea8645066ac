"""What is embedded: three lengths of text, the same for every engine, and the model that reads them.

short     10 to 18 tokens, like a search query
passage   100 to 130 tokens, like a paragraph
mixed     16 to 512 tokens, each length as likely as any other
"""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "hack")]

TOKENS: Mapping[str, tuple[int, int]] = {"short": (10, 18), "passage": (100, 130), "mixed": (16, 512)}
SPECIAL_TOKENS = 2
LONGEST = 512
LENGTH_FILE = "sentence_bert_config.json"

WORDS = (
    "the cat dog house river market search vector model engine cloud water green small night paper music train light "
    "stone winter summer garden window doctor school street country people question answer number letter Kubernetes "
    "deployment embeddings throughput, unbelievable refrigerator; naïve 2026 café misunderstanding."
).split()


def make_texts(kind: str, *, count: int, folder: Path, seed: int = 20) -> Sequence[str]:
    """`count` texts of a kind, counted in tokens of the model in `folder`; the same ones each time."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    pieces = {word: len(tokenizer.encode(word, add_special_tokens=False).ids) for word in WORDS}
    source = random.Random(f"{kind}-{seed}")
    return [
        _make_text(source.randint(*TOKENS[kind]) - SPECIAL_TOKENS, source=source, pieces=pieces) for _ in range(count)
    ]


def _make_text(tokens: int, *, source: random.Random, pieces: Mapping[str, int]) -> str:
    words: list[str] = []
    while tokens > 0:
        word = source.choice(WORDS)
        if pieces[word] <= tokens:
            words.append(word)
            tokens -= pieces[word]
    return " ".join(words)


def copy_model(folder: Path) -> Path:
    """all-MiniLM-L6-v2 in `folder`, read up to its 512 positions: its own files stop at 256 tokens, and half of the
    mixed texts would be cut.
    """
    from localcluster.hub.demo_models import fetch_minilm

    shutil.copytree(fetch_minilm(), folder)
    settings = folder / LENGTH_FILE
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"max_seq_length": LONGEST}))
    return folder
