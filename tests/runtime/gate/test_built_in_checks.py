"""Built-in checks: every healthy model passes them, and what they are for fails them."""

import asyncio
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import seeded_models
from multi_head_models import build_multi_head
from runtime_under_test import WordTokenizer, app_under_test, resolved_model
from served_tasks import SERVED, SPARSE_HEAD, fake_backend
from sparse_models import build_splade

from embedding_model.goldens.compare import encode_vector
from embedding_model.goldens.questions import Answer, LabelScore
from embedding_model.inspection.families.heads import Head
from embedding_model.ports import CaseResult
from embedding_model.resolved import Side, Task, TokenHead, TokenHeadKind
from embedding_runtime.backends.fake import FakeBackend, vector_of
from embedding_runtime.core.inputs import Input
from embedding_runtime.core.jobs import Output, SparseVector, Tokens
from embedding_runtime.core.telemetry import Silent
from embedding_runtime.gate.answer_checks import check_answers, judge_answers
from embedding_runtime.gate.token_checks import check_tokens
from embedding_runtime.http.app import App
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.lifecycle import Lifecycle
from embedding_runtime.loading import load_model
from embedding_runtime.opening import Load, open_model
from embedding_runtime.settings import Dtype, FailurePolicy, ServeSettings

COMPUTED = {"check.finite", "check.batch", "check.neighbours"}


async def run_checks(app: App) -> dict[str, CaseResult]:
    assert app.loaded is not None
    results = [*await check_answers(app), *await check_tokens(app.loaded)]
    assert {result.kind for result in results} <= {"check"}
    return {result.name: result for result in results}


async def check_model(serve: ServeSettings, *, load: Load = load_model) -> dict[str, CaseResult]:
    opened = await open_model(serve, load=load, telemetry=Silent())
    try:
        app = App(
            lifecycle=Lifecycle(failure_policy=FailurePolicy.BLOCK),
            metrics=Metrics(),
            max_body_bytes=serve.max_body_bytes,
            max_buffered_bytes=serve.max_buffered_bytes,
        )
        app.loaded = opened.loaded
        return await run_checks(app)
    finally:
        opened.close()


def failed(results: dict[str, CaseResult]) -> list[str]:
    return [name for name, result in results.items() if not result.passed]


def check_folder(folder: Path, *, dtype: Dtype) -> dict[str, CaseResult]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries that are imported here first
        return asyncio.run(check_model(ServeSettings(model=folder, dtype=dtype, workers=1)))


@pytest.mark.parametrize("family", seeded_models.RECIPES)
def test_an_embedder_of_every_family_passes_in_full_and_in_half_precision(family: str, tmp_path: Path) -> None:
    ends = family in seeded_models.DECODERS
    folder = seeded_models.build(tmp_path, family=family, pooling="lasttoken" if ends else "mean")
    for dtype in (Dtype.FLOAT32, Dtype.BFLOAT16):
        results = check_folder(folder, dtype=dtype)
        assert failed(results) == []
        expected = {*COMPUTED, "check.norm", "check.dimensions", "check.truncation"}
        assert set(results) == expected | ({"check.end_token"} if ends else set())


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("family", ["bert", "mpnet", "modernbert"])
def test_rerankers_and_classifiers_pass(family: str, labels: int, tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family=family, head=Head.SEQUENCE_CLASSIFICATION, labels=labels)
    for dtype in (Dtype.FLOAT32, Dtype.BFLOAT16):
        results = check_folder(folder, dtype=dtype)
        assert failed(results) == []
        assert set(results) >= {*COMPUTED, "check.truncation"}


def test_a_sparse_model_passes(tmp_path: Path) -> None:
    assert failed(check_folder(build_splade(tmp_path), dtype=Dtype.FLOAT32)) == []


def test_real_embedders_pass(minilm_folder: Path, sre_folder: Path) -> None:
    for folder in (minilm_folder, sre_folder):
        assert failed(check_folder(folder, dtype=Dtype.FLOAT32)) == []


@pytest.mark.parametrize("task", Task)
async def test_a_fake_model_of_every_task_passes(task: Task) -> None:
    async with app_under_test(fake_backend(task), task=task, **SERVED[task]) as runtime:
        results = await run_checks(runtime.app)
    assert failed(results) == []
    assert set(results) >= {*COMPUTED, "check.truncation"}


async def test_the_cost_is_twelve_short_texts() -> None:
    backend = FakeBackend()
    async with app_under_test(backend) as runtime:
        await run_checks(runtime.app)
    lengths = [length for batch in backend.batches for length in batch]
    assert len(lengths) == 12
    assert max(lengths) < 32


MULTI_VECTOR_HEAD = TokenHead(kind=TokenHeadKind.MULTI_VECTOR, file="colbert_linear.safetensors", output_dimensions=8)
HEADS = (SPARSE_HEAD, MULTI_VECTOR_HEAD)
OF_HEADS = {f"{name}.{head}" for name in COMPUTED for head in ("sparse", "multi-vector")}


def test_an_embedder_with_further_heads_passes_in_full_and_in_half_precision(tmp_path: Path) -> None:
    folder = build_multi_head(tmp_path)
    for dtype in (Dtype.FLOAT32, Dtype.BFLOAT16):
        results = check_folder(folder, dtype=dtype)
        assert failed(results) == []
        assert set(results) == {*COMPUTED, *OF_HEADS, "check.norm", "check.dimensions", "check.truncation"}


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_each_head_costs_twelve_short_texts_more(count: int) -> None:
    backend = FakeBackend()
    async with app_under_test(backend, inspection={"token_heads": HEADS[:count]}) as runtime:
        await run_checks(runtime.app)
    assert sum(len(batch) for batch in backend.batches) == 12 * (1 + count)


class WrongHeads(FakeBackend):
    """Dense vectors are right. The answers of the further heads are `wrong`: they depend on the longest text of a
    batch, belong to other texts of it, or are no numbers."""

    def __init__(self, wrong: str) -> None:
        super().__init__()
        self.wrong = wrong

    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        outputs = super().compute(batch)
        if self.wrong == "turned":
            pairs = zip(outputs, outputs[::-1], strict=True)
            return [replace(one, sparse=two.sparse, token_vectors=two.token_vectors) for one, two in pairs]
        longest = max(len(tokens.ids) for tokens in batch)
        added = np.float32(np.nan if self.wrong == "not finite" else 3 if longest % 2 else -3)
        return [add(output, added=added) for output in outputs]


def add(output: Output, *, added: np.float32) -> Output:
    """To the first weight, and to the first value of each token's vector."""
    sparse, vectors = output.sparse, output.token_vectors
    if sparse is not None:
        first = np.arange(len(sparse.values)) == 0
        sparse = SparseVector(indices=sparse.indices, values=np.where(first, sparse.values + added, sparse.values))
    if vectors is not None:
        vectors = np.where(np.arange(vectors.shape[1]) == 0, vectors + added, vectors)
    return replace(output, sparse=sparse, token_vectors=vectors)


@pytest.mark.parametrize("heads", [HEADS, HEADS[:1], HEADS[1:], ()])
@pytest.mark.parametrize(
    ("wrong", "checks"),
    [("padded", ["batch", "neighbours"]), ("turned", ["batch", "neighbours"]), ("not finite", ["finite"])],
)
async def test_a_fault_of_a_head_alone_is_found(wrong: str, checks: list[str], heads: Sequence[TokenHead]) -> None:
    async with app_under_test(WrongHeads(wrong), inspection={"token_heads": tuple(heads)}) as runtime:
        results = await run_checks(runtime.app)
    names = ["sparse" if head is SPARSE_HEAD else "multi-vector" for head in heads]
    assert failed(results) == [f"check.{check}.{name}" for name in names for check in checks]
    assert all(name in results[f"check.{check}.{name}"].detail for name in names for check in checks)


class ByNeighbours(FakeBackend):
    """Answers that depend on the longest text of a batch, as with padding that is not masked."""

    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        longest = max(len(tokens.ids) for tokens in batch)
        outputs = super().compute(batch)
        return [replace(out, dense=out.dense + 0.2 * longest) for out in outputs if out.dense is not None]


class Turned(FakeBackend):
    """Gives the answers of a batch to the wrong texts."""

    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        return super().compute(batch)[::-1]


class OneNaN(FakeBackend):
    def _describe(self, tokens: Tokens) -> Output:
        output = super()._describe(tokens)
        assert output.dense is not None
        output.dense[3] = np.nan
        return output


@pytest.mark.parametrize(
    ("backend", "names"),
    [
        (lambda: ByNeighbours(), ["check.batch", "check.neighbours"]),
        (lambda: Turned(), ["check.batch", "check.neighbours"]),
        (lambda: OneNaN(), ["check.finite"]),
        (lambda: FakeBackend(dimensions=4), ["check.dimensions"]),
    ],
)
async def test_a_fault_fails_the_check_that_is_for_it(backend: Callable[[], FakeBackend], names: list[str]) -> None:
    async with app_under_test(backend()) as runtime:
        results = await run_checks(runtime.app)
    assert failed(results) == names
    assert all(results[name].detail for name in names)


@pytest.mark.parametrize("task", [Task.RERANKING, Task.CLASSIFICATION])
async def test_scores_that_depend_on_neighbours_fail(task: Task) -> None:
    backend = ByNeighbours(dimensions=1 if task is Task.RERANKING else 3)
    backend.compute = _spread(backend.compute)  # type: ignore[method-assign]
    async with app_under_test(backend, task=task, **SERVED[task]) as runtime:
        results = await run_checks(runtime.app)
    assert failed(results) == ["check.batch", "check.neighbours"]


def _spread(compute: Callable[[Sequence[Tokens]], list[Output]]) -> Callable[[Sequence[Tokens]], list[Output]]:
    """Moves only the first logit: a softmax does not see what moves all of them."""

    def spread(batch: Sequence[Tokens]) -> list[Output]:
        outputs = []
        for output, tokens in zip(compute(batch), batch, strict=True):
            assert output.dense is not None
            width = len(output.dense)
            own = vector_of(tokens.ids, dimensions=width)
            moved = output.dense - own
            outputs.append(Output(dense=np.where(np.arange(width) == 0, own + moved, own)))
        return outputs

    return spread


def embedded(values: Sequence[float]) -> Answer:
    return Answer(vector=encode_vector(values))


UNIT = embedded([0.6, 0.8, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([0.6, 0.8, 0, 0, 0, 0, 0, 0], []),
        ([0.66, 0.88, 0, 0, 0, 0, 0, 0], ["check.norm"]),
        ([0.0] * 8, ["check.norm", "check.batch"]),
        ([0.8, 0.6, 0, 0, 0, 0, 0, 0], ["check.batch"]),
        ([0.6, 0.8, 0, 0], ["check.dimensions"]),
        ([0.6, float("inf"), 0, 0, 0, 0, 0, 0], ["check.finite"]),
    ],
)
def test_vectors_are_judged(values: list[float], names: list[str]) -> None:
    results = judge_answers(
        [UNIT, UNIT], together=[UNIT, embedded(values)], beside=UNIT, resolved=resolved_model(), dtype="float32"
    )
    assert [result.name for result in results if not result.passed] == names


def test_a_norm_that_is_just_wrong_is_not_reported_as_the_threshold() -> None:
    wrong = embedded([1.0100002, 0, 0, 0, 0, 0, 0, 0])
    results = judge_answers([wrong], together=[wrong], beside=wrong, resolved=resolved_model(), dtype="float32")
    [norm] = [result for result in results if not result.passed]
    assert (norm.name, norm.measured, norm.threshold) == ("check.norm", "0.010001", "0.01")


def test_vectors_that_are_nearly_zero_are_not_judged_by_their_direction() -> None:
    tiny = [embedded([sign * 1e-8] * 8) for sign in (1, -1)]
    results = judge_answers(
        tiny[:1], together=tiny[1:], beside=tiny[0], resolved=resolved_model(normalize=False), dtype="float32"
    )
    assert [result for result in results if not result.passed] == []


def test_half_precision_is_given_more_room() -> None:
    angle = 0.03  # cosine 0.99955
    turned = embedded([float(np.cos(angle)), float(np.sin(angle)), 0, 0, 0, 0, 0, 0])
    one = embedded([1, 0, 0, 0, 0, 0, 0, 0])

    def batch(dtype: str) -> CaseResult:
        results = judge_answers([one], together=[turned], beside=turned, resolved=resolved_model(), dtype=dtype)
        return next(result for result in results if result.name == "check.batch")

    full, half = batch("float32"), batch("bfloat16")
    assert (full.passed, full.measured, full.threshold) == (False, "0.999550", "0.9999")
    assert (half.passed, half.threshold) == (True, "0.999")


def test_labels_of_one_name_are_told_apart() -> None:
    answer = Answer(labels=(LabelScore(label="yes", score=0.7), LabelScore(label="yes", score=0.3)))
    resolved = resolved_model(task=Task.CLASSIFICATION, inspection={"labels": ("yes", "yes")})
    results = judge_answers([answer], together=[answer], beside=answer, resolved=resolved, dtype="float32")
    assert [result for result in results if not result.passed] == []


class Cutting(WordTokenizer):
    """One that keeps the end of a text that it is told to cut at its end."""

    def _encode(self, item: Input) -> Tokens:
        tokens = super()._encode(item)
        if not tokens.truncated:
            return tokens
        return replace(tokens, ids=[*list(tokens.ids)[:-1], tokens.left_out])


class Overlong(WordTokenizer):
    """One that lets more tokens through than it says."""

    def _encode(self, item: Input) -> Tokens:
        self.max_tokens += 1
        try:
            return super()._encode(item)
        finally:
            self.max_tokens -= 1


@pytest.mark.parametrize("tokenizer", [Cutting, Overlong])
async def test_a_cut_that_is_not_the_same_for_every_longer_text_fails(tokenizer: type[WordTokenizer]) -> None:
    async with app_under_test(tokenizer=tokenizer(max_tokens=20)) as runtime:
        results = await run_checks(runtime.app)
    assert failed(results) == ["check.truncation"]


async def test_a_model_that_keeps_the_end_of_texts_is_asked_for_that() -> None:
    class KeepsEnd(WordTokenizer):
        def _encode(self, item: Input) -> Tokens:
            whole = WordTokenizer(max_tokens=10**6)._encode(item)
            ids = list(whole.ids)[-self.max_tokens :]
            return replace(whole, ids=ids, truncated=len(whole.ids) > len(ids), left_out=len(whole.ids) - len(ids))

    async with app_under_test(tokenizer=KeepsEnd(max_tokens=20), truncation_side=Side.LEFT) as runtime:
        assert failed(await run_checks(runtime.app)) == []


class Mute(WordTokenizer):
    """A vocabulary of another script: no check text has a token."""

    def _encode(self, item: Input) -> Tokens:
        return replace(super()._encode(item), ids=[])


async def test_texts_without_a_token_are_left_out() -> None:
    async with app_under_test() as runtime:
        assert runtime.app.loaded is not None
        runtime.app.loaded.tokenizer._tokenizer = Mute()  # a server does not start with it: it cannot be warmed up
        assert await run_checks(runtime.app) == {}
