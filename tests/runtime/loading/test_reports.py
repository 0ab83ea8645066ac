"""A loaded model says how much memory it took and what is quantised."""

from pathlib import Path

import pytest
import seeded_models
from click.testing import CliRunner

from embedding_model.resolved import Quantization
from embedding_runtime.commands.serve import serve
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.loading import load_model
from embedding_runtime.memory import LoadMemory
from embedding_runtime.served_model import resolve_folder
from embedding_runtime.settings import Device, ServeSettings

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeded_models.build(tmp_path_factory.mktemp("built") / "model", family="qwen3", pooling="lasttoken")


def test_a_folder_is_quantised_as_asked_in_a_space_of_its_own_and_reports_its_memory(folder: Path) -> None:
    found = load_model(ServeSettings(model=folder, device=Device.CPU, quantization=Quantization.INT8))

    assert found.model.serving.quantization is Quantization.INT8
    assert found.model.space != resolve_folder(folder).space
    assert "linear layers Int8" in found.backend.path
    assert found.memory is not None
    assert found.memory.peak >= found.memory.resident > 100 * MIB, "torch alone takes as much"
    assert found.memory.device_peak is None


def test_what_is_quantised_comes_from_the_resolved_model_or_from_the_flag_but_not_from_both(
    folder: Path, tmp_path: Path
) -> None:
    resolved = tmp_path / "model.json"
    resolved.write_bytes(resolve_folder(folder).to_json())
    arguments = ["--model", str(folder), "--resolved", str(resolved), "--quantization", "Int8"]

    result = CliRunner().invoke(serve, arguments)

    assert result.exit_code == 2
    assert "leave --quantization out" in result.output


def test_memory_is_told_in_bytes_with_that_of_a_gpu_only_where_there_is_one() -> None:
    on_cpu = LoadMemory(peak=3 * MIB, resident=2 * MIB)
    on_gpu = LoadMemory(peak=3 * MIB, resident=2 * MIB, device_peak=9 * MIB, device_resident=8 * MIB)

    assert on_cpu.to_dict() == {"peakBytes": 3 * MIB, "residentBytes": 2 * MIB}
    assert on_gpu.to_dict()["devicePeakBytes"] == 9 * MIB
    assert on_gpu.describe() == "peak 3 MiB, now 2 MiB; GPU: peak 9 MiB, now 8 MiB"
    metrics = Metrics()
    metrics.describe_memory(on_gpu)
    text = metrics.render().decode()
    assert 'embedding_load_memory_bytes{place="process",when="peak"} 3.145728e+06' in text
    assert 'embedding_load_memory_bytes{place="gpu",when="loaded"} 8.388608e+06' in text
