"""Where a binary comes from: the cache first, then KUBEBUILDER_ASSETS, and never an old version."""

from pathlib import Path

import pytest

from localcluster import binaries, layout


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(layout, "BIN", folder)
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return folder


def put(folder: Path, name: str, *, version: str) -> None:
    (folder / f"{name}-{version}").write_text("program")
    link = folder / name
    link.unlink(missing_ok=True)
    link.symlink_to(f"{name}-{version}")


def missing_names() -> set[str]:
    return {each.name for each in binaries.missing()}


def needed_names() -> set[str]:
    return {name for name, each in binaries.TABLE.items() if not each.is_extra}


def asset(folder: Path, name: str, *, says: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / name).chmod(0o755)


def test_an_empty_cache_misses_every_binary() -> None:
    assert missing_names() == needed_names()


def test_a_cached_binary_of_the_right_version_is_used(cache: Path) -> None:
    put(cache, "etcd", version=binaries.ETCD_VERSION)
    assert missing_names() == needed_names() - {"etcd"}


def test_a_cached_binary_of_another_version_counts_as_missing(cache: Path) -> None:
    put(cache, "etcd", version="v3.5.0")
    assert "etcd" in missing_names()


def test_kubebuilder_assets_of_the_right_minor_version_are_adopted(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "assets"
    asset(assets, "kube-apiserver", says="Kubernetes v1.34.1")
    asset(assets, "etcd", says="etcd Version: 3.6.1")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    binaries.adopt_kubebuilder_assets()
    assert missing_names() == needed_names() - {"kube-apiserver", "etcd"}
    assert (cache / "kube-apiserver").read_text() == (assets / "kube-apiserver").read_text()


def test_kubebuilder_assets_of_another_minor_version_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asset(tmp_path / "assets", "kube-apiserver", says="Kubernetes v1.31.0")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    binaries.adopt_kubebuilder_assets()
    assert "kube-apiserver" in missing_names()
    assert "is not v1.34: not used" in capsys.readouterr().err


def test_a_new_version_takes_the_place_of_the_old_file(cache: Path) -> None:
    put(cache, "etcd", version="v3.5.0")
    (cache / f"etcd-{binaries.ETCD_VERSION}").write_text("new")
    binaries.link(binaries.TABLE["etcd"])
    assert sorted(path.name for path in cache.iterdir()) == ["etcd", f"etcd-{binaries.ETCD_VERSION}"]
    assert (cache / "etcd").read_text() == "new"


def test_every_binary_has_a_way_to_come_about() -> None:
    for each in binaries.TABLE.values():
        assert each.module or each.name in binaries.CLIENT_TOOLS, each.name
