"""What thousands of reports have in common is in memory once, and only while one of them is."""

import gc
import weakref

from embedding_model.ports import CaseResult, GateState, GoldensReport
from embedding_operator.audit.shared_results import share_passed, share_results


def result(name: str = "paris", *, passed: bool = True, measured: str = "0.99998") -> CaseResult:
    words = f"cosine similarity {measured}"
    return CaseResult(name=name, kind="vector", passed=passed, measured=measured, threshold="0.999", detail=words)


def report(*results: CaseResult) -> GoldensReport:
    return GoldensReport(
        boot_id="b",
        case_set="cs-1",
        state=GateState.PASSED,
        results=results,
        space="sp1-a",
        revision="1",
        device="cpu",
        dtype="float32",
    )


def test_equal_results_of_two_reports_are_one_object_with_their_value() -> None:
    [one], [other] = (share_results(report(result())).results for _ in range(2))
    assert one is other
    assert (one.name, one.measured, one.threshold, one.passed) == ("paris", "0.99998", "0.999", True)


def test_another_value_is_another_result() -> None:
    found = share_results(report(result(), result(measured="0.99999"), result("rome")))
    assert [item.measured for item in found.results] == ["0.99998", "0.99999", "0.99998"]
    assert [item.name for item in found.results] == ["paris", "paris", "rome"]


def test_what_failed_keeps_its_words() -> None:
    failed = result(passed=False, measured="0.1")
    assert share_results(report(failed)).results == (failed,)
    assert share_passed(failed) is failed


def test_a_result_without_its_value_is_not_taken_for_one_that_has_it() -> None:
    bare = share_passed(result())
    assert bare.measured is None
    assert share_passed(result(), measured="0.99998").measured == "0.99998"


def test_a_result_of_no_report_is_not_kept() -> None:
    gone = weakref.ref(share_passed(result("gone")))
    gc.collect()
    assert gone() is None
