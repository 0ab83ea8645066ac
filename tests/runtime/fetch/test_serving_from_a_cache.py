"""A real model from its own folder and from a cache gives the same vectors."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from embedding_model.resolved import Origin, SourceKind
from embedding_model.sources.access import Access
from embedding_model.sources.progress import Meter
from embedding_runtime.commands.serve import serve
from embedding_runtime.core.inputs import Text
from embedding_runtime.fetching import FetchSettings, fetch_model
from embedding_runtime.loading import LoadedModel, load_model
from embedding_runtime.served_model import resolve_folder
from embedding_runtime.settings import Device, ServeSettings


def vector(loaded: LoadedModel) -> torch.Tensor:
    tokens = loaded.tokenizer.encode([Text("The weather is lovely today.")])
    return torch.as_tensor(loaded.backend.compute(tokens)[0].dense)


def test_the_vectors_are_the_same(minilm_folder: Path, tmp_path: Path, cache: Path) -> None:
    resolved = resolve_folder(minilm_folder)
    claim = Origin(kind=SourceKind.PERSISTENT_VOLUME_CLAIM, claim="models", path="/")
    document = tmp_path / "model.json"
    document.write_bytes(resolved.model_copy(update={"origin": claim}).to_json())
    settings = FetchSettings(access=Access(endpoint="http://127.0.0.1:1"), cache=cache, folder=minilm_folder)
    fetch_model(resolved, settings=settings, meter=Meter())

    plain = load_model(ServeSettings(model=minilm_folder, device=Device.CPU))
    cached = load_model(ServeSettings(cache=cache, resolved=document, device=Device.CPU))

    assert torch.equal(vector(cached), vector(plain))


@pytest.mark.parametrize("arguments", [(), ("--cache", "a"), ("--cache", "a", "--model", "b", "--resolved", "c")])
def test_a_cache_needs_the_document_that_names_its_files(arguments: tuple[str, ...]) -> None:
    ended = CliRunner().invoke(serve, arguments)
    assert ended.exit_code == 2
    assert "--cache and --resolved" in ended.output
