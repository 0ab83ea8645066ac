"""Paths that come from a repository become file names, so they are checked first."""

from collections.abc import Iterator

import pytest

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.listing import Listed, check_listing, check_path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../config.json",
        "a/../../config.json",
        "a/..",
        "./config.json",
        "a/./b",
        "a//b",
        "a/",
        "..\\config.json",
        "C:\\config.json",
        "config.json\n",
        "a\x00b",
        "a\x7fb",
        "\udcff.json",
        "x" * 256,
        "x/" * 600 + "y",
        "x/" * 33 + "y",
    ],
)
def test_a_path_that_could_leave_the_folder_or_confuse_a_reader_is_refused(path: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_path(path)
    assert refused.value.reason is Reason.UNSAFE_PATH
    assert all(character.isprintable() for character in refused.value.message)


@pytest.mark.parametrize(
    "path", ["config.json", "1_Pooling/config.json", ".gitattributes", "a..b/c...d", "模型/配置.json"]
)
def test_ordinary_paths_are_accepted(path: str) -> None:
    check_path(path)


def test_two_spellings_of_one_name_are_refused() -> None:
    composed, decomposed = "caf\u00e9.json", "cafe\u0301.json"

    with pytest.raises(Refusal) as refused:
        check_listing([Listed(composed, 1), Listed(decomposed, 1)])

    assert refused.value.reason is Reason.UNSAFE_PATH


def test_a_path_listed_twice_is_refused() -> None:
    with pytest.raises(Refusal, match="which name one file"):
        check_listing([Listed("config.json", 1), Listed("config.json", 2)])


def test_a_listing_comes_back_sorted() -> None:
    assert [file.path for file in check_listing([Listed("b", 1), Listed("a/c", 2), Listed("a", 3)])] == [
        "a",
        "a/c",
        "b",
    ]


def test_more_files_than_a_model_has_are_refused_without_listing_them_all() -> None:
    taken = 0

    def endless() -> Iterator[Listed]:
        nonlocal taken
        while True:
            taken += 1
            yield Listed(f"{taken}.json", 1)

    with pytest.raises(Refusal) as refused:
        check_listing(endless())
    assert refused.value.reason is Reason.TOO_LARGE
    assert taken < 200_000
