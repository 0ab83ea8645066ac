"""Which earlier versions of an image stay: those that cost nothing."""

from localcluster.superseded import KEPT_VERSIONS, Version, choose_kept


def version(number: int, *, dependencies: str = "same") -> Version:
    return {"tag": f"dev-{number}", "image": str(number), "reference": f"r@{number}", "dependencies": dependencies}


def test_versions_that_share_the_dependencies_of_the_newest_stay_up_to_a_number() -> None:
    versions = [version(number) for number in range(KEPT_VERSIONS + 3)]
    assert choose_kept(versions) == versions[:KEPT_VERSIONS]


def test_a_version_with_dependencies_of_its_own_goes_at_once() -> None:
    versions = [version(3), version(2, dependencies="older"), version(1)]
    assert choose_kept(versions) == [version(3), version(1)]


def test_the_newest_version_always_stays() -> None:
    assert choose_kept([version(2, dependencies="new"), version(1)]) == [version(2, dependencies="new")]
