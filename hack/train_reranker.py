"""A small cross-encoder for tests: the body of SPLADE-tiny with one logit, taught by MiniLM's cosine.

No package carries a cross-encoder. This one is ours and weak: it puts the document that speaks of the query first,
which is all that a test needs, and stands for no published model. Seeded and on one thread; about a minute.

    python hack/train_reranker.py FOLDER
"""

from __future__ import annotations

import inspect
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from localcluster import layout
from localcluster.hub.demo_models import MINILM, SPLADE_TINY, fetch_minilm, fetch_splade_tiny

TEXTS = 1500  # that the teacher reads
PAIRS = 9_600  # that the student sees
BATCH = 32
LEARNING_RATE = 6e-4
SEED = 11

# The teacher's cosine to a logit: unrelated sentences are near 0.1, those that share their subject above 0.5.
MIDDLE = 0.4
SLOPE = 12.0

# The standard library's own words, which every machine has.
SOURCES = (
    "argparse", "ast", "asyncio", "calendar", "collections", "configparser", "csv", "datetime", "decimal", "difflib",
    "email.message", "fractions", "ftplib", "gzip", "heapq", "html.parser", "http.client", "http.cookiejar",
    "imaplib", "inspect", "ipaddress", "json", "logging", "mailbox", "math", "multiprocessing.pool", "os", "pathlib",
    "pickle", "platform", "random", "shutil", "smtplib", "socket", "sqlite3", "ssl", "statistics", "string",
    "subprocess", "tarfile", "tempfile", "textwrap", "threading", "time", "tokenize", "unittest.case",
    "urllib.request", "uuid", "wave", "weakref", "xml.dom.minidom", "zipfile",
)  # fmt: skip
_SENTENCE = re.compile(r"[A-Z][^.!?]{20,160}[.]")
_WORD = re.compile(r"[a-z]{4,}")
WORDS = range(2000, 9000)  # whole words of BERT's vocabulary, the frequent ones first


class TrainingFailed(Exception):
    """The message carries the last lines of the process."""


def distilled_reranker(cache: Path | None = None) -> Path:
    """The folder of the model, trained on first use in a process of its own. Raises TrainingFailed.

    It is kept under the hash of this file and of the two models that it is made of.
    """
    made_of = Path(__file__).read_bytes() + MINILM.sha256.encode() + SPLADE_TINY.sha256.encode()
    models = (cache or layout.CACHE) / "models"
    target = models / f"distilled-reranker-{sha256(made_of).hexdigest()[:10]}"
    if target.is_dir():
        return target
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=f".{target.name}-") as scratch:
        made = Path(scratch) / "model"
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, __file__, str(made)]
        done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            tail = "\n".join(done.stderr.strip().splitlines()[-5:])
            raise TrainingFailed(f"{' '.join(command)} ended with {done.returncode}:\n{tail}")
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():  # another process that was faster has made the same folder
                raise
    return target


def train(folder: Path) -> None:
    """Write the trained model to a new folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    source = random.Random(SEED)
    body = fetch_splade_tiny()
    tokenizer = AutoTokenizer.from_pretrained(body)
    words = [word for word, number in tokenizer.get_vocab().items() if number in WORDS and _WORD.fullmatch(word)]
    texts = sorted(collect_texts(sorted(words), source=source))
    teacher = SentenceTransformer(str(fetch_minilm()), device="cpu")
    vectors = torch.from_numpy(teacher.encode(texts, batch_size=64, show_progress_bar=False))
    pairs = choose_pairs(vectors, source=source)

    student = BertForSequenceClassification.from_pretrained(body, num_labels=1)
    student.train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    steps = len(pairs) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, total_steps=steps)
    for step in range(steps):
        batch = pairs[step * BATCH : (step + 1) * BATCH]
        encoded = tokenizer(
            [texts[one] for one, _ in batch],
            [texts[other] for _, other in batch],
            padding=True,
            truncation=True,
            max_length=96,
            return_tensors="pt",
        )
        wanted = torch.stack([(vectors[one] @ vectors[other] - MIDDLE) * SLOPE for one, other in batch])
        loss = torch.nn.functional.mse_loss(student(**encoded).logits[:, 0], wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step} of {steps}: loss {float(loss):.3f}", file=sys.stderr)
    student.eval()
    student.config.sentence_transformers = {"activation_fn": "torch.nn.modules.activation.Sigmoid"}
    student.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        if (body / name).is_file():
            shutil.copyfile(body / name, folder / name)


def collect_texts(words: Sequence[str], *, source: random.Random) -> set[str]:
    """Sentences, the questions that their beginnings make, and phrases of words that say nothing."""
    sentences = sorted(set(read_sentences()))
    chosen = source.sample(sentences, min(TEXTS // 3, len(sentences)))
    texts = set(chosen)
    for sentence in chosen:
        spoken = [word for word in sentence.split() if len(word) > 3]
        texts.add(" ".join(source.sample(spoken, min(len(spoken), source.randint(2, 4)))))
    while len(texts) < TEXTS:
        phrase = source.sample(list(words), 3)
        texts.add(f"what is the {phrase[0]} of {phrase[1]}")
        texts.add(f"the {phrase[1]} has a {phrase[0]} near the {phrase[2]}")
        texts.add(" ".join(phrase[:2]))
    return texts


def read_sentences() -> Iterator[str]:
    for name in SOURCES:
        module = __import__(name, fromlist=["_"])
        for value in (module, *vars(module).values()):
            described = inspect.getdoc(value) if callable(value) or value is module else None
            for found in _SENTENCE.finditer(" ".join((described or "").split())):
                yield found.group(0)


def choose_pairs(vectors: object, *, source: random.Random) -> list[tuple[int, int]]:
    """Each text with its nearest ones, some near ones and some at random: a third of each."""
    import torch

    assert isinstance(vectors, torch.Tensor)
    near = (vectors @ vectors.T).topk(24, dim=1).indices.tolist()
    count = len(near)
    pairs = []
    for index in range(PAIRS):
        one = source.randrange(count)
        places = (range(0, 4), range(4, 24))[index % 3 - 1] if index % 3 else None
        pairs.append((one, source.randrange(count) if places is None else near[one][source.choice(places)]))
    source.shuffle(pairs)
    return pairs


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' own deprecations
        train(Path(sys.argv[1]))
