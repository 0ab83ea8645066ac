"""What a dialect is to the app: routes, and its own form of an error. And what its handlers get and give."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from embedding_model import ports
from embedding_model.resolved import Task
from embedding_runtime.core.engine import Engine
from embedding_runtime.core.tokenizing import TokenizerThreads
from embedding_runtime.errors import SpaceMismatch, UnknownModel, WrongTask
from embedding_runtime.http.errors import ONE_TABLE, ErrorBody, Statuses
from embedding_runtime.http.messages import Request, Response
from embedding_runtime.memory import LoadMemory
from embedding_runtime.served_model import ServedModel

# Where each task is asked for, as messages name it.
PATHS: Mapping[Task, tuple[str, ...]] = {
    Task.EMBEDDING: ("POST /v1/embeddings",),
    Task.RERANKING: ("POST /rerank",),
    Task.CLASSIFICATION: ("POST /predict",),
    Task.SPARSE: ("POST /embed_sparse",),
}

PIN = ports.SPACE_HEADER.encode()


@dataclass(frozen=True)
class Limits:
    """What the server takes, of requests and at once. `tokenize_threads` is a number of threads, not a limit of use."""

    inputs: int
    queue_tokens: int
    batch_tokens: int
    tokenize_threads: int


@dataclass(frozen=True)
class Loaded:
    """What handlers answer from, once the model is loaded.

    `tokenizer` is the engine's own. `since`: when it was loaded, in seconds of Unix time. `takes_token_ids`: requests
    may bring ids in place of text. `trouble`: why the process should be restarted; empty while all is well.
    """

    model: ServedModel
    engine: Engine
    tokenizer: TokenizerThreads
    limits: Limits
    device: str
    dtype: str
    path: str
    since: int
    takes_token_ids: bool = False
    memory: LoadMemory | None = None
    trouble: Callable[[], str] = lambda: ""


@dataclass(frozen=True)
class Call:
    """A request with what it is answered from.

    `document` is its body without nulls, empty where the method has none. `prompt` is given for golden cases only and
    overrides the prompt of the served name: a name, or empty for none. `strict`: the client asks on a path of this
    dialect alone.
    """

    request: Request
    loaded: Loaded
    document: Mapping[str, Any] = field(default_factory=dict)
    prompt: str | None = None
    strict: bool = False

    @property
    def is_golden_case(self) -> bool:
        return self.prompt is not None

    def choose_name(self, name: str | None) -> str:
        """The served name that a request asks for; None: the first. Raises UnknownModel."""
        names = self.loaded.model.names
        if name is None:
            return next(iter(names))
        if name not in names:
            raise UnknownModel(f"The model does not exist here. Served: {', '.join(names)}.", param="model")
        return name

    def choose_prompt(self, name: str | None) -> str:
        """The text of the prompt that a request for the model `name` gets; empty for none. Raises UnknownModel."""
        model = self.loaded.model
        name = self.choose_name(name)
        prompt = model.names[name] if self.prompt is None else model.serving.prompt(self.prompt)
        return prompt.text if prompt else ""

    def require_task(self, *tasks: Task) -> None:
        """Raises WrongTask when the model is for none of the tasks of this path."""
        own = self.loaded.model.serving.task
        if own not in tasks:
            paths = " or ".join(PATHS[own])
            raise WrongTask(f"This path is for models of {' or '.join(tasks)}; this one is for {own}: ask {paths}.")

    def check_pin(self, suffix: str) -> None:
        """`suffix` is `space_suffix.write_suffix`'s. Raises SpaceMismatch when the client pinned another space than the
        answer would have.
        """
        space = self.loaded.model.space + suffix
        if any(pinned.replace(" ", "") != space for pinned in self.request.headers(PIN)):
            raise SpaceMismatch(
                f"The request pins another vector space than this server answers from, which is {space}. "
                "Vectors of different spaces cannot be compared: re-index, or ask a server of the pinned space."
            )


Handler = Callable[[Call], Coroutine[Any, Any, Response]]


@dataclass(frozen=True)
class Route:
    """`form` is what `handler` reads the body by, `reply` the type of what it answers with 200, `summary` a sentence:
    the three make the API's description, with `media_type`, what the answer is. `open`: it needs no key, for probes.
    """

    handler: Handler
    summary: str
    form: Any = None
    reply: Any = None
    open: bool = False
    media_type: str = "application/json"


Methods = Mapping[str, Route]


@dataclass(frozen=True)
class Dialect:
    """`routes` maps a path to its routes by method. `statuses` are those in which it differs from the one table.

    `error_reply` is the type of what `error_body` makes.
    """

    name: str
    routes: Mapping[str, Methods]
    error_body: ErrorBody
    statuses: Statuses = field(default_factory=lambda: ONE_TABLE)
    error_reply: Any = None
