"""The vendors' own SDKs, newest versions, against live servers."""

from collections.abc import Callable


def test_the_python_sdks_of_openai_cohere_and_hugging_face_work(assert_group_passes: Callable[[str], None]) -> None:
    assert_group_passes("sdk")


def test_the_javascript_sdks_of_openai_cohere_and_hugging_face_work(assert_group_passes: Callable[[str], None]) -> None:
    assert_group_passes("js")
