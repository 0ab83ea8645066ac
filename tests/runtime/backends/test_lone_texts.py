"""A long text that comes alone is shared by threads while that is quicker, and not when it is not."""

import threading
from collections.abc import Sequence

import pytest

from embedding_runtime.backends.lone_texts import LAST_TRIAL, MOST_THREADS, SMALLEST_TOKENS, LoneTexts
from embedding_runtime.core.jobs import Tokens

LONG = [Tokens(ids=[1] * 100)]


class Machine:
    """Time passes only while a text is computed: `seconds` by the number of threads."""

    def __init__(self, *, threads: int = 2, alone: float = 1.0, shared: float = 0.6) -> None:
        self.now = 0.0
        self.threads = 1
        self.seconds = {1: alone, min(threads, MOST_THREADS): shared}
        self.texts = LoneTexts(threads=threads, set_threads=self._set, clock=lambda: self.now)

    def _set(self, threads: int) -> None:
        self.threads = threads

    def compute(self, batch: Sequence[Tokens] = LONG) -> int:
        """The threads that computed it."""
        with self.texts.computing(batch):
            used = self.threads
            self.now += self.seconds[used]
        assert self.threads == 1, "the next batch is one thread's again"
        return used

    def compute_many(self, count: int) -> list[int]:
        return [self.compute() for _ in range(count)]


def test_a_lone_text_is_shared_where_that_is_quicker() -> None:
    used = Machine(shared=0.6).compute_many(200)

    assert used.count(2) > 185
    assert used[0] == 1, "something to compare with comes first"


def test_a_lone_text_is_one_threads_where_others_want_the_cores() -> None:
    used = Machine(shared=10.0).compute_many(3000)

    assert used.count(2) <= 10, "tried again ever more rarely"
    assert used.count(2) >= 2, "but tried again"


def test_a_small_gain_is_no_reason_to_change() -> None:
    assert Machine(shared=0.95).compute_many(50)[3:8] == [1] * 5


def test_sharing_ends_at_once_when_it_becomes_slow() -> None:
    machine = Machine(shared=0.6)
    machine.compute_many(LAST_TRIAL)
    machine.seconds[2] = 10.0

    used = machine.compute_many(100)
    assert used[:2] == [2, 1]
    assert used.count(2) <= 5, "tried again ever more rarely"


def test_sharing_begins_again_when_the_cores_are_free_again() -> None:
    machine = Machine(shared=10.0)
    machine.compute_many(500)
    machine.seconds[2] = 0.6
    machine.compute_many(LAST_TRIAL)

    assert machine.compute_many(100).count(2) > 90


@pytest.mark.parametrize(
    "batch",
    [LONG * 2, [Tokens(ids=[1] * (SMALLEST_TOKENS - 1))]],
    ids=["a batch", "a short text"],
)
def test_what_is_no_long_text_alone_is_always_one_threads(batch: Sequence[Tokens]) -> None:
    machine = Machine()

    assert {machine.compute(batch) for _ in range(20)} == {1}


def test_one_worker_shares_with_nobody() -> None:
    assert set(Machine(threads=1).compute_many(20)) == {1}


def test_many_cores_do_not_make_many_threads() -> None:
    assert max(Machine(threads=64).compute_many(20)) == MOST_THREADS


def test_a_text_beside_another_batch_is_one_threads() -> None:
    machine = Machine()
    machine.compute_many(20)
    inside, done = threading.Event(), threading.Event()

    def compute_beside() -> None:
        with machine.texts.computing(LONG * 2):
            inside.set()
            assert done.wait(10)

    other = threading.Thread(target=compute_beside)
    other.start()
    assert inside.wait(10)
    try:
        assert set(machine.compute_many(20)) == {1}
    finally:
        done.set()
        other.join()


def test_a_text_that_fails_leaves_its_thread_as_it_was() -> None:
    machine = Machine()
    machine.compute_many(5)
    seen = []

    def fail() -> None:
        with machine.texts.computing(LONG):
            seen.append(machine.threads)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()

    assert seen == [2]
    assert machine.threads == 1
    assert 2 in machine.compute_many(5)
