"""A steady load through random changes of the spec: every vector belongs to the space that its header names."""

import math
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from judged_clients import Answer, References, Traffic, Vector, asking
from live_cluster import LiveCluster
from models_under_test import RESOURCES, embedding_model, texts_of_many_lengths, vector_golden

GOLDEN_TEXT = "What is the capital of France?"
KNOWN_SEED = 86  # two moves, the second under Replace, and resources and dtype between them

MOVES = frozenset({"revision", "pooling", "dimensions"})  # to another space
CHOICES: Mapping[str, Sequence[Any]] = {
    "revision": (),  # those that were pushed
    "pooling": ("Mean", "Cls", "Max"),
    "dimensions": (384, 256, 128),
    "replicas": (1, 2),
    "cpu": ("100m", "120m"),
    "dtype": ("Float32", "BFloat16"),
    "has_golden": (False, True),
    "strategy": ("Surge", "Replace"),
}


def draw_kinds(count: int, *, generator: random.Random) -> Sequence[str]:
    """What each change changes: none a second time before all have been changed."""
    kinds = sorted(CHOICES)
    drawn = [kind for _ in range(0, count, len(kinds)) for kind in generator.sample(kinds, len(kinds))]
    return drawn[:count]


@dataclass(frozen=True)
class Wish:
    """What the model shall be. Every field is one thing that a change may change."""

    revision: str
    pooling: str = "Mean"
    dimensions: int = 384
    replicas: int = 1
    cpu: str = "100m"
    dtype: str = "Float32"
    has_golden: bool = False
    strategy: str = "Surge"

    def draw(self, kind: str, *, generator: random.Random, revisions: Sequence[str]) -> "Wish":
        """The same but for the field of that name."""
        choices = {**CHOICES, "revision": revisions}[kind]
        value = generator.choice([choice for choice in choices if choice != getattr(self, kind)])
        return Wish(**{**self.__dict__, kind: value})

    def changed(self, before: "Wish") -> Sequence[str]:
        return [name for name, value in self.__dict__.items() if value != getattr(before, name)]

    def explain(self, before: "Wish") -> str:
        return ", ".join(f"{name} {getattr(self, name)}" for name in self.changed(before))

    def declares_gap(self, before: "Wish") -> bool:
        """Whether Replace takes away all that serves: docs/rollouts.md."""
        changed = set(self.changed(before)) - {"strategy", "replicas"}
        goes_first = bool(changed & MOVES) or self.replicas == 1
        return self.strategy == "Replace" and bool(changed) and goes_first

    def vectors(self, folder: Path, *, texts: Sequence[str]) -> Sequence[Vector]:
        """What sentence-transformers' network answers, pooled and cut as wished."""
        pooled = [POOLINGS[self.pooling](tokens)[: self.dimensions] for tokens in token_vectors(folder, tuple(texts))]
        return [np.asarray(vector / np.linalg.norm(vector), dtype=np.float32) for vector in pooled]

    def spec(self, *, repo: str, folder: Path) -> Mapping[str, Any]:
        golden = vector_golden("paris", text=GOLDEN_TEXT, vector=self.vectors(folder, texts=[GOLDEN_TEXT])[0])
        return {
            "model": {"huggingFace": {"repo": repo, "revision": self.revision}},
            "embedding": {"pooling": self.pooling, "dimensions": self.dimensions},
            "runtime": {"dtype": self.dtype},
            "replicas": self.replicas,
            "resources": {**RESOURCES, "requests": {**RESOURCES["requests"], "cpu": self.cpu}},
            "verification": {"reference": "Auto", "goldens": [golden] if self.has_golden else []},
            "rollout": {"strategy": self.strategy},
        }


POOLINGS: Mapping[str, Callable[[Vector], Vector]] = {
    "Mean": lambda tokens: tokens.mean(axis=0),
    "Cls": lambda tokens: tokens[0],
    "Max": lambda tokens: tokens.max(axis=0),
}


@cache
def token_vectors(folder: Path, texts: tuple[str, ...]) -> Sequence[Vector]:
    """float32 [tokens, 384] of each text."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    found = model.encode(list(texts), output_value="token_embeddings", show_progress_bar=False)
    return [np.asarray(tokens.cpu().numpy(), dtype=np.float32) for tokens in found]


@dataclass
class Course:
    """What was changed and when. A window lasts from the change until the model was Ready again."""

    windows: list[tuple[str, float, float, bool]] = field(default_factory=list)  # the last: whether a gap is declared
    known: dict[str, Sequence[Vector]] = field(default_factory=dict)

    def is_in_gap(self, answer: Answer) -> bool:
        return any(has_gap and start <= answer.came and answer.asked <= end for _, start, end, has_gap in self.windows)

    def report(self, traffic: Traffic) -> str:
        """How long both spaces were answered at once, of every move."""
        lines = []
        starts = [start for _, start, _, _ in self.windows]
        for (what, start, end, _), following in zip(self.windows, [*starts[1:], math.inf], strict=True):
            # Not beyond the next change, which may go back to the space before.
            until = min(end + 30, following)
            within = [each for each in traffic.answers if not each.failure and start <= each.came <= until]
            spaces = list(dict.fromkeys(each.space for each in within))
            overlap = ""
            if len(spaces) > 1:
                last = max(each.came for each in within if each.space == spaces[0])
                first = min(each.came for each in within if each.space == spaces[-1])
                overlap = f", overlap {max(0.0, last - first):.2f} s"
            lines.append(f"{what}: {end - start:.0f} s{overlap}")
        return "\n".join(lines)


@pytest.mark.parametrize(
    ("changes", "seed"),
    [pytest.param(5, KNOWN_SEED, id="5"), pytest.param(20, None, marks=pytest.mark.soak, id="20")],
)
def test_a_steady_load_through_random_changes_never_gets_a_vector_of_another_space_than_its_header_names(
    live_cluster: LiveCluster,
    namespace: str,
    push: Callable[..., str],
    minilm_folder: Path,
    sre_folder: Path,
    wait_ready: Callable[..., Mapping[str, Any]],
    show_figure: Callable[[str], None],
    changes: int,
    seed: int | None,
) -> None:
    """With a seed of each run's own where none is given; it is shown, and EMBEDDING_SEED repeats it."""
    repo = f"acme/{uuid4().hex}"
    folders = {push(folder, repo): folder for folder in (sre_folder, minilm_folder)}
    texts = texts_of_many_lengths(60, longest=60)
    seed = seed or int(os.environ.get("EMBEDDING_SEED", random.SystemRandom().getrandbits(32)))
    show_figure(f"seed {seed}")
    generator, course = random.Random(seed), Course()
    kinds = draw_kinds(changes, generator=generator)
    assert MOVES & set(kinds)
    assert set(kinds) - MOVES

    def bring_about(wish: Wish) -> str:
        folder = folders[wish.revision]
        live_cluster.apply(embedding_model("minilm", namespace=namespace, **wish.spec(repo=repo, folder=folder)))
        space = str(wait_ready(seconds=900)["status"]["space"]["fingerprint"])
        course.known[space] = wish.vectors(folder, texts=texts)
        return space

    wish = Wish(revision=list(folders)[-1])
    first = bring_about(wish)
    host = live_cluster.service_address("minilm", namespace=namespace)
    with (
        asking(host, model="minilm", texts=texts, clients=6) as traffic,
        asking(host, model="minilm", texts=texts, clients=2, pinned=first) as pinned,
    ):
        live_cluster.wait_for("traffic flows", lambda: traffic.answered > 20, seconds=60)
        for kind in kinds:
            before, wish = wish, wish.draw(kind, generator=generator, revisions=list(folders))
            start = time.monotonic()
            bring_about(wish)
            course.windows.append((wish.explain(before), start, time.monotonic(), wish.declares_gap(before)))
            now = traffic.answered
            live_cluster.wait_for("traffic flows on", lambda now=now: traffic.answered > now + 20, seconds=60)  # type: ignore[misc]
    right = References(texts=texts, vectors=course.known)
    wrong = [(answer.space, why) for answer, why in traffic.find_wrong(right)]
    show_figure(course.report(traffic))
    show_figure(f"{traffic.answered} answered, {len(traffic.failed)} failed, {len(wrong)} wrong")
    assert wrong == []
    assert [answer.failure for answer in traffic.failed if not course.is_in_gap(answer)] == []

    assert pinned.find_wrong(right) == []
    assert set(pinned.spaces()) == {first}
    refused = [answer.failure for answer in pinned.failed if not course.is_in_gap(answer)]
    assert [failure for failure in refused if not failure.startswith("412 x-should-retry=false")] == []
