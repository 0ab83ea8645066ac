"""Who may wait, and what the others are told."""

import pytest

from embedding_runtime.core.admission import Admission, estimate_tokens
from embedding_runtime.core.inputs import Text
from embedding_runtime.errors import Overloaded


def test_an_empty_queue_takes_a_request_of_any_size() -> None:
    with Admission(max_queue_tokens=10).admit(1_000_000):
        pass


def test_a_full_queue_refuses_whole_and_says_when_to_come_back() -> None:
    admission = Admission(max_queue_tokens=100)
    with admission.admit(100):
        with pytest.raises(Overloaded) as refused:
            admission.admit(1)
        assert refused.value.retry_after is not None
        assert refused.value.retry_after >= 1
        assert admission.tokens == 100
    assert admission.tokens == 0


def test_small_requests_that_fill_the_queue_again_and_again_do_not_keep_a_large_one_out() -> None:
    admission = Admission(max_queue_tokens=100)
    under_way = [admission.admit(10) for _ in range(10)]
    with pytest.raises(Overloaded):
        admission.admit(5000)
    with under_way.pop(), pytest.raises(Overloaded):
        admission.admit(1)
    with admission.admit(5000), pytest.raises(Overloaded):
        admission.admit(1)


def test_the_estimate_is_replaced_by_the_real_count() -> None:
    admission = Admission(max_queue_tokens=100)
    with admission.admit(100) as ticket:
        ticket.correct(20)
        with admission.admit(80):
            assert admission.tokens == 100


def test_a_failed_request_gives_its_tokens_back() -> None:
    admission = Admission(max_queue_tokens=100)
    with pytest.raises(RuntimeError), admission.admit(90):
        raise RuntimeError
    assert admission.tokens == 0


def test_the_wait_follows_the_measured_rate_within_bounds() -> None:
    admission = Admission(max_queue_tokens=1000)
    for _ in range(100):
        admission.measure(tokens=100, seconds=1)
    with admission.admit(1000):
        with pytest.raises(Overloaded) as near:
            admission.admit(500)
        with pytest.raises(Overloaded) as far:
            admission.admit(500_000)
    assert near.value.retry_after == 5
    assert far.value.retry_after == 30


def test_the_wait_is_shared_by_all_workers() -> None:
    admission = Admission(max_queue_tokens=1000, workers=4)
    for _ in range(100):
        admission.measure(tokens=100, seconds=1)
    with admission.admit(1000), pytest.raises(Overloaded) as refused:
        admission.admit(1000)
    assert refused.value.retry_after == 3


def test_what_may_not_be_refused_is_still_counted() -> None:
    admission = Admission(max_queue_tokens=10)
    with admission.admit(10), admission.admit(5, always=True):
        assert admission.tokens == 15


def test_no_text_is_estimated_above_the_models_maximum() -> None:
    assert estimate_tokens([Text("x" * 100_000), Text("hello")], max_input_tokens=256) == 256 + 3
