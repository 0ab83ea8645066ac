"""The private port over an application in process, and golden cases that its fake model passes or fails."""

import base64
import threading
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import httpx
import numpy as np
from runtime_under_test import DIMENSIONS, AppUnderTest, WordTokenizer, until

from embedding_model.goldens.cases import CaseSet, GoldenCase, SimilarityCase, VectorCase
from embedding_runtime.backends.fake import vector_of
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.http.auth.operator_token import TokenCheck
from embedding_runtime.http.private import PrivatePort


def vector_case(name: str, *, text: str, right: bool = True, prompt: str | None = None) -> VectorCase:
    prefix = f"{prompt}: " if prompt else ""
    [tokens] = WordTokenizer().encode([Text(prefix + text)])
    vector = vector_of(tokens.ids, dimensions=DIMENSIONS) * (1 if right else -1)
    vector = (vector / np.linalg.norm(vector)).astype("<f4")
    return VectorCase(
        name=name,
        input=text,
        prompt=prompt,
        vector=base64.b64encode(vector.tobytes()).decode(),
        min_cosine_similarity="0.999",
    )


def similarity_case(name: str, *, expected: str) -> SimilarityCase:
    return SimilarityCase(name=name, a="one text", b="one text", expected=expected, tolerance="0.001")


RIGHT = vector_case("right", text="hello world")
WRONG = vector_case("wrong", text="secret text", right=False)


class NobodyChecked(TokenCheck):
    """Lets everybody in: the token has tests of its own."""

    def __init__(self) -> None:
        super().__init__(None)

    def check(self, authorization: str | None) -> None:
        pass


class PrivateUnderTest:
    def __init__(self, runtime: AppUnderTest, *, cases: Sequence[GoldenCase], token_check: TokenCheck | None = None):
        self.trouble = ""
        self.port = PrivatePort(
            app=runtime.app,
            lifecycle=runtime.lifecycle,
            metrics=runtime.metrics,
            token_check=token_check or NobodyChecked(),
            cases=CaseSet(cases=tuple(cases)),
            trouble=lambda: self.trouble,
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.port.asgi), base_url="http://private")

    async def status(self, path: str) -> int:
        return (await self.client.get(path)).status_code

    async def post_and_give_up(self, path: str, *, content: bytes, once: Callable[[], bool]) -> None:
        """Post all of `content`, and be gone as soon as `once` holds. Returns when the port is done with it."""
        messages = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await until(once)
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            pass

        scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
        await self.port.asgi(scope, receive, send)


class Held:
    """A backend's `before` that holds every batch until it is let go."""

    def __init__(self) -> None:
        self.shut, self.go = threading.Event(), threading.Event()

    def __call__(self, batch: Sequence[Tokens]) -> None:
        if self.shut.is_set():
            assert self.go.wait(30), "the test never let the worker go"
