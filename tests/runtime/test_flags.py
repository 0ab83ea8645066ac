"""Flags take the values that manifests write."""

import click
import pytest
from click.testing import CliRunner

from embedding_runtime.commands.flags import ValueOf, flag
from embedding_runtime.settings import Device, FailurePolicy


@click.command()
@flag("--device", type=ValueOf(Device), default=Device.AUTO)
@flag("--failure-policy", type=ValueOf(FailurePolicy), default=FailurePolicy.BLOCK)
def show(device: Device, failure_policy: FailurePolicy) -> None:
    assert isinstance(device, Device)
    click.echo(f"{device} {failure_policy}")


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ([], "auto Block"),
        (["--device", "cpu", "--failure-policy", "Warn"], "cpu Warn"),
        (["--device", "CUDA", "--failure-policy", "warn"], "cuda Warn"),
    ],
)
def test_an_enum_flag_takes_the_values_of_its_enum_in_any_case(arguments: list[str], printed: str) -> None:
    assert CliRunner().invoke(show, arguments).output.strip() == printed


def test_an_enum_flag_is_an_environment_variable_too() -> None:
    result = CliRunner().invoke(show, [], env={"EMBEDDING_RUNTIME_DEVICE": "cpu"})
    assert result.output.strip() == "cpu Block"


def test_another_value_is_refused_with_the_ones_that_are_known() -> None:
    result = CliRunner().invoke(show, ["--device", "tpu"])
    assert result.exit_code == 2
    assert "'auto', 'cpu', 'cuda'" in result.output
