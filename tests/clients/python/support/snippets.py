"""The snippets of docs/clients.md, run as they stand there but for addresses, key and names of models.

A snippet is a fenced block whose first line names it: ```python NAME.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from service import Service

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "clients.md"
EMBEDDING_URL = "http://minilm.search.svc"
RERANK_URL = "http://reranker.search.svc"
KEY = "my-key"
FENCED = re.compile(r"^```python (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@cache
def documented() -> Mapping[str, str]:
    """Every snippet by its name."""
    found = FENCED.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert found, f"no snippet in {DOCUMENT}"
    return dict(found)


def adapt(
    text: str,
    *,
    service: Service,
    url: str | None = None,
    rerank_url: str | None = None,
    key: str | None = None,
    model: str | None = None,
) -> str:
    """The text for the servers under test, or for the address, key and name of a model that are given."""
    names = service.names
    replaced = {
        EMBEDDING_URL: url or service.url,
        RERANK_URL: rerank_url or service.rerank_url,
        KEY: key or service.key,
        "minilm": model or names.model,
        "text-embedding-3-small": model or names.openai,
        "embed-english-v3.0": model or names.cohere,
        "reranker": model or names.reranker,
    }
    # A name stands alone in quotes, or behind a provider and a slash; addresses and the key stand as they are.
    for old in (EMBEDDING_URL, RERANK_URL, KEY):
        text = text.replace(old, replaced.pop(old))
    for old, new in replaced.items():
        text = re.sub(rf'(?<=["/`]){re.escape(old)}(?=["`])', new, text)
    return text


def run_snippet(name: str, *, service: Service, **options: Any) -> Mapping[str, Any]:
    """What the snippet leaves behind, by the names of its variables. `options` are those of `adapt`."""
    variables: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(adapt(documented()[name], service=service, **options), f"{DOCUMENT.name}: {name}", "exec"), variables)
    return variables


def table_after(heading: str) -> list[list[str]]:
    """The rows of the table whose first line begins so; each cell without its backquotes."""
    lines = iter(DOCUMENT.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if line.startswith(f"| {heading}"):
            break
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
    assert rows, f"no table that begins with {heading} in {DOCUMENT}"
    return rows
