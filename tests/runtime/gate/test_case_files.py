"""Golden cases from one file, or from the files of a mounted folder."""

from pathlib import Path

import pytest
from private_under_test import vector_case

from embedding_model.goldens.cases import CaseSet
from embedding_model.refusal import Reason, Refusal
from embedding_runtime.gate import read_case_set

CASES = [vector_case(f"case {number}", text=f"text {number}") for number in range(12)]


def write(path: Path, *cases: object) -> Path:
    path.write_bytes(CaseSet(cases=cases).to_jsonl())
    return path


def test_a_folder_is_the_concatenation_of_its_files_by_number(tmp_path: Path) -> None:
    for number, case in enumerate(CASES):
        write(tmp_path / f"{number}.jsonl", case)
    found = read_case_set(tmp_path)
    assert found.cases == tuple(CASES)
    assert found.name == CaseSet(cases=CASES).name == read_case_set(write(tmp_path / "all", *CASES)).name


def test_of_a_projected_volume_the_links_are_read_and_nothing_else(tmp_path: Path) -> None:
    data = tmp_path / "..2031_04_05"
    data.mkdir()
    write(data / "0.jsonl", *CASES[:2])
    (tmp_path / "..data").symlink_to(data.name)
    (tmp_path / "0.jsonl").symlink_to("..data/0.jsonl")
    (tmp_path / "README").write_text("no golden case")
    assert read_case_set(tmp_path).cases == tuple(CASES[:2])


def test_written_and_normalised_cases_may_lie_side_by_side(tmp_path: Path) -> None:
    write(tmp_path / "0.jsonl", CASES[0])
    written = '{"name": "pets", "similarity": {"a": "cat", "b": "dog", "expected": "0.5", "tolerance": "0.1"}}'
    (tmp_path / "1.jsonl").write_text(written)
    assert [case.name for case in read_case_set(tmp_path).cases] == ["case 0", "pets"]


@pytest.mark.parametrize(
    ("files", "reason", "says"),
    [
        ({}, Reason.MISSING_FILE, "holds no .jsonl"),
        ({"0.jsonl": CASES[:1], "1.jsonl": CASES[:1]}, Reason.INVALID_GOLDEN, "exists twice"),
    ],
)
def test_a_folder_without_cases_or_with_a_name_twice_is_refused(
    files: dict[str, list[object]], reason: Reason, says: str, tmp_path: Path
) -> None:
    for name, cases in files.items():
        write(tmp_path / name, *cases)
    with pytest.raises(Refusal, match=says) as refused:
        read_case_set(tmp_path)
    assert refused.value.reason is reason


def test_an_empty_file_has_no_cases(tmp_path: Path) -> None:
    (tmp_path / "0.jsonl").touch()
    assert read_case_set(tmp_path).cases == ()
