"""How far fetches are, in words."""

import pytest

from embedding_model.ports import Progress
from embedding_operator.judge.progress import describe_progress


@pytest.mark.parametrize(
    ("done", "total", "words"),
    [
        (0, 999, "0 of 999 bytes"),
        (500, 1_500, "0.5 of 1.5 kB"),
        (90_000_000, 90_900_000, "90.0 of 90.9 MB"),
        (1_234_000_000, 4_800_000_000, "1.2 of 4.8 GB"),
        (16_000_000_000, 16_000_000_000, "16.0 of 16.0 GB"),
    ],
)
def test_bytes_are_written_in_the_unit_of_the_whole(done: int, total: int, words: str) -> None:
    progress = Progress(files=12, files_done=3, bytes=total, bytes_done=done)
    assert describe_progress([None, progress]) == f"; fetched {words}, 3 of 12 files"


def test_nothing_is_said_of_what_nobody_knows() -> None:
    assert describe_progress([]) == ""
    assert describe_progress([None, Progress(files=0, files_done=0, bytes=0, bytes_done=0)]) == ""
