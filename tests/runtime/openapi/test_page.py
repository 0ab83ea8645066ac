"""GET /docs: a page that a browser shows whole without asking anybody else, and that runs nothing."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from runtime_under_test import app_under_test

from embedding_model.resolved import Task
from embedding_runtime.http.openapi.docs_page import write_page
from embedding_runtime.http.openapi.document import describe_api
from embedding_runtime.http.routing import DIALECTS, Router


class Reader(HTMLParser):
    """Notes ids, links and every element, and holds that what is opened is closed."""

    EMPTY = frozenset({"meta"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.elements.add(tag)
        self.attributes |= set(found)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "a":
            self.links.append(str(found["href"]))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page() -> str:
    return write_page(describe_api(Router(), limits={}, secured=False), names=("words",), task=Task.EMBEDDING)


async def test_it_is_served_as_a_page_that_may_run_and_load_nothing() -> None:
    async with app_under_test() as runtime:
        response = await runtime.client.get("/docs")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    policy = {
        part.split(" ", 1)[0]: part.split(" ", 1)[1] for part in response.headers["content-security-policy"].split("; ")
    }
    style = re.findall(r"<style>(.*?)</style>", response.text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert len(style) == 1
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def test_it_names_every_route(page: str) -> None:
    ids = set(Reader(page).ids)
    for dialect in DIALECTS:
        for path, methods in dialect.routes.items():
            for method in methods:
                words = re.findall(r"[A-Za-z0-9]+", f"/{dialect.name}{path}")
                assert "_".join([method.lower(), *words]) in ids


def test_every_link_leads_to_a_place_on_the_page_or_to_the_description(page: str) -> None:
    read = Reader(page)
    assert not read.open
    assert len(read.ids) == len(set(read.ids))
    assert {link for link in read.links if not link.startswith("#")} == {"openapi.json"}
    assert {link.removeprefix("#") for link in read.links if link.startswith("#")} <= set(read.ids)


def test_it_holds_no_scripts_and_no_styles_in_attributes(page: str) -> None:
    read = Reader(page)
    assert not read.elements & {"script", "img", "link", "iframe", "form", "object"}
    assert read.attributes <= {"id", "href", "lang", "charset", "name", "content"}


def test_a_served_name_is_text_and_never_markup() -> None:
    name = "<script>alert(1)</script>'\"&`x`"
    described = describe_api(Router(), limits={"model": {"enum": [name]}}, secured=False)
    page = write_page(described, names=(name,), task=Task.EMBEDDING)
    assert "<script" not in page
    assert not Reader(page).open


def test_it_says_what_the_model_is_for_and_where_to_ask_it(page: str) -> None:
    ranker = write_page(describe_api(Router(), limits={}, secured=False), names=("judge",), task=Task.RERANKING)
    assert "<code>words</code>, a model for embedding: ask <code>POST /v1/embeddings</code>" in page
    assert "<code>judge</code>, a model for reranking: ask <code>POST /rerank</code>" in ranker


def test_examples_show_the_key_where_one_is_needed(page: str) -> None:
    secured = write_page(describe_api(Router(), limits={}, secured=True), names=("words",), task=Task.EMBEDDING)
    assert "KEY" not in page
    examples = re.findall(r"<pre>(curl .*?)</pre>", secured, flags=re.DOTALL)
    open_ones = {example.removeprefix("curl http://HOST") for example in examples if "Bearer KEY" not in example}
    assert open_ones == {"/", "/health"}
    assert "Every route needs a key" in secured


def test_words_to_send_stand_in_quotes(page: str) -> None:
    assert "true or false or <code>&quot;true&quot;</code>, <code>&quot;false&quot;</code>" in page
