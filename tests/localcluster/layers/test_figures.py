"""What a long run measures is told at its end: `make soak` is where its figures come from."""

import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).resolve().parents[2] / "support"

MEASURING = """
def test_a_move(show_figure):
    show_figure("seed 7")
    show_figure("overlap 0.31 s")

def test_a_fault(show_figure):
    show_figure("3 wrong")
    assert False

def test_that_measures_nothing():
    pass
"""


def test_what_tests_measure_is_shown_at_the_end_whether_they_pass_or_not(tmp_path: Path) -> None:
    (tmp_path / "test_measuring.py").write_text(MEASURING)
    command = [sys.executable, "-m", "pytest", "-p", "figures", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [*command, str(tmp_path)],
        env={"PYTHONPATH": str(SUPPORT)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    _, _, shown = done.stdout.partition(" figures ")
    told = ["test_measuring.py::test_a_fault", "  3 wrong", "test_measuring.py::test_a_move", "  seed 7"]
    assert shown.splitlines()[1:6] == [*told, "  overlap 0.31 s"], done.stdout
    assert "measures_nothing" not in shown
