"""Prompts that exist in model cards only: the one place where a model's name is evidence, and the evidence says so.

The texts are those of the authors' cards on the hub. A repository is known by its name in the origin; only a folder,
which has none, by config.json's `_name_or_path`. In a repository of another name that key tells what the model was
tuned from, and the tuned one may have been given other prompts or none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from embedding_model.inspection.documents import JsonObject
from embedding_model.resolved import Origin, Prompt

_SEARCH = "Represent this sentence for searching relevant passages: "
_SEARCH_ZH = (
    "\u4e3a\u8fd9\u4e2a\u53e5\u5b50\u751f\u6210\u8868\u793a\u4ee5\u7528\u4e8e\u68c0\u7d22\u76f8\u5173\u6587\u7ae0\uff1a"
)
_INSTRUCT = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "

_E5 = (Prompt(name="query", text="query: "), Prompt(name="document", text="passage: "))
_QUERY_ONLY = (Prompt(name="query", text=_SEARCH),)
_QUERY_ONLY_ZH = (Prompt(name="query", text=_SEARCH_ZH),)
_QUERY_INSTRUCT = (Prompt(name="query", text=_INSTRUCT),)
_QUERY_WORD = (Prompt(name="query", text="query: "),)
_NOMIC = (
    Prompt(name="query", text="search_query: "),
    Prompt(name="document", text="search_document: "),
    Prompt(name="classification", text="classification: "),
    Prompt(name="clustering", text="clustering: "),
)

# By repository; every name is written out, so that no other model's name can match.
_PROMPTS: Mapping[tuple[Prompt, ...], tuple[str, ...]] = {
    _E5: (
        *(f"intfloat/e5-{size}{version}" for size in ("small", "base", "large") for version in ("", "-v2")),
        *(f"intfloat/e5-{size}-unsupervised" for size in ("small", "base", "large")),
        *(f"intfloat/multilingual-e5-{size}" for size in ("small", "base", "large")),
        "mixedbread-ai/deepset-mxbai-embed-de-large-v1",
    ),
    _QUERY_INSTRUCT: ("intfloat/multilingual-e5-large-instruct", "intfloat/e5-mistral-7b-instruct"),
    _QUERY_ONLY: (
        *(f"baai/bge-{size}-en{version}" for size in ("small", "base", "large") for version in ("", "-v1.5")),
        *(f"snowflake/snowflake-arctic-embed-{size}" for size in ("xs", "s", "m", "m-v1.5", "m-long", "l")),
        "mixedbread-ai/mxbai-embed-large-v1",
        "mixedbread-ai/mxbai-embed-2d-large-v1",
        "whereisai/uae-large-v1",
    ),
    _QUERY_ONLY_ZH: tuple(
        f"baai/bge-{size}-zh{version}" for size in ("small", "base", "large") for version in ("", "-v1.5")
    ),
    _QUERY_WORD: ("snowflake/snowflake-arctic-embed-m-v2.0", "snowflake/snowflake-arctic-embed-l-v2.0"),
    _NOMIC: (
        "nomic-ai/nomic-embed-text-v1",
        "nomic-ai/nomic-embed-text-v1-unsupervised",
        "nomic-ai/nomic-embed-text-v1.5",
        "nomic-ai/nomic-embed-text-v2-moe",
    ),
}
_BY_REPOSITORY = {name: prompts for prompts, names in _PROMPTS.items() for name in names}


@dataclass(frozen=True)
class RepositoryName:
    """`file` and `key` say where the name was found: the origin's repository, or a folder's config.json."""

    repository: str
    file: str
    key: str


@dataclass(frozen=True)
class CardPrompts:
    """`repository`, `file` and `key` are those of `RepositoryName`."""

    prompts: tuple[Prompt, ...]
    repository: str
    file: str
    key: str


def name_repository(origin: Origin, *, config: JsonObject) -> RepositoryName | None:
    """The name that a model is known by; None for a folder whose config.json tells none."""
    if origin.repo is not None:
        return RepositoryName(origin.repo, "origin", "repo")
    name = config.text("_name_or_path")
    return None if name is None else RepositoryName(name, config.path, "_name_or_path")


def find_card_prompts(origin: Origin, *, config: JsonObject) -> CardPrompts | None:
    """The prompts of the repository's card, where its name is in the table."""
    named = name_repository(origin, config=config)
    prompts = _BY_REPOSITORY.get(named.repository.lower()) if named else None
    return None if named is None or prompts is None else CardPrompts(prompts, named.repository, named.file, named.key)
