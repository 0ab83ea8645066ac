"""Golden cases asked by hand of a folder, which is loaded for the purpose."""

from collections.abc import Sequence

from embedding_model.goldens.cases import GoldenCase
from embedding_model.ports import CaseResult
from embedding_model.refusal import Unavailable
from embedding_runtime.core.telemetry import Silent
from embedding_runtime.gate.answering import answer_cases
from embedding_runtime.gate.asking import NotAsked, ask_app
from embedding_runtime.http.app import App
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.lifecycle import Lifecycle
from embedding_runtime.loading import load_model
from embedding_runtime.opening import open_model
from embedding_runtime.settings import FailurePolicy, ServeSettings


async def check_folder(settings: ServeSettings, *, cases: Sequence[GoldenCase]) -> tuple[CaseResult, ...]:
    """Load a folder as `serve` does with these settings, and ask it. Raises Refusal, Unavailable."""
    opened = await open_model(settings, load=load_model, telemetry=Silent())
    try:
        lifecycle = Lifecycle(failure_policy=FailurePolicy.BLOCK)
        app = App(
            lifecycle=lifecycle,
            metrics=Metrics(),
            max_body_bytes=settings.max_body_bytes,
            max_buffered_bytes=settings.max_buffered_bytes,
        )
        app.loaded = opened.loaded
        return await answer_cases(cases, ask=ask_app(app))
    except NotAsked as error:
        raise Unavailable(f"The model could not be asked: {error}") from error
    finally:
        opened.close()
