"""Which dialect answers a request.

Each dialect has its routes under a prefix of its own (`/openai/v1/embeddings`), where it is strict: no other dialect's
field or error is taken or given. The same routes are there without a prefix. Where several dialects have one path, the
request's body decides, and every error there carries the keys of all dialects, for a client of any of them may read it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from embedding_runtime.http.cohere.routes import COHERE
from embedding_runtime.http.crossings import SHARED_PATHS, Crossing, Document
from embedding_runtime.http.dialect import Dialect, Methods
from embedding_runtime.http.errors import ErrorBody
from embedding_runtime.http.jina.routes import JINA
from embedding_runtime.http.openai.routes import OPENAI
from embedding_runtime.http.sagemaker import SAGEMAKER_PATHS
from embedding_runtime.http.tei.routes import TEI

DIALECTS: Sequence[Dialect] = (OPENAI, COHERE, JINA, TEI)

# Paths without a prefix that are no dialect's own, or that more than one has.
CROSSINGS: Mapping[str, Crossing] = {**SHARED_PATHS, **SAGEMAKER_PATHS}


@dataclass(frozen=True)
class Target:
    """A dialect and its routes at a path. `strict`: its own form of an error and no other."""

    dialect: Dialect
    methods: Methods
    strict: bool


@dataclass(frozen=True)
class Place:
    """What is at a path: targets, the first of which answers while the body is not known, and which body is whose.

    `choose` gives the number of a target. `pattern`: the path as the dialect has it, where it ends in a name that the
    client gives.
    """

    targets: Sequence[Target]
    choose: Callable[[Document], int] = lambda document: 0
    pattern: str = ""


class Router:
    """`dialects`: the first is the one whose form of an error a path without a prefix gets that nobody has."""

    def __init__(
        self, dialects: Sequence[Dialect] = DIALECTS, *, crossings: Mapping[str, Crossing] = CROSSINGS
    ) -> None:
        self._dialects = dialects
        self._places: dict[str, Place] = {}
        for dialect in dialects:
            for path, methods in dialect.routes.items():
                own = f"/{dialect.name}{path}"
                self._places[own] = _place(own, target=Target(dialect, methods, strict=True))
                if path in crossings:
                    continue
                if path in self._places:
                    raise ValueError(f"several dialects have {path}: a crossing has to say which body is whose")
                self._places[path] = _place(path, target=Target(dialect, methods, strict=False))
        for path, crossing in crossings.items():
            targets = [Target(dialect, dialect.routes[own], strict=False) for dialect, own in crossing.ways]
            self._places[path] = Place(targets, choose=crossing.choose)
        self._nowhere = Place([Target(dialects[0], {}, strict=False)])
        self._nowhere_of = {dialect.name: Place([Target(dialect, {}, strict=True)]) for dialect in dialects}
        self._described = tuple(self._places)
        self._patterns = [(path.partition("{")[0], place) for path, place in self._places.items() if place.pattern]

    @property
    def dialects(self) -> Sequence[Dialect]:
        return self._dialects

    @property
    def places(self) -> Mapping[str, Place]:
        return self._places

    @property
    def paths_of_dialects(self) -> Sequence[str]:
        """All paths but those of pages."""
        return self._described

    def add_pages(self, pages: Dialect) -> None:
        """Paths that are about the others; they have no prefix."""
        for path, methods in pages.routes.items():
            self._places[path] = Place([Target(pages, methods, strict=False)])

    def find(self, path: str) -> Place:
        """The place of a path; one without methods where nothing is, which below a prefix is its dialect's."""
        stripped = path.rstrip("/")
        exact = self._places.get(path) or self._places.get(stripped) or self._places.get(stripped + "/")
        if exact is not None:
            return exact
        named = (place for start, place in self._patterns if path.startswith(start) and len(stripped) > len(start))
        prefix = path[1:].partition("/")[0]
        return next(named, self._nowhere_of.get(prefix, self._nowhere))

    def error_bodies(self, target: Target) -> Sequence[ErrorBody]:
        """Forms of an error, the target's own first."""
        others = [] if target.strict else [dialect.error_body for dialect in self._dialects]
        return [target.dialect.error_body, *others]


def _place(path: str, *, target: Target) -> Place:
    """A path may end in `{name}`: whatever stands there, slashes among it."""
    return Place([target], pattern=path if "{" in path else "")
