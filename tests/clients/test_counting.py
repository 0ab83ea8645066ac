"""A group passes only when its checks ran and nothing was left out, whatever its runner's exit status says."""

import pytest
from client_groups import ChecksEnded

NODE = "# tests 3\n# pass {passed}\n# fail {failed}\n# cancelled 0\n# skipped {skipped}\n# todo 0\n"


@pytest.mark.parametrize(
    ("output", "count"),
    [
        ("..\n============ 2 passed in 0.51s ============\n", 2),
        ("============ 54 passed, 32 warnings in 120.41s (0:02:00) ============\n", 54),
        (NODE.format(passed=3, failed=0, skipped=0), 3),
    ],
)
def test_checks_that_all_passed_are_counted(output: str, count: int) -> None:
    assert ChecksEnded(status=0, output=output).passed() == count


@pytest.mark.parametrize(
    "output",
    [
        "",
        "============ no tests ran in 0.01s ============\n",
        "============ 2 passed, 1 skipped in 0.51s ============\n",
        "============ 1 failed, 2 passed in 0.51s ============\n",
        "============ 2 passed, 3 deselected in 0.51s ============\n",
        "============ 2 passed, 1 xfailed in 0.51s ============\n",
        NODE.format(passed=0, failed=0, skipped=0),
        NODE.format(passed=2, failed=1, skipped=0),
        NODE.format(passed=2, failed=0, skipped=1),
    ],
)
def test_anything_else_fails_with_what_was_printed(output: str) -> None:
    with pytest.raises(AssertionError):
        ChecksEnded(status=0, output=output).passed()


def test_an_exit_status_of_failure_fails() -> None:
    with pytest.raises(AssertionError):
        ChecksEnded(status=1, output="============ 2 passed in 0.51s ============\n").passed()
