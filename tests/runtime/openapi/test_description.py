"""GET /openapi.json: it names every path, says nothing that does not hold, and can be read by tools."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import schemathesis
from runtime_under_test import app_under_test, resolved_model

from embedding_runtime.errors import RequestError
from embedding_runtime.http.errors import TABLE
from embedding_runtime.http.openapi.document import describe_api
from embedding_runtime.http.openapi.failures import MEANINGS
from embedding_runtime.http.openapi.limits import find_limits
from embedding_runtime.http.routing import DIALECTS, Router
from embedding_runtime.served_model import name_model

LIMITS = find_limits(name_model(resolved_model(), served_names=("words", "words-query=query")))


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return describe_api(Router(), limits=LIMITS, secured=False)


async def test_it_is_served() -> None:
    async with app_under_test() as runtime:
        response = await runtime.client.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == describe_api(Router(), limits=LIMITS, secured=False)


def test_it_names_every_path_and_method(description: dict[str, Any]) -> None:
    router = Router()
    described = {(path, method.upper()) for path, methods in description["paths"].items() for method in methods}
    served = {
        (path, method) for path in router.places for target in router.places[path].targets for method in target.methods
    }
    assert described == served


def test_it_is_valid(description: dict[str, Any]) -> None:
    schemathesis.openapi.from_dict(description).validate()


def test_it_names_no_type_that_its_readers_cannot_see(description: dict[str, Any]) -> None:
    named = set(re.findall(r"`([A-Z][a-z]+[A-Z]\w*)`", str(description)))
    assert named <= set(description["components"]["schemas"])


def test_every_field_of_every_body_says_what_it_means(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    bodies = [
        content["schema"]
        for operation in operations(description)
        for content in operation.get("requestBody", {}).get("content", {}).values()
    ]
    waiting, seen = list(find_references(bodies)), set[str]()
    while waiting:
        name = waiting.pop().removeprefix("#/components/schemas/")
        if name not in seen:
            seen.add(name)
            waiting += find_references(schemas[name])
    fields = {f"{name}.{field}": value for name in seen for field, value in schemas[name].get("properties", {}).items()}
    assert len(seen) > 10
    assert [name for name, value in fields.items() if not value.get("description")] == []


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    for reference in set(find_references(description)):
        found = description
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found


def test_every_component_is_used() -> None:
    description = describe_api(Router(), limits=LIMITS, secured=True)
    used = set(find_references(description))
    for kind in ("schemas", "responses", "headers", "parameters"):
        unused = [name for name in description["components"][kind] if f"#/components/{kind}/{name}" not in used]
        assert unused == []


def test_operations_have_names_of_their_own(description: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in operations(description)]
    assert len(names) == len(set(names))


def test_every_example_is_of_its_schema(description: dict[str, Any]) -> None:
    for operation in operations(description):
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/json"]
            schema = {**content["schema"], "components": description["components"]}
            jsonschema.Draft202012Validator(schema).validate(content["example"])


def test_every_route_says_what_it_takes_and_answers() -> None:
    for dialect in DIALECTS:
        assert dialect.error_reply is not None, dialect.name
        for path, methods in dialect.routes.items():
            for method, route in methods.items():
                assert route.reply is not None, (dialect.name, path)
                assert (route.form is not None) == (method == "POST"), (dialect.name, path)


@pytest.mark.parametrize("kind", sorted(TABLE, key=lambda kind: kind.__name__))
def test_every_error_has_a_meaning(kind: type[RequestError]) -> None:
    assert MEANINGS[kind]


def test_it_says_what_the_served_model_allows(description: dict[str, Any]) -> None:
    schema = description["components"]["schemas"]["OpenaiEmbeddingsRequest"]["properties"]
    assert schema["model"]["enum"] == ["words", "words-query"]
    assert {"type": "string", "enum": ["query", "document"]} in schema["prompt_name"]["anyOf"]
    assert {"type": "integer", "minimum": 1, "maximum": 8} in schema["dimensions"]["anyOf"]


def test_a_model_without_prompts_takes_no_name_of_one() -> None:
    limits = find_limits(name_model(resolved_model(prompts=()), served_names=("words",)))
    schemas = describe_api(Router(), limits=limits, secured=False)["components"]["schemas"]
    assert schemas["TeiEmbedRequest"]["properties"]["prompt_name"]["type"] == "null"


def test_errors_on_a_bare_path_carry_every_dialects_keys(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    strict, bare = schemas["TeiErrorReply"], schemas["TeiErrorWithAllKeys"]
    assert set(strict["required"]) == {"error", "error_type"}
    assert {"error", "error_type", "message"} <= set(bare["required"])
    assert bare["properties"]["error"] == {"type": "string"}


def test_without_keys_nothing_is_said_of_them(description: dict[str, Any]) -> None:
    assert "security" not in description
    assert all("401" not in operation["responses"] for operation in operations(description))


def test_with_keys_every_route_but_the_open_ones_needs_one() -> None:
    secured = describe_api(Router(), limits=LIMITS, secured=True)
    assert secured["security"] == [{"key": []}]
    for path, methods in secured["paths"].items():
        for operation in methods.values():
            is_open = operation.get("security") == []
            assert is_open is bool(re.search(r"/(health|ping)$", path)) or path in ("/", "/tei/"), path
            assert ("401" in operation["responses"]) is not is_open


def operations(description: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in description["paths"].values():
        yield from methods.values()


def find_references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for entry in value.values():
            yield from find_references(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from find_references(entry)
