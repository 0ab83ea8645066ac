"""Golden cases as they lie in a file, or in the files of a folder."""

from pathlib import Path

import orjson
from pydantic import ValidationError

from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.parse import merge_cases, parse_golden_file
from embedding_model.refusal import Reason, Refusal

SUFFIX = ".jsonl"


def read_case_set(path: Path) -> CaseSet:
    """Golden cases of a file of JSON lines, or of a folder: its *.jsonl, one behind the other, 2.jsonl before 10.jsonl.

    Raises Refusal: MISSING_FILE, INVALID_GOLDEN, also for a name that two cases have.
    """
    try:
        files = _list_files(path) if path.is_dir() else [path]
        contents = [file.read_bytes() for file in files]
    except OSError as error:
        raise Refusal(
            Reason.MISSING_FILE,
            f"The golden cases {path} cannot be read: {error.strerror}. Nothing is served unchecked.",
        ) from error
    return merge_cases(*(parse_case_set(data).cases for data in contents))


def parse_case_set(data: bytes) -> CaseSet:
    """Raises Refusal(INVALID_GOLDEN) that says where, without the user's text."""
    try:
        return parse_golden_file(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refusal(Reason.INVALID_GOLDEN, f"The golden cases are malformed at {where}: {first['msg']}.") from None
    except orjson.JSONDecodeError as error:
        raise Refusal(Reason.INVALID_GOLDEN, f"A line of the golden cases is not JSON: {error.msg}.") from None


def _list_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob(f"*{SUFFIX}"), key=_place)
    if not files:
        raise Refusal(
            Reason.MISSING_FILE, f"The folder of golden cases {folder} holds no {SUFFIX}. Nothing is served unchecked."
        )
    return files


def _place(file: Path) -> tuple[bool, int, str]:
    """Numbers first, by their value; then names."""
    is_number = file.stem.isdecimal()
    return not is_number, int(file.stem) if is_number else 0, file.name
