"""The page of benchmarks is made of figures, and says where they were taken."""

import json
import re
from pathlib import Path

import pytest
import report

PAGE = "# Benchmarks\n\n<!-- start -->\nold\n<!-- /start -->\n\nbehind\n"
ORIGIN = {
    "machine": {"date": "2026-01-02", "cpu": "Chip (avx2)", "cpus": 2, "system": "Linux 6.1", "commit": "abc1234"},
    "versions": {"python": "3.11", "torch": "2.13"},
}
ROW = {"seconds": 1.25, "ratio": 0.25, "turns": [], "loaded": {"rss": 500.4, "pss": 480.0}}


def test_a_table_is_replaced_between_its_marks_and_nothing_else() -> None:
    page = report.replace(PAGE, name="start", lines=["new \\1"])

    assert page == PAGE.replace("old", "new \\1")


@pytest.mark.parametrize("page", ["", PAGE + PAGE, PAGE.replace("<!-- /start -->", "")])
def test_a_page_without_the_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="needs one"):
        report.replace(page, name="start", lines=[])


def test_figures_become_a_table_with_machine_and_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(PAGE)
    figures = {"dtype": "float32", "engines": {"ours": ROW | {"used": {"rss": 600.0, "pss": 590.0}}}}
    (tmp_path / "start.json").write_text(json.dumps(ORIGIN | {"figures": figures}))
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "RESULTS", tmp_path)

    report.main()

    text = page.read_text()
    assert "| ours | 1.25 | 0.25 | 500 (480) | 600 (590) |" in text
    assert "2026-01-02, 2 CPUs of Chip (avx2), Linux 6.1, commit abc1234; python 3.11, torch 2.13." in text
    assert text.endswith("behind\n")
    assert "serving: no figures" in capsys.readouterr().out, "what was not measured is named"


def test_the_page_has_a_place_for_every_table() -> None:
    page = report.PAGE.read_text()

    assert set(re.findall(r"<!-- (\w+) -->", page)) == set(report.TABLES)
    for name in report.TABLES:
        report.replace(page, name=name, lines=[])
