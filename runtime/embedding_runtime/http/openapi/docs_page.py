"""The page of /docs: the API's description, to read. Whole without scripts or anything from elsewhere."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from embedding_model.resolved import Task
from embedding_runtime.http.dialect import PATHS
from embedding_runtime.http.openapi.schemas import Schema
from embedding_runtime.http.openapi.type_names import name_type

_STYLE = files(__package__).joinpath("docs_page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

# Only the page's own style, known by its hash: no script, image, font, form or frame, of this server or of another.
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Document = Mapping[str, Any]

# As the vendors write their names, where that is not the dialect's own with a capital.
_TITLES = {"openai": "OpenAI", "tei": "text-embeddings-inference (TEI)"}


def write_page(document: Document, *, names: Sequence[str], task: Task) -> str:
    """`document` is `document.describe_api`'s. `names`: those served. `task`: the model's, whose routes it answers."""
    info = document["info"]
    dialects = [tag["name"] for tag in document["tags"]]
    parts = [
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(info['title'])}</title>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<style>{_STYLE}</style></head><body>",
        f"<header><h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
        *(f"<p>{_write_text(paragraph)}</p>" for paragraph in info["description"].split("\n\n")),
        f"<p>{_write_served(document, names=names, task=task)}</p>",
        "<p>For programs: <a href='openapi.json'>openapi.json</a> (OpenAPI 3.1).</p></header>",
        _write_contents(document, dialects=dialects),
        "<main>",
        *(_write_dialect(document, dialect=dialect) for dialect in dialects),
        _write_shared_paths(document),
        _write_types(document),
        "</main></body></html>",
    ]
    return "\n".join(parts)


def _write_served(document: Document, *, names: Sequence[str], task: Task) -> str:
    served = ", ".join(f"<code>{escape(name)}</code>" for name in names)
    paths = " or ".join(f"<code>{path}</code>" for path in PATHS[task])
    key = " Every route needs a key, but for the probes." if _needs_key(document) else ""
    return f"Served here: {served}, a model for {task.lower()}: ask {paths}, or another dialect's route for that.{key}"


def _operations(document: Document, *, dialect: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """The dialect's own path, method and operation, from under its prefix: there it is described alone."""
    prefix = f"/{dialect}"
    for path, methods in document["paths"].items():
        if path.startswith(prefix + "/"):
            for method, operation in methods.items():
                yield path.removeprefix(prefix), method.upper(), operation


def _write_contents(document: Document, *, dialects: Sequence[str]) -> str:
    entries = []
    for dialect in dialects:
        links = [
            f"<a href='#{operation['operationId']}'>{method} {escape(path)}</a>"
            for path, method, operation in _operations(document, dialect=dialect)
        ]
        entries.append(f"<dt>{_title(dialect)}</dt><dd>{' '.join(links)}</dd>")
    return f"<nav><dl>{''.join(entries)}</dl></nav>"


def _write_dialect(document: Document, *, dialect: str) -> str:
    operations = [
        _write_operation(document, dialect=dialect, path=path, method=method, operation=operation)
        for path, method, operation in _operations(document, dialect=dialect)
    ]
    return f"<section><h2>{_title(dialect)}</h2>{''.join(operations)}</section>"


def _write_operation(document: Document, *, dialect: str, path: str, method: str, operation: Mapping[str, Any]) -> str:
    strict = f"/{dialect}{path}"
    bare = document["paths"].get(path, {}).get(method.lower(), {})
    is_alone = bare.get("tags") == [dialect]
    where = f"Strictly at <code>{escape(strict)}</code>."
    if bare and not is_alone:
        others = ", ".join(tag for tag in bare["tags"] if tag != dialect)
        where += f" <code>{escape(path)}</code> is also of {escape(others)}: there the body decides."
    answer = operation["responses"]["200"]["content"]
    reply = name_type(next(iter(answer.values()))["schema"])
    return "".join(
        [
            f"<article id='{operation['operationId']}'><h3><b>{method}</b> {escape(path)}</h3>",
            f"<p>{_write_text(operation['summary'])} {where}</p>",
            *_write_body(document, operation=operation),
            f"<h4>Example</h4><pre>{escape(_write_curl(document, operation, path=path if is_alone else strict))}</pre>",
            f"<h4>Answer</h4><p>{reply}</p>",
            "<details><summary>Errors</summary>",
            _write_errors(document, responses=operation["responses"]),
            "</details></article>",
        ]
    )


def _write_body(document: Document, *, operation: Mapping[str, Any]) -> Iterator[str]:
    if "requestBody" not in operation:
        return
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    for choice in schema.get("anyOf", [schema]):
        whole = _resolve(document, choice)
        yield "<h4>Body</h4>"
        if "properties" in whole:
            yield _write_fields(whole)
        else:
            yield f"<p>{name_type(whole)}</p>"


def _write_fields(schema: Schema) -> str:
    fields, required = schema["properties"], schema.get("required", ())
    rows = [
        f"<tr><td><code>{escape(name)}</code></td><td>{name_type(field, is_optional=name not in required)}</td>"
        f"<td>{_write_default(field, is_required=name in required)}</td>{_write_meaning(field, among=fields)}</tr>"
        for name, field in fields.items()
    ]
    head = f"<tr><th>field</th><th>type</th><th>default</th>{'<th></th>' if _has_meanings(fields) else ''}</tr>"
    about = f"<p>{_write_text(schema['description'])}</p>" if "description" in schema else ""
    return f"{about}<table>{head}{''.join(rows)}</table>"


def _has_meanings(fields: Mapping[str, Schema]) -> bool:
    return any("description" in field for field in fields.values())


def _write_meaning(field: Schema, *, among: Mapping[str, Schema]) -> str:
    """A cell, where one of the fields has something to say."""
    return f"<td>{_write_text(field.get('description', ''))}</td>" if _has_meanings(among) else ""


def _write_default(field: Schema, *, is_required: bool) -> str:
    if is_required:
        return "required"
    default = field.get("default")
    return "" if default is None else f"<code>{escape(json.dumps(default))}</code>"


def _needs_key(document: Document, operation: Mapping[str, Any] | None = None) -> bool:
    """Whether the API does, or this operation of it, which may have an exception of its own."""
    whole = document.get("security", [])
    return bool(whole if operation is None else operation.get("security", whole))


def _write_curl(document: Document, operation: Mapping[str, Any], *, path: str) -> str:
    lines = [f"curl http://HOST{path}"]
    if _needs_key(document, operation):
        lines.append("-H 'authorization: Bearer KEY'")
    if "requestBody" in operation:
        example = json.dumps(operation["requestBody"]["content"]["application/json"]["example"], ensure_ascii=False)
        quoted = example.replace("'", "'\\''")
        lines += ["-H 'content-type: application/json'", f"-d '{quoted}'"]
    return " \\\n  ".join(lines)


def _write_errors(document: Document, *, responses: Mapping[str, Any]) -> str:
    rows = []
    for status, response in responses.items():
        if status != "200":
            whole = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
            body = name_type(whole["content"]["application/json"]["schema"])
            rows.append(f"<tr><td>{status}</td><td>{_write_text(whole['description'])}</td><td>{body}</td></tr>")
    return f"<table><tr><th>status</th><th>meaning</th><th>body</th></tr>{''.join(rows)}</table>"


def _write_shared_paths(document: Document) -> str:
    """Paths at which the body decides, and those that are other names of a dialect's own."""
    rows = []
    dialects = [tag["name"] for tag in document["tags"]]
    own = {path for dialect in dialects for path, _, _ in _operations(document, dialect=dialect)}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            is_strict = path.startswith(tuple(f"/{dialect}/" for dialect in dialects))
            if not is_strict and (len(operation["tags"]) > 1 or path not in own):
                rows.append(
                    f"<tr><td>{method.upper()} <code>{escape(path)}</code></td><td>{', '.join(operation['tags'])}</td>"
                    f"<td>{_write_text(operation['summary'])}</td></tr>"
                )
    if not rows:
        return ""
    head = "<tr><th>path</th><th>dialects</th><th></th></tr>"
    return f"<section><h2>Shared paths</h2><table>{head}{''.join(rows)}</table></section>"


def _write_types(document: Document) -> str:
    parts = [
        f"<article id='type-{name}'><h3>{name}</h3>{_write_type(schema)}</article>"
        for name, schema in sorted(document["components"]["schemas"].items())
    ]
    return f"<section><h2>Types</h2>{''.join(parts)}</section>"


def _write_type(schema: Schema) -> str:
    if "properties" in schema:
        return _write_fields(schema)
    about = f"<p>{_write_text(schema['description'])}</p>" if "description" in schema else ""
    return f"{about}<p>{name_type(schema)}</p>"


def _title(dialect: str) -> str:
    return escape(_TITLES.get(dialect, dialect.capitalize()))


def _write_text(text: str) -> str:
    """Escaped, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _resolve(document: Document, schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema
