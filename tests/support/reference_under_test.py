"""Reference sets of folders, and what a pod that serves them answers, by the real application and its real path."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime_under_test import AppUnderTest

from embedding_model.goldens.cases import GoldenCase
from embedding_model.ports import CaseResult, ReferenceSet
from embedding_model.resolved import Declared, ResolvedModel
from embedding_model.serving import Overrides
from embedding_runtime.core.telemetry import Silent
from embedding_runtime.gate import answer_cases, ask_app
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.loading import load_model
from embedding_runtime.opening import open_model
from embedding_runtime.reference.compute import ReferenceSettings, compute_reference
from embedding_runtime.served_model import resolve_folder
from embedding_runtime.settings import Device, Dtype, ServeSettings


@dataclass(frozen=True)
class Resolved:
    """A folder and the document that says what is served of it; `path` is where the document lies."""

    folder: Path
    model: ResolvedModel
    path: Path


def resolve(folder: Path, *, declared: Declared | None = None, overrides: Overrides | None = None) -> Resolved:
    model = resolve_folder(folder, declared=declared, overrides=overrides)
    path = folder.with_name(f"{folder.name}-{model.digest()[:8]}.json")
    path.write_bytes(model.to_json())
    return Resolved(folder=folder, model=model, path=path)


def compute(resolved: Resolved) -> ReferenceSet:
    return compute_reference(ReferenceSettings(resolved=resolved.model, model=resolved.folder, device=Device.CPU))


def every_case(found: ReferenceSet) -> Sequence[GoldenCase]:
    return (*found.goldens, *found.holdout)


def answer(resolved: Resolved, *, cases: Sequence[GoldenCase], dtype: Dtype = Dtype.FLOAT32) -> tuple[CaseResult, ...]:
    """The judged answers of a pod."""
    return asyncio.run(_answer(resolved, cases=cases, dtype=dtype))


async def _answer(resolved: Resolved, *, cases: Sequence[GoldenCase], dtype: Dtype) -> tuple[CaseResult, ...]:
    settings = ServeSettings(model=resolved.folder, resolved=resolved.path, dtype=dtype, device=Device.CPU, workers=1)
    opened = await open_model(settings, load=load_model, telemetry=Silent())
    try:
        under_test = AppUnderTest(serve=settings, metrics=Metrics())
        under_test.open(opened)
        async with under_test.client:
            return await answer_cases(cases, ask=ask_app(under_test.app))
    finally:
        opened.close()


def assert_passed(resolved: Resolved, found: ReferenceSet, *, dtype: Dtype = Dtype.FLOAT32) -> None:
    """Every case of both halves."""
    results = answer(resolved, cases=every_case(found), dtype=dtype)
    failed = {result.name: result.detail for result in results if not result.passed}
    assert not failed, failed


def failed_names(resolved: Resolved, found: ReferenceSet) -> set[str]:
    """Names of the cases that a pod fails."""
    return {result.name for result in answer(resolved, cases=every_case(found)) if not result.passed}
