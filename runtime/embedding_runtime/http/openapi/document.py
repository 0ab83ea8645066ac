"""The OpenAPI 3.1 document: every path of the router, with and without its dialect's prefix."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from embedding_runtime import errors
from embedding_runtime.errors import RequestError
from embedding_runtime.http.dialect import Dialect, Route
from embedding_runtime.http.openapi.examples import make_example
from embedding_runtime.http.openapi.failures import HEADERS as ERROR_HEADERS
from embedding_runtime.http.openapi.failures import OF_ALL, OF_ANSWERS, Failures
from embedding_runtime.http.openapi.headers import ANSWER_HEADERS, MEASURED_HEADERS, PIN, refer_to
from embedding_runtime.http.openapi.schemas import Schema, Schemas, any_of
from embedding_runtime.http.routing import Router, Target

TITLE = "embedding-runtime"
KEY = "key"
JSON = "application/json"

_SUMMARY = "Embeddings and reranking in the dialects that clients already speak."
_DESCRIPTION = """\
Each dialect has its paths twice: without a prefix, and strictly under its own (`/openai/v1/embeddings`). Without a \
prefix, where several dialects have one path, the body decides, and errors carry the keys of all dialects.

Every answer names its vector space in `x-embedding-space`; vectors of different spaces cannot be compared. Unknown \
fields of a body are ignored, and null means absent.\
"""


@dataclass(frozen=True)
class Way:
    """A dialect's route at a path, and the schemas of its body and of its answer."""

    target: Target
    route: Route
    form: Schema | None
    reply: Schema


def describe_api(router: Router, *, limits: Mapping[str, Schema], secured: bool) -> dict[str, Any]:
    """`limits`: see `limits.find_limits`. `secured`: routes need a key, but for the open ones."""
    writer = _Writer(router, limits=limits, secured=secured)
    paths = {path: writer.describe_path(path) for path in sorted(router.paths_of_dialects)}
    components: dict[str, Any] = {
        "schemas": writer.schemas.find_used(paths, writer.failures.components),
        "responses": writer.failures.components,
        "headers": {**ANSWER_HEADERS, **MEASURED_HEADERS, **ERROR_HEADERS},
        "parameters": {PIN["name"]: PIN},
    }
    if secured:
        components["securitySchemes"] = {KEY: {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "summary": _SUMMARY,
            "description": _DESCRIPTION,
            "version": version("embedding-operator"),
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        **({"security": [{KEY: []}]} if secured else {}),
        "tags": [{"name": dialect.name} for dialect in router.dialects],
        "paths": paths,
        "components": components,
    }


class _Writer:
    def __init__(self, router: Router, *, limits: Mapping[str, Schema], secured: bool) -> None:
        self._router = router
        self._secured = secured
        self._limits = limits
        self.schemas = Schemas(limits=limits)
        self.failures = Failures(self.schemas, dialects=router.dialects)
        self._forms: dict[tuple[str, int], Schema] = {}
        self._replies: dict[tuple[str, int], Schema] = {}
        for dialect in router.dialects:
            self._add_types(dialect)

    def describe_path(self, path: str) -> dict[str, Any]:
        targets = self._router.places[path].targets
        methods = dict.fromkeys(method for target in targets for method in target.methods)
        return {
            method.lower(): self._describe_operation(
                path,
                method=method,
                ways=[self._find_way(target, method=method) for target in targets if method in target.methods],
            )
            for method in methods
        }

    def _describe_operation(self, path: str, *, method: str, ways: Sequence[Way]) -> dict[str, Any]:
        """Where several dialects answer, any of their bodies, answers and errors may come."""
        first = ways[0]
        operation: dict[str, Any] = {
            "tags": list(dict.fromkeys(way.target.dialect.name for way in ways)),
            "operationId": _name_operation(path, method=method),
            "summary": " / ".join(dict.fromkeys(way.route.summary for way in ways)),
        }
        if first.route.open and self._secured:
            operation["security"] = []
        if "{" in path:
            operation["parameters"] = [self._describe_name(path)]
        forms = [way.form for way in ways if way.form is not None]
        if forms:
            operation["parameters"] = [{"$ref": f"#/components/parameters/{PIN['name']}"}]
            operation["requestBody"] = {"required": True, "content": {JSON: self._describe_body(forms)}}
        measured = refer_to(MEASURED_HEADERS) if method == "POST" else {}
        answer = {
            "description": "The answer.",
            "headers": {**refer_to(ANSWER_HEADERS), **measured},
            "content": {first.route.media_type: {"schema": any_of(way.reply for way in ways)}},
        }
        operation["responses"] = {"200": answer, **self._describe_failures(ways, method=method, path=path)}
        return operation

    def _describe_name(self, path: str) -> dict[str, Any]:
        """A path ends in no other name than that of a model."""
        name = path.partition("{")[2].removesuffix("}")
        return {"name": name, "in": "path", "required": True, "schema": self._limits.get(name, {"type": "string"})}

    def _describe_body(self, forms: Sequence[Schema]) -> dict[str, Any]:
        return {"schema": any_of(forms), "example": make_example(forms[0], schemas=self.schemas)}

    def _describe_failures(self, ways: Sequence[Way], *, method: str, path: str) -> dict[str, Schema]:
        kinds: list[type[RequestError]] = [*OF_ALL]
        if self._secured and not all(way.route.open for way in ways):
            kinds.append(errors.Unauthorized)
        if method == "POST":
            kinds += OF_ANSWERS
        if "{" in path or any(self._names_model(way.form) for way in ways):
            kinds.append(errors.UnknownModel)
        return self.failures.describe([way.target for way in ways], kinds=kinds)

    def _names_model(self, form: Schema | None) -> bool:
        """Whether a body of this form, or of one of its kinds, says which model it asks."""
        if form is None:
            return False
        whole = self.schemas.resolve(form)
        choices = [*whole.get("anyOf", ()), *whole.get("oneOf", ())]
        return "model" in whole.get("properties", {}) or any(self._names_model(choice) for choice in choices)

    def _add_types(self, dialect: Dialect) -> None:
        """All of a dialect's types at once, so that those of the same name can be told apart."""
        prefix = dialect.name.capitalize()
        routes = [route for methods in dialect.routes.values() for route in methods.values()]
        forms = list({id(route.form): route.form for route in routes if route.form is not None}.values())
        replies = list({id(route.reply): route.reply for route in routes if route.reply is not None}.values())
        for form, schema in zip(forms, self.schemas.add_forms(forms, prefix=prefix), strict=True):
            self._forms[dialect.name, id(form)] = schema
        for reply, schema in zip(replies, self.schemas.add_replies(replies, prefix=prefix), strict=True):
            self._replies[dialect.name, id(reply)] = schema

    def _find_way(self, target: Target, *, method: str) -> Way:
        route, name = target.methods[method], target.dialect.name
        return Way(
            target=target,
            route=route,
            form=self._forms[name, id(route.form)] if route.form is not None else None,
            reply=self._replies[name, id(route.reply)] if route.reply is not None else {},
        )


def _name_operation(path: str, *, method: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", path) or ["root"]
    return "_".join([method.lower(), *words])
