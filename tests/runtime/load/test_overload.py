"""Twice what the server can do: every request is answered, rightly or with 429, and memory does not grow.

EMBEDDING_LOAD_SECONDS sets for how long the load of the real model is offered; `make soak` runs ten times the usual.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from load_client import LoadClient, Tally, forget_peak, peak_bytes, read_metric, resident_bytes
from runtime_under_test import DIMENSIONS, WordTokenizer
from served_process import ServedProcess

from embedding_runtime.backends.fake import vector_of
from embedding_runtime.core.inputs import Text

LOAD_SECONDS = float(os.environ.get("EMBEDDING_LOAD_SECONDS", "30"))
SOAK_SECONDS = 300.0

# Shares of the time: finding the capacity, then overload until memory is what it stays at, then overload that counts.
CAPACITY_SHARE, WARM_UP_SHARE = 0.15, 0.35

# Of what is resident in the end over the most that was while the process warmed up: the allocator keeps up to 64 MiB of
# what is freed, now more and now less of it, so that two moments alone would differ by as much.
MOST_GROWTH = 0.05

# On a busy machine a load of seconds ends before the process has met every shape of batch: it shows gross leaks alone.
MOST_GROWTH_WITHIN_SECONDS = 0.15

# The warm-up is repeated until it adds less than this to the peak.
SETTLED, MOST_WARM_UPS = 0.01, 5

WORDS = "weather market river engine garden theory signal kitchen harbour winter copper violin lantern orbit".split()


def texts_of(lengths: Sequence[int]) -> list[str]:
    """A text of so many words for each, all different."""
    return [
        " ".join(WORDS[(number * (position // 5 + 1) + position * 3) % len(WORDS)] for position in range(length))
        for number, length in enumerate(lengths)
    ]


def fake_references(texts: Sequence[str]) -> np.ndarray:
    tokens = WordTokenizer().encode([Text(text) for text in texts])
    vectors = np.stack([vector_of(text.ids, dimensions=DIMENSIONS) for text in tokens])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def count_texts(server: ServedProcess) -> float:
    """Texts computed so far; before any client came they are those of the server's own checks."""
    return read_metric(server.private_url, "embedding_texts_total")


def check_books(server: ServedProcess, *tallies: Tally, own_texts: float) -> None:
    """What the server counted is what the clients saw, and nothing is left in it."""
    answered, refused = sum(tally.answered for tally in tallies), sum(tally.refused for tally in tallies)
    url = server.private_url
    assert read_metric(url, "embedding_requests_total") == answered + refused
    assert count_texts(server) - own_texts == sum(tally.texts for tally in tallies)
    for gauge in ("embedding_queue_tokens", "embedding_queue_texts", "embedding_admitted_tokens", "te_queue_size"):
        assert read_metric(url, gauge) == 0
    assert [server.probe(path) for path in ("/live", "/ready")] == [200, 200]


async def test_at_twice_a_known_capacity_half_is_answered_rightly_and_half_is_refused(tmp_path: Path) -> None:
    """10,000 tokens a second, known beforehand; about 3.5 texts of 8 tokens a request."""
    texts = texts_of([8] * 100)
    with ServedProcess.laborious(tmp_path / "log", seconds_per_token=1e-4, max_queue_tokens=1000) as server:
        server.wait("/ready")
        own_texts = count_texts(server)
        client = LoadClient(server.port, model="words", texts=texts, references=fake_references(texts))
        tally = await client.run_open(rate=2 * 10_000 / 8 / 2.9, seconds=4)
        client.close()
        check_books(server, tally, own_texts=own_texts)

    assert tally.problems == []
    assert tally.answered > 0
    assert tally.refused > 0


async def test_a_worker_that_raises_under_load_costs_no_accepted_request(tmp_path: Path) -> None:
    texts = texts_of([2, 5, 8, 9, 30, 100] * 10)
    with ServedProcess.laborious(
        tmp_path / "log", seconds_per_token=2e-5, fails_every=10, max_queue_tokens=4000
    ) as server:
        server.wait("/ready")
        own_texts = count_texts(server)
        client = LoadClient(server.port, model="words", texts=texts, references=fake_references(texts))
        tally = await client.run_open(rate=2000, seconds=4)
        client.close()
        check_books(server, tally, own_texts=own_texts)
        replaced = read_metric(server.private_url, "embedding_worker_replacements_total")

    assert tally.problems == []
    assert tally.refused > 0, "the load was no overload"
    assert replaced >= 1


async def overload(folder: Path, *, seconds: float, most_growth: float, log: Path, show: Callable[[str], None]) -> None:
    """The real model, in a real process, with texts of 3 to 150 words, most of them short."""
    texts = texts_of([3 + (number * 7) % 20 + (127 if number % 20 == 0 else 0) for number in range(120)])
    arguments = ["serve", "--model", str(folder), "--served-name", "minilm", "--max-queue-tokens", "4000"]
    arguments += ["--check-seconds", "0"]  # the books below count what clients asked
    with ServedProcess.real(log, *arguments) as server:
        server.wait("/ready")
        own_texts = count_texts(server)
        client = LoadClient(server.port, model="minilm", texts=texts)
        await client.learn_references()
        forget_peak(server.process.pid)
        capacity_tally, capacity = await client.run_closed(clients=16, seconds=CAPACITY_SHARE * seconds)
        warm_ups: list[Tally] = []
        before, settled = 0, 0
        while not warm_ups or (settled > before * (1 + SETTLED) and len(warm_ups) < MOST_WARM_UPS):
            warming = WARM_UP_SHARE * seconds / (4 if warm_ups else 1)
            warm_ups.append(await client.run_open(rate=2 * capacity, seconds=warming, seed=len(warm_ups)))
            # The machine may have been busy when it was measured first.
            capacity = max(capacity, warm_ups[-1].answered / warming)
            before, settled = settled, peak_bytes(server.process.pid)
        rest = 1 - CAPACITY_SHARE - WARM_UP_SHARE
        tally = await client.run_open(rate=2 * capacity, seconds=rest * seconds, seed=MOST_WARM_UPS)
        grown = resident_bytes(server.process.pid) / settled - 1
        client.close()
        learned = Tally(answered=len(texts), texts=len(texts))
        check_books(server, learned, capacity_tally, *warm_ups, tally, own_texts=own_texts)

    show(
        f"capacity {capacity:.0f} requests/s; offered {2 * capacity:.0f}; answered {tally.answered}, refused "
        f"{tally.refused}, not sent {tally.skipped}; memory {settled / 2**20:.0f} MiB, growth {grown:.1%}"
    )
    assert [problem for part in (capacity_tally, *warm_ups, tally) for problem in part.problems] == []
    assert tally.refused > 0, "the load was no overload"
    assert tally.answered > 0
    assert grown < most_growth


async def test_a_real_model_at_twice_its_capacity_answers_rightly_or_with_429(
    minilm_folder: Path, tmp_path: Path, show_figure: Callable[[str], None]
) -> None:
    growth, log = MOST_GROWTH_WITHIN_SECONDS, tmp_path / "log"
    await overload(minilm_folder, seconds=LOAD_SECONDS, most_growth=growth, log=log, show=show_figure)


@pytest.mark.soak
async def test_a_real_model_holds_for_minutes(
    minilm_folder: Path, tmp_path: Path, show_figure: Callable[[str], None]
) -> None:
    log = tmp_path / "log"
    await overload(minilm_folder, seconds=SOAK_SECONDS, most_growth=MOST_GROWTH, log=log, show=show_figure)
