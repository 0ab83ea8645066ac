"""Rendering the chart with the helm that users have."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "embedding-operator"
RELEASE = ("embedding-operator", "--namespace", "operators")

Object = Mapping[str, Any]
Helm = Callable[..., "subprocess.CompletedProcess[str]"]
Render = Callable[..., Sequence[Object]]


@pytest.fixture(scope="session")
def run_helm(helm: Path) -> Helm:
    """`helm ARGUMENTS` with values on standard input, when given."""

    def run(*arguments: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        extra = () if values is None else ("--values", "-")
        return subprocess.run(
            [str(helm), *arguments, *extra],
            input="" if values is None else json.dumps(values),
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def render(run_helm: Helm) -> Render:
    """All objects of `helm template`, by one of the chart's ci/ values files, with further values on top."""

    def objects(case: str = "minimal", **values: Any) -> Sequence[Object]:
        file = str(CHART / "ci" / f"{case}-values.yaml")
        result = run_helm("template", *RELEASE, str(CHART), "--values", file, values=values)
        assert result.returncode == 0, result.stderr
        return [item for item in yaml.safe_load_all(result.stdout) if item]

    return objects


@pytest.fixture(params=["minimal", "namespaced", "everything"])
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def pick(render: Render) -> Callable[..., Object]:
    """The one object of a kind (and name)."""

    def one(kind: str, *, name: str = "embedding-operator", case: str = "minimal", **values: Any) -> Object:
        found = [item for item in render(case, **values) if item["kind"] == kind and item["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} objects {kind}/{name}"
        return found[0]

    return one
