"""bge-m3's further heads: pickles that are converted with the weights, or beside weights that need no conversion."""

from pathlib import Path

import pytest
import torch
from hostile_pickles import write_hostile
from loaded_model import Loaded
from multi_head_models import build_multi_head
from safetensors.torch import load_file

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import InspectionResult, Origin, SourceKind
from embedding_model.sources.access import Access
from embedding_model.sources.destination import FolderDestination
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.progress import Meter
from embedding_model.sources.selection import select
from embedding_runtime.conversion.repetition import convert_entries
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import Part
from embedding_runtime.resolving import ConversionPolicy, ResolveSettings, resolve_model

HEADS = ["colbert_linear.safetensors", "sparse_linear.safetensors"]
SPARSE = frozenset({Part.SPARSE})


def resolve(folder: Path, *, work: Path, conversion: ConversionPolicy) -> InspectionResult:
    settings = ResolveSettings(
        origin=Origin(kind=SourceKind.PERSISTENT_VOLUME_CLAIM, claim="models", path="/m3"),
        access=Access(endpoint="http://127.0.0.1:1"),
        folder=folder,
        conversion=conversion,
        work=work,
    )
    return resolve_model(settings, meter=Meter())


def pickle_weights(folder: Path) -> None:
    """As bge-m3 is published: the weights are a pickle as well."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize("weights", ["safetensors", "pickle"])
def test_the_heads_are_converted_with_whatever_else_is_a_pickle(weights: str, tmp_path: Path) -> None:
    folder = build_multi_head(tmp_path / "model", pickles=True)
    if weights == "pickle":
        pickle_weights(folder)

    found = resolve(folder, work=tmp_path / "work", conversion=ConversionPolicy.ISOLATED)

    made = [*HEADS, *(["model.safetensors"] if weights == "pickle" else [])]
    assert sorted(item.target.path for item in found.manifest.conversions) == sorted(made)
    assert sorted(head.file for head in found.inspection.token_heads) == HEADS
    assert not any(file.path.endswith((".pt", ".bin")) for file in found.manifest.files)


def test_a_pod_makes_the_same_files_again_and_serves_them(tmp_path: Path) -> None:
    folder = build_multi_head(tmp_path / "model", pickles=True)
    pickle_weights(folder)
    found = resolve(folder, work=tmp_path / "work", conversion=ConversionPolicy.ISOLATED)
    target = tmp_path / "pod"
    target.mkdir()
    for file in found.manifest.fetched():
        if not file.path.endswith((".pt", ".bin")):
            (target / file.path).parent.mkdir(exist_ok=True)
            (target / file.path).write_bytes((folder / file.path).read_bytes())

    convert_entries(
        found.manifest,
        locate=lambda entry: folder / entry.path,
        destination=FolderDestination(target),
        discard=False,
    )

    published = Loaded(build_multi_head(tmp_path / "published"))
    text = [Text("the quick brown fox jumps over the lazy dog", wants=SPARSE)]
    [mine], [other] = Loaded(target).compute(text), published.compute(text)
    assert mine.sparse is not None
    assert other.sparse is not None
    assert len(mine.sparse.indices) > 0
    assert mine.sparse.indices.tolist() == other.sparse.indices.tolist()
    assert mine.sparse.values.tolist() == pytest.approx(other.sparse.values.tolist(), abs=1e-6)


def test_without_conversion_the_dense_vector_alone_is_served(tmp_path: Path) -> None:
    folder = build_multi_head(tmp_path / "model", pickles=True)

    found = resolve(folder, work=tmp_path / "work", conversion=ConversionPolicy.NEVER)

    assert found.inspection.token_heads == ()
    assert found.manifest.conversions == ()
    assert any("not served unconverted" in (item.note or "") for item in found.inspection.evidence)


def test_what_runs_code_when_it_is_loaded_is_refused(tmp_path: Path) -> None:
    folder = build_multi_head(tmp_path / "model", pickles=True)
    mark = tmp_path / "ran"
    write_hostile(folder / "sparse_linear.pt", code=f"open({str(mark)!r}, 'w').close()")

    with pytest.raises(Refusal) as refused:
        resolve(folder, work=tmp_path / "work", conversion=ConversionPolicy.ISOLATED)

    assert refused.value.reason is Reason.CONVERSION_FAILED
    assert not mark.exists()


@pytest.mark.parametrize("conversion", [True, False])
def test_a_head_that_is_there_in_both_forms_is_taken_as_safetensors(conversion: bool, tmp_path: Path) -> None:
    build_multi_head(tmp_path, pickles=True)
    build_multi_head(tmp_path)

    selected = select(FolderSource(tmp_path), conversion=conversion)

    assert [path for path in selected if "linear" in path] == HEADS
