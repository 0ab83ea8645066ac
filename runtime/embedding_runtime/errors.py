"""Every way a request can fail. http/errors.py maps each class to a status and to each dialect's words.

RequestError
├── InvalidRequest      the request itself is wrong; `param` names the field
│   └── EmptyInput      there is nothing to answer: an empty list of texts
├── Unauthorized        no key or token that is taken here
├── UnknownModel        the model name is not served here
├── WrongTask           the model is for another task than the path
├── UnknownRoute        no such path
├── MethodNotAllowed    the path exists, the method does not
├── MalformedRequest    what came cannot be read as HTTP
├── HeadTooLarge        the headers take too much
├── HeadTimeout         the client stopped sending its headers
├── BodyTooLarge        over the body limit
├── BodyTimeout         the client stopped sending its body, or sends it too slowly
├── SpaceMismatch       the client pinned another vector space than the answer would have
├── Overloaded          the queue is full, or the bodies under way take too much memory
├── NotReady            loading, gated by golden cases, or shutting down
│   └── DeviceFailed    the device computes nothing any more: another server has to answer
├── DeadlineExceeded    waited longer than the request timeout
└── InferenceFailed     the model could not answer
    ├── MemoryExhausted one input alone takes more memory than the device has free
    ├── NonFiniteOutput the model answered NaN or infinity
    ├── TokenizerFailed the tokenizer broke at an input
    ├── UnknownToken    the tokenizer gave an id that the model's weights have no embedding for
    └── MissingEndToken the tokenizer left out the token that the model's vectors are read from
"""

from collections.abc import Collection


class RequestError(Exception):
    """`message` says what was expected, what came and what to do, and never holds text of the user."""

    def __init__(self, message: str, *, param: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after  # seconds, at least 1 where given: clients take 0 as "now"


class InvalidRequest(RequestError):
    pass


class EmptyInput(InvalidRequest):
    pass


class Unauthorized(RequestError):
    pass


class UnknownModel(RequestError):
    pass


class WrongTask(RequestError):
    pass


class UnknownRoute(RequestError):
    pass


class MethodNotAllowed(RequestError):
    """`allowed`: the methods that the path takes."""

    def __init__(self, message: str, *, allowed: Collection[str] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class MalformedRequest(RequestError):
    pass


class HeadTooLarge(RequestError):
    pass


class HeadTimeout(RequestError):
    pass


class BodyTooLarge(RequestError):
    pass


class BodyTimeout(RequestError):
    pass


class SpaceMismatch(RequestError):
    pass


class Overloaded(RequestError):
    pass


class NotReady(RequestError):
    pass


class DeviceFailed(NotReady):
    pass


class DeadlineExceeded(RequestError):
    pass


class InferenceFailed(RequestError):
    pass


class MemoryExhausted(InferenceFailed):
    pass


class NonFiniteOutput(InferenceFailed):
    pass


class TokenizerFailed(InferenceFailed):
    pass


class UnknownToken(InferenceFailed):
    pass


class MissingEndToken(InferenceFailed):
    pass
