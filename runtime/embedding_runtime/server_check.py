"""Golden cases asked of a server somewhere, on the routes that its clients use.

vectors   OpenAI's /v1/embeddings
scores    TEI's /rerank, of this runtime those that the model is served with; Cohere's form on /v1/rerank or /rerank
          where a server does not take TEI's
labels    TEI's /predict
terms     TEI's /embed_sparse; it answers ids of tokens, which the model's own tokenizer names
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from embedding_model.goldens.cases import GoldenCase
from embedding_model.goldens.questions import Answer, Question, QuestionKind
from embedding_model.ports import SPACE_HEADER, CaseResult
from embedding_model.refusal import Unavailable
from embedding_runtime.core.vocabulary import Vocabulary
from embedding_runtime.gate.answering import answer_cases
from embedding_runtime.gate.asking import UNLIMITED, NotAsked, Server, post_questions, read_message

EMBEDDINGS = "/v1/embeddings"
MODELS = "/v1/models"

# A server that has no such path, or takes another form of request there.
_NOT_HERE = (400, 404, 405, 415, 422)


async def check_server(
    url: str,
    *,
    cases: Sequence[GoldenCase],
    name: str | None,
    api_key: str | None = None,
    vocabulary: Vocabulary | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> tuple[CaseResult, ...]:
    """One result per case, in their order. Raises Unavailable when the server gives no usable answer.

    `name`: the served name to ask for, None: the first that the server lists. It applies the prompt that a case names;
    without it the request names the prompt, which only some servers understand. `vocabulary` names the tokens of sparse
    vectors; without it such cases fail.
    """
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        async with httpx.AsyncClient(base_url=url, timeout=UNLIMITED, headers=headers, transport=transport) as client:
            model = await _find_name(client) if name is None else name
            server = _AskedServer(client, model=model, names_prompts=name is None, vocabulary=vocabulary)
            return await answer_cases(cases, ask=server.ask)
    except httpx.HTTPStatusError as error:
        raise Unavailable(f"The server given by --url answered with {error.response.status_code}.") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
        raise Unavailable(f"The server given by --url gave no usable answer: {type(error).__name__}.") from error


async def _find_name(client: httpx.AsyncClient) -> str:
    """Empty for a server of one model, which has no list (TEI). Raises httpx.HTTPError, ValueError, LookupError."""
    response = await client.get(MODELS)
    if response.status_code in _NOT_HERE:
        return ""
    return str(response.raise_for_status().json()["data"][0]["id"])


class _AskedServer:
    def __init__(
        self, client: httpx.AsyncClient, *, model: str, names_prompts: bool, vocabulary: Vocabulary | None
    ) -> None:
        self._client = client
        self._names_prompts = names_prompts
        self._vocabulary = vocabulary
        self._server = Server(client, model, name_terms=vocabulary.name_ids if vocabulary else _name_by_number)

    async def ask(self, question: Question) -> Answer:
        """Raises what `post_questions` raises, but for NotAsked."""
        if question.kind is QuestionKind.RERANK:
            return await self._rank(question)
        if question.kind is QuestionKind.EMBED and question.prompt is not None and self._names_prompts:
            return await self._embed_prompted(question)
        if question.kind is QuestionKind.SPARSE and self._vocabulary is None:
            return Answer(
                error="the server answers ids of tokens: give --model too, the folder whose tokenizer names them"
            )
        try:
            [answer] = await post_questions(self._server, questions=[question])
        except NotAsked as error:  # a person reads it beside what could be asked
            return Answer(error=str(error))
        return answer

    async def _embed_prompted(self, question: Question) -> Answer:
        """By `prompt_name`, a field of this runtime's own: other servers leave it unread, and apply no prompt."""
        body = {"model": self._server.model, "input": [question.text], "encoding_format": "base64"}
        response = await self._client.post(EMBEDDINGS, json={**body, "prompt_name": question.prompt})
        if response.status_code != 200:
            return _describe_error(response)
        if SPACE_HEADER not in response.headers:
            return Answer(
                error=f"the case names the prompt {question.prompt}, which the server does not take by its name: say "
                "with --name which served name applies it"
            )
        return Answer(vector=response.json()["data"][0]["embedding"])

    async def _rank(self, question: Question) -> Answer:
        refused: list[httpx.Response] = []
        for form in _RANKINGS:
            response = await self._client.post(form.path, json=form.write(question, self._server.model))
            if response.status_code != 200:
                refused.append(response)
                if response.status_code not in _NOT_HERE:
                    break
            elif not _is_of_another_space(response):
                return _order_scores(form.read(response.json()), question=question)
        if refused:
            return _describe_error(refused[0])
        return Answer(
            error="the server answers scores through another activation than the served one, which golden cases are "
            "of: give --model, the folder, and leave --url out"
        )


@dataclass(frozen=True)
class _Ranking:
    """A route that scores documents: its body, and the scores by number of document that a response holds."""

    path: str
    write: Callable[[Question, str], Mapping[str, Any]]
    read: Callable[[Any], Mapping[int, float]]


def _write_tei(question: Question, model: str) -> Mapping[str, Any]:
    return {"query": question.text, "texts": question.documents}


def _write_tei_raw(question: Question, model: str) -> Mapping[str, Any]:
    return {**_write_tei(question, model), "raw_scores": True}


def _read_tei(document: Any) -> Mapping[int, float]:
    return {entry["index"]: float(entry["score"]) for entry in document}


def _write_cohere(question: Question, model: str) -> Mapping[str, Any]:
    return {"model": model, "query": question.text, "documents": question.documents}


def _read_cohere(document: Any) -> Mapping[int, float]:
    return {entry["index"]: float(entry["relevance_score"]) for entry in document["results"]}


# This runtime answers sigmoids on all of them, and says so where another activation is served; logits are the served
# scores of a model without one.
_RANKINGS = (
    _Ranking("/rerank", _write_tei, _read_tei),
    _Ranking("/rerank", _write_tei_raw, _read_tei),
    _Ranking("/v1/rerank", _write_cohere, _read_cohere),
    _Ranking("/rerank", _write_cohere, _read_cohere),
)


def _is_of_another_space(response: httpx.Response) -> bool:
    """Whether this runtime answered with something else than what it serves: the space has a suffix then."""
    return ";" in response.headers.get(SPACE_HEADER, "")


def _order_scores(scores: Mapping[int, float], *, question: Question) -> Answer:
    numbers = range(len(question.documents))
    if set(scores) != set(numbers):
        return Answer(error=f"the server answered scores of {len(scores)} documents, and {len(numbers)} were asked")
    return Answer(scores=tuple(scores[number] for number in numbers))


def _describe_error(response: httpx.Response) -> Answer:
    return Answer(error=f"answered with status {response.status_code}: {read_message(response)}")


def _name_by_number(ids: Sequence[int]) -> Sequence[str]:
    return [str(id_) for id_ in ids]
