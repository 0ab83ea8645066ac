"""Language models that score by token logits: which of the prompts that this project knows a model was trained with.

A wrong prompt gives scores that look right, and the files rarely hold the right one: a chat template in the tokenizer
is never executed, and is most often that of the base model. So a template is recognised by the family together with
the tokens that LogitScore's config names; without that config by the repository's name or its card's base_model (these
prompts exist in model cards only, so the name is evidence here, and the evidence says so); for a folder without any
name by the family alone, where its tokens exist.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from embedding_model.inspection.card import CARD_FILE
from embedding_model.inspection.documents import join, read_object
from embedding_model.inspection.quoting import quote
from embedding_model.inspection.reading import Reading
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence, ScoreRule, Scoring
from embedding_model.sources.listing import TOKENIZER_LIMIT
from embedding_model.sources.selection import CONFIG_FILE
from embedding_model.tokenizer_files import TOKENIZER_FILE


@dataclass(frozen=True)
class Template:
    """`models` are endings of repository names, in lower case."""

    name: str
    families: frozenset[str]
    true_token: str
    false_token: str | None
    models: tuple[str, ...]


TEMPLATES = (  # the tokens are words of a vocabulary, not secrets
    Template(
        name="qwen3-reranker",
        families=frozenset({"qwen3"}),
        true_token="yes",  # noqa: S106
        false_token="no",  # noqa: S106
        models=("qwen3-reranker-0.6b", "qwen3-reranker-4b", "qwen3-reranker-8b"),
    ),
    Template(
        name="bge-reranker-v2-gemma",
        families=frozenset({"gemma"}),
        true_token="Yes",  # noqa: S106
        false_token=None,
        models=("bge-reranker-v2-gemma",),
    ),
    Template(
        name="mxbai-rerank-v2",
        families=frozenset({"qwen2"}),
        true_token="1",  # noqa: S106
        false_token="0",  # noqa: S106
        models=("mxbai-rerank-base-v2", "mxbai-rerank-large-v2"),
    ),
)
_VOCABULARY_FILE = "vocab.json"
_CONVERSIONS = ("-seq-cls",)  # of the same model to a classification head: the prompt stays


def read_token_scoring(reading: Reading) -> tuple[Scoring, Evidence]:
    """The scoring of a causal language model.

    Raises Refusal: AMBIGUOUS_TASK where no template is known, CONTRADICTORY_EVIDENCE where the tokens are not those of
    the template, INVALID_FILE.
    """
    config_path = None
    if reading.pipeline is not None and reading.pipeline.pooling is not None:
        config_path = join(reading.pipeline.pooling, CONFIG_FILE)
    template, evidence = _match_name(reading) if config_path is None else _match_tokens(reading, path=config_path)
    ids = _require_tokens(reading, template=template)
    scoring = Scoring(
        rule=ScoreRule.TOKEN_LOGITS,
        template=template.name,
        true_token=template.true_token,
        false_token=template.false_token,
        true_token_id=ids[template.true_token],
        false_token_id=None if template.false_token is None else ids[template.false_token],
    )
    return scoring, evidence


def find_head_template(reading: Reading) -> tuple[Template, Evidence]:
    """The template of a language model that was converted to a classification head; its tokens must exist.

    Raises Refusal: AMBIGUOUS_TASK, CONTRADICTORY_EVIDENCE.
    """
    template, evidence = _match_name(reading)
    _require_tokens(reading, template=template)
    return template, evidence


def _match_tokens(reading: Reading, *, path: str) -> tuple[Template, Evidence]:
    config = read_object(reading.source, path=path)
    wanted = (config.integer("true_token_id"), config.integer("false_token_id"))
    if wanted[0] is None or any(number is not None and number < 0 for number in wanted):
        raise Refusal(Reason.INVALID_FILE, f"{path}: expected true_token_id to be the number of a token")
    for template in _of_family(reading):
        ids = find_token_ids(reading, tokens=_tokens(template))
        found = (ids.get(template.true_token), ids.get(template.false_token or ""))
        if found == wanted:
            return template, _describe(
                template, file=path, key="true_token_id", note=f"LogitScore reads {_words(template)}"
            )
    raise Refusal(
        Reason.AMBIGUOUS_TASK,
        f"{path} scores by the tokens {wanted[0]} and {wanted[1]}, which are those of no prompt that is known for "
        f"{reading.identified.family}; known are {_known()}. Without its prompt a model's scores would be wrong",
    )


def _match_name(reading: Reading) -> tuple[Template, Evidence]:
    templates = tuple(_of_family(reading))
    names = tuple(_names(reading))
    for template in templates:
        for name, file, key in names:
            if _ending(name) in template.models:
                note = f"the prompt is in the model card of {name} only, known by its name"
                return template, _describe(template, file=file, key=key, note=note)
    if len(templates) == 1 and reading.source.origin.repo is None:
        [template] = templates
        note = f"weak: the only prompt known for {reading.identified.family}; no file names another"
        return template, _describe(template, file=reading.config.path, key="model_type", note=note)
    raise Refusal(
        Reason.AMBIGUOUS_TASK,
        "this is a language model that scores, but no file says with which prompt it was trained, and with another "
        f"prompt its scores would be wrong; known are {_known()}. Use one of these, or a cross-encoder with a "
        "classification head",
    )


def _names(reading: Reading) -> Iterator[tuple[str, str, str]]:
    if reading.source.origin.repo is not None:
        yield reading.source.origin.repo, "origin", "repo"
    written = reading.config.text("_name_or_path")
    if written:
        yield written, reading.config.path, "_name_or_path"
    for base in reading.card.base_models:
        yield base, CARD_FILE, "base_model"


def _ending(name: str) -> str:
    ending = name[-200:].rstrip("/").rpartition("/")[2].lower()
    for suffix in _CONVERSIONS:
        ending = ending.removesuffix(suffix)
    return ending


def find_token_ids(reading: Reading, *, tokens: tuple[str, ...], name: str = TOKENIZER_FILE) -> Mapping[str, int]:
    """Token -> number in the vocabulary of a tokenizer's file; tokens that are not there are left out.

    The file is searched as bytes: parsed, a vocabulary of 11 MB takes hundreds.
    """
    data = reading.source.read(join(reading.folder, name), limit=TOKENIZER_LIMIT)
    found: dict[str, int] = {}
    for token in tokens:
        pattern = re.escape(json.dumps(token).encode()) + rb"[ \t\r\n]{0,8}:[ \t\r\n]{0,8}(\d{1,9})(?=[,}\s])"
        match = re.search(pattern, data)
        if match is not None:
            found[token] = int(match.group(1))
    return found


def _require_tokens(reading: Reading, *, template: Template) -> Mapping[str, int]:
    tokens = _tokens(template)
    ids = find_token_ids(reading, tokens=tokens)
    for token in tokens:
        if token not in ids or ids[token] >= reading.identified.vocabulary_size:
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"the prompt {template.name} scores by the token {quote(token)}, which {TOKENIZER_FILE} does not have "
                "among those of the weights: the tokenizer belongs to another model",
            )
    if join(reading.folder, _VOCABULARY_FILE) in reading.selected:
        other = find_token_ids(reading, tokens=tokens, name=_VOCABULARY_FILE)
        if other != ids:
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"{TOKENIZER_FILE} and {_VOCABULARY_FILE} give {_words(template)}, by which the score is made, "
                "different numbers: one of the two files belongs to another model",
            )
    return ids


def _of_family(reading: Reading) -> Iterator[Template]:
    return (template for template in TEMPLATES if reading.identified.family in template.families)


def _tokens(template: Template) -> tuple[str, ...]:
    return tuple(token for token in (template.true_token, template.false_token) if token is not None)


def _words(template: Template) -> str:
    return " and ".join(quote(token) for token in _tokens(template))


def _known() -> str:
    return ", ".join(f"{template.name} ({', '.join(sorted(template.families))})" for template in TEMPLATES)


def _describe(template: Template, *, file: str, key: str, note: str) -> Evidence:
    return Evidence(field="scoring.template", value=template.name, file=file, key=key, note=note)
