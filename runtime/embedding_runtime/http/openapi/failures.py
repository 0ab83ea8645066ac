"""The answers of a path that are errors: which status means what, and in which form."""

from collections.abc import Iterable, Mapping, Sequence

from embedding_runtime import errors
from embedding_runtime.errors import RequestError
from embedding_runtime.http.dialect import Dialect
from embedding_runtime.http.errors import TABLE, find_status
from embedding_runtime.http.openapi.headers import refer_to
from embedding_runtime.http.openapi.schemas import Schema, Schemas, any_of
from embedding_runtime.http.routing import Target

# What each error means to somebody who reads the description.
MEANINGS: Mapping[type[RequestError], str] = {
    errors.InvalidRequest: "The request is wrong; the message names the field.",
    errors.EmptyInput: "There is nothing to answer: a list without texts.",
    errors.Unauthorized: "No key or token that is taken here.",
    errors.UnknownModel: "The model is not served here; the message names those that are.",
    errors.WrongTask: "The model is for another task; the message names its paths.",
    errors.UnknownRoute: "There is no such path.",
    errors.MethodNotAllowed: "The path takes other methods.",
    errors.SpaceMismatch: "The answer would lie in another vector space than the request pins.",
    errors.MalformedRequest: "What came cannot be read as HTTP/1.1.",
    errors.HeadTimeout: "The headers did not come in time.",
    errors.HeadTooLarge: "The headers take too much.",
    errors.BodyTimeout: "The body did not come in time.",
    errors.BodyTooLarge: "The body is too large: send fewer inputs in one request.",
    errors.Overloaded: "Too much is under way: retry after the seconds of `retry-after`.",
    errors.NotReady: "Loading, held back by its golden cases, or shutting down.",
    errors.DeadlineExceeded: "The request waited too long and was given up.",
    errors.DeviceFailed: "The device failed; the server starts anew.",
    errors.InferenceFailed: "The model could not answer.",
    errors.MemoryExhausted: "One of the inputs takes more memory than there is.",
    errors.NonFiniteOutput: "The model answered NaN or infinity for one of the inputs.",
    errors.TokenizerFailed: "The tokenizer failed at one of the inputs.",
    errors.UnknownToken: "The tokenizer gave an id that the model has no embedding for.",
    errors.MissingEndToken: "The tokenizer left out the token that the vectors are read from.",
}

# What depends on more than a model that answers; `document` says where else each may come from.
_ELSEWHERE = (errors.Unauthorized, errors.UnknownModel, errors.UnknownRoute, errors.MethodNotAllowed)

# What can go wrong wherever somebody asks, and what wherever a model answers.
OF_ALL: Sequence[type[RequestError]] = (
    errors.MalformedRequest,
    errors.HeadTimeout,
    errors.HeadTooLarge,
    errors.NotReady,
    errors.InferenceFailed,
)
OF_ANSWERS: Sequence[type[RequestError]] = tuple(
    kind for kind in {**MEANINGS, **TABLE} if kind not in (*OF_ALL, *_ELSEWHERE)
)

RETRY_AFTER = "retry-after"
SHOULD_RETRY = "x-should-retry"
AUTHENTICATE = "www-authenticate"

HEADERS: Mapping[str, Schema] = {
    RETRY_AFTER: {"description": "Seconds, at least 1.", "schema": {"type": "integer", "minimum": 1}},
    SHOULD_RETRY: {
        "description": "`false` where the same request would fail again, although SDKs retry its status.",
        "schema": {"type": "string", "enum": ["false"]},
    },
    AUTHENTICATE: {"description": "How to authenticate.", "schema": {"type": "string"}},
}


class Failures:
    """Collects the error answers of `components`. `dialects`: all that are served, in the router's order."""

    def __init__(self, schemas: Schemas, *, dialects: Sequence[Dialect]) -> None:
        self.components: dict[str, Schema] = {}
        self._schemas = schemas
        self._dialects = dialects
        self._own = {
            dialect.name: schemas.add_replies([dialect.error_reply or dict], prefix=dialect.name.capitalize())[0]
            for dialect in dialects
        }

    def describe(self, targets: Sequence[Target], *, kinds: Iterable[type[RequestError]]) -> dict[str, Schema]:
        """References by status, for a path that these targets answer."""
        by_status: dict[int, list[type[RequestError]]] = {}
        for kind in kinds:
            for target in targets:
                named = by_status.setdefault(find_status(kind, statuses=target.dialect.statuses), [])
                if kind not in named:
                    named.append(kind)
        return {
            str(status): self._describe_status(status, kinds=named, targets=targets)
            for status, named in sorted(by_status.items())
        }

    def _describe_status(
        self, status: int, *, kinds: Sequence[type[RequestError]], targets: Sequence[Target]
    ) -> Schema:
        response = {
            "description": " ".join(find_meaning(kind) for kind in kinds),
            "headers": refer_to(_headers_of(kinds)),
            "content": {"application/json": {"schema": any_of(self._body(target) for target in targets)}},
        }
        bodies = dict.fromkeys(_name_body(target) for target in targets)
        name = "_".join([*bodies, str(status), *(kind.__name__ for kind in kinds)])
        self.components[name] = response
        return {"$ref": f"#/components/responses/{name}"}

    def _body(self, target: Target) -> Schema:
        """The dialect's own form; without a prefix with all the others' keys, as `errors.render` merges them."""
        own = self._own[target.dialect.name]
        if target.strict:
            return own
        properties: dict[str, Schema] = {}
        required: dict[str, None] = {}
        for schema in [*(self._own[dialect.name] for dialect in reversed(self._dialects)), own]:
            whole = self._schemas.resolve(schema)
            properties = {**properties, **whole.get("properties", {})}
            required |= dict.fromkeys(whole.get("required", ()))
        merged = {
            "type": "object",
            "description": "The error in the words of every dialect.",
            "properties": properties,
            "required": list(required),
        }
        return self._schemas.add(_name_body(target), merged)


def find_meaning(kind: type[RequestError]) -> str:
    return next(MEANINGS[named] for named in kind.__mro__ if named in MEANINGS)


def _name_body(target: Target) -> str:
    return f"{target.dialect.name.capitalize()}Error" + ("" if target.strict else "WithAllKeys")


def _headers_of(kinds: Sequence[type[RequestError]]) -> list[str]:
    found = []
    if any(issubclass(kind, errors.Overloaded | errors.NotReady) for kind in kinds):
        found.append(RETRY_AFTER)
    if any(issubclass(kind, errors.SpaceMismatch | errors.InferenceFailed) for kind in kinds):
        found.append(SHOULD_RETRY)
    if any(issubclass(kind, errors.Unauthorized) for kind in kinds):
        found.append(AUTHENTICATE)
    return found
