"""A serving core without a model: words for tokens, vectors from a pure function of them."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import tokenizers
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from embedding_model.ports import GateState
from embedding_model.resolved import (
    FileEntry,
    Inspection,
    Manifest,
    Origin,
    Pooling,
    Prompt,
    ResolvedModel,
    Serving,
    SourceKind,
    Task,
    Weights,
)
from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.core.embedding import Embeddings, embed
from embedding_runtime.core.inputs import Input, Pair
from embedding_runtime.core.jobs import DENSE, Tokens
from embedding_runtime.core.telemetry import Silent
from embedding_runtime.core.tokenizing import Tokenizer
from embedding_runtime.core.vocabulary import Vocabulary
from embedding_runtime.http.app import App
from embedding_runtime.http.auth.guard import build_guard
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.lifecycle import Lifecycle, Phase
from embedding_runtime.loading import LoadedModel
from embedding_runtime.opening import Opened, open_model
from embedding_runtime.served_model import name_model
from embedding_runtime.settings import FailurePolicy, ServeSettings

DIMENSIONS = 8
SPACE = "sp1-" + "ab" * 16
REVISION = "c" * 40
PROMPTS = (Prompt(name="query", text="query: "), Prompt(name="document", text="document: "))


class WordTokenizer:
    """One token a word; the empty text has none. Its vocabulary, for who asks for tokens themselves, has two words."""

    def __init__(self, *, max_tokens: int = 512) -> None:
        self.max_tokens = max_tokens
        words = tokenizers.Tokenizer(WordLevel({"[UNK]": 0, "hello": 1, "world": 2}, unk_token="[UNK]"))
        words.pre_tokenizer = WhitespaceSplit()
        self.vocabulary = Vocabulary(words)

    def encode(self, inputs: Sequence[Input]) -> list[Tokens]:
        return [self._encode(item) for item in inputs]

    def _encode(self, item: Input) -> Tokens:
        ids = [zlib.crc32(word.encode()) for word in read(item).split()]
        return Tokens(
            ids=ids[: self.max_tokens],
            truncated=len(ids) > self.max_tokens,
            left_out=max(0, len(ids) - self.max_tokens),
            wants=DENSE if isinstance(item, Pair) else item.wants,
        )


def read(item: Input) -> str:
    """All of an input's text."""
    return f"{item.query} {item.document}" if isinstance(item, Pair) else item.prompt + item.text


async def embed_texts(
    opened: Opened, texts: Sequence[str], *, prompt: Prompt | None = None, dimensions: int | None = None
) -> Embeddings:
    loaded = opened.loaded
    text = prompt.text if prompt else ""
    return await embed(loaded.engine, texts, serving=loaded.model.serving, prompt=text, dimensions=dimensions)


def resolved_model(*, inspection: Mapping[str, Any] | None = None, **serving: Any) -> ResolvedModel:
    """An embedder, with other values of the inspection and of what is served."""
    found = {
        "task": serving.get("task", Task.EMBEDDING),
        "architecture": "BertModel",
        "family": "bert",
        "pooling": Pooling.MEAN,
        "normalize": True,
        "dimensions": DIMENSIONS,
        "max_input_tokens": 512,
        "positions": 512,
        "prompts": PROMPTS,
        "weights": Weights(bytes=4, files=1, parameters=1),
    }
    values = {
        "task": Task.EMBEDDING,
        "pooling": Pooling.MEAN,
        "include_prompt": True,
        "normalize": True,
        "dimensions": DIMENSIONS,
        "model_dimensions": DIMENSIONS,
        "max_input_tokens": 512,
        "lowercase": False,
        "prompts": PROMPTS,
    }
    return ResolvedModel(
        origin=Origin(kind=SourceKind.HUGGING_FACE, repo="acme/words", requested="main", revision=REVISION),
        manifest=Manifest(files=(FileEntry(path="model.safetensors", size=4, sha256="0" * 64),)),
        inspection=Inspection(**{**found, **(inspection or {})}),
        serving=Serving(**(values | serving)),
        space=SPACE,
    )


def loader(
    backend: FakeBackend,
    *,
    workers: int = 1,
    max_batch_tokens: int = 64,
    tokenizer: Tokenizer | None = None,
    **serving: Any,
) -> Callable[[ServeSettings], LoadedModel]:
    """Stands in for loading.load_model."""

    def load(settings: ServeSettings) -> LoadedModel:
        return LoadedModel(
            model=name_model(resolved_model(**serving), served_names=settings.served_names),
            tokenizer=tokenizer or WordTokenizer(),
            backend=backend,
            workers=workers,
            max_batch_tokens=max_batch_tokens,
            seconds={},
        )

    return load


def settings(**changes: Any) -> ServeSettings:
    return ServeSettings(**({"model": Path("/nowhere"), "served_names": ("words", "words-query=query")} | changes))


@contextlib.asynccontextmanager
async def opened_model(
    backend: FakeBackend, *, serve: ServeSettings | None = None, telemetry: Any = None, **load: Any
) -> AsyncIterator[Opened]:
    """An engine with running workers; the batches of the warm-up are forgotten."""
    opened = await open_model(serve or settings(), load=loader(backend, **load), telemetry=telemetry or Silent())
    backend.batches.clear()
    try:
        yield opened
    finally:
        opened.close()


class AppUnderTest:
    """The public application, open for traffic, and a client that speaks to it in process."""

    def __init__(self, *, serve: ServeSettings, metrics: Metrics) -> None:
        self.metrics = metrics
        self.lifecycle = Lifecycle(failure_policy=serve.failure_policy, audit_grace_seconds=serve.audit_grace_seconds)
        self.app = App(
            lifecycle=self.lifecycle,
            metrics=metrics,
            max_body_bytes=serve.max_body_bytes,
            max_buffered_bytes=serve.max_buffered_bytes,
            auth=build_guard(serve, name_model=lambda: "words"),
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://runtime")

    def open(self, opened: Opened) -> None:
        self.app.loaded = opened.loaded
        self.lifecycle.phase = Phase.LOADED
        self.lifecycle.gate = GateState.PASSED

    async def embed(self, **body: Any) -> httpx.Response:
        headers = body.pop("headers", {})
        return await self.client.post("/v1/embeddings", json={"model": "words", **body}, headers=headers)


@contextlib.asynccontextmanager
async def app_under_test(
    backend: FakeBackend | None = None, *, serve: ServeSettings | None = None, **load: Any
) -> AsyncIterator[AppUnderTest]:
    chosen = serve or settings(failure_policy=FailurePolicy.BLOCK)
    metrics = Metrics()
    under_test = AppUnderTest(serve=chosen, metrics=metrics)
    async with opened_model(backend or FakeBackend(), serve=chosen, telemetry=metrics, **load) as opened:
        under_test.open(opened)
        async with under_test.client:
            yield under_test


async def until(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    """Wait for a condition on the event loop."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the condition is about worker threads, which set no event
            await asyncio.sleep(0.005)
