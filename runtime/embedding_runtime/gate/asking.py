"""Questions to a serving path: the request that a client would send, and what its response says."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import httpx

from embedding_model.goldens.compare import encode_vector
from embedding_model.goldens.questions import Answer, LabelScore, Question, QuestionKind, TermWeight
from embedding_runtime.http.app import GOLDEN_CASE, App
from embedding_runtime.http.messages import Receive, Scope, Send

# A worker that hangs turns liveness red, and whoever asks for a trial has a deadline; another clock here would only
# blur the reason.
UNLIMITED = httpx.Timeout(None)

# Statuses that speak of the server and not of its answer: too much to do, a device that computes nothing any more, the
# end of the process.
_NOT_NOW = (429, 503)

# How one question is answered; and several of one kind and prompt (of one query, where documents are ranked) by one
# request, in their order.
Ask = Callable[[Question], Awaitable[Answer]]
AskTogether = Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]]

# The tokens of ids, as the tokenizer writes them.
NameTerms = Callable[[Sequence[int]], Sequence[str]]


class NotAsked(Exception):
    """The server cannot answer just now, in words: nothing is known of its answers."""


@dataclass(frozen=True)
class Server:
    """Where questions are posted to. `model` is a served name."""

    client: httpx.AsyncClient
    model: str
    name_terms: NameTerms


def ask_app(app: App) -> Ask:
    """Through the application in this process, also while the gate is shut. Asking raises NotAsked."""
    return ask_one(ask_app_together(app))


def ask_one(together: AskTogether) -> Ask:
    async def ask(question: Question) -> Answer:
        [answer] = await together([question])
        return answer

    return ask


def ask_app_together(app: App, *, of_tokens: bool = False) -> AskTogether:
    """`of_tokens`: to a question for a vector, those of the text's tokens are the answer, one after another."""
    loaded = app.loaded
    assert loaded is not None
    serving, model, name_terms = loaded.model.serving, next(iter(loaded.model.names)), loaded.tokenizer.name_ids

    async def ask(questions: Sequence[Question]) -> Sequence[Answer]:
        prompt = questions[0].prompt
        if prompt is not None and questions[0].kind is not QuestionKind.SPARSE and serving.prompt(prompt) is None:
            # Not quoted: what is no prompt of the model is the user's text.
            return [Answer(error="the case names a prompt that the model does not have")] * len(questions)
        applied = prompt or serving.default_prompt or ""

        async def as_golden_case(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": {GOLDEN_CASE: applied}}, receive, send)

        transport = httpx.ASGITransport(app=as_golden_case)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://golden-case", timeout=UNLIMITED, trust_env=False
        ) as client:
            form = _OF_TOKENS if of_tokens else _FORMS[questions[0].kind]
            return await _post(Server(client, model, name_terms), questions=questions, form=form)

    return ask


def ask_twice(ask: AskTogether) -> AskTogether:
    """Asks those once more that have no answer: a worker that was just replaced loses what it computed."""

    async def ask_again(questions: Sequence[Question]) -> Sequence[Answer]:
        answers = await ask(questions)
        return await ask(questions) if any(answer.error is not None for answer in answers) else answers

    return ask_again


async def post_questions(server: Server, *, questions: Sequence[Question]) -> Sequence[Answer]:
    """Answers to questions of one kind and prompt, by one request. A refused request is the answer's error.

    The prompt is what the server applies by itself, but for sparse vectors, where the request names it. Raises
    NotAsked, httpx.HTTPError where nothing answers, and ValueError, LookupError or TypeError for what is no answer.
    """
    return await _post(server, questions=questions, form=_FORMS[questions[0].kind])


async def _post(server: Server, *, questions: Sequence[Question], form: "_Form") -> Sequence[Answer]:
    response = await server.client.post(form.path, json=form.write(questions, server.model))
    if response.status_code != 200:
        error = f"answered with status {response.status_code}: {read_message(response)}"
        if response.status_code in _NOT_NOW:
            raise NotAsked(error)
        return [Answer(error=error)] * len(questions)
    answers = form.read(response.json(), questions, server)
    if len(answers) != len(questions):
        raise ValueError(f"{len(answers)} answers came to {len(questions)} questions")
    return answers


@dataclass(frozen=True)
class _Form:
    """A kind of question: where it is posted, its body, and how a response is read."""

    path: str
    write: Callable[[Sequence[Question], str], Mapping[str, Any]]
    read: Callable[[Any, Sequence[Question], Server], Sequence[Answer]]


def _write_embed(questions: Sequence[Question], model: str) -> Mapping[str, Any]:
    return {"model": model, "input": [question.text for question in questions], "encoding_format": "base64"}


def _read_embed(document: Any, questions: Sequence[Question], server: Server) -> Sequence[Answer]:
    return [Answer(vector=entry["embedding"]) for entry in document["data"]]


def _write_rerank(questions: Sequence[Question], model: str) -> Mapping[str, Any]:
    """TEI's form; golden cases get the scores of the served activation there, and clients those of a sigmoid."""
    documents = [document for question in questions for document in question.documents]
    return {"query": questions[0].text, "texts": documents}


def _read_rerank(document: Any, questions: Sequence[Question], server: Server) -> Sequence[Answer]:
    by_number = {entry["index"]: float(entry["score"]) for entry in document}
    scores = iter([by_number[number] for number in range(len(by_number))])
    return [Answer(scores=tuple(islice(scores, len(question.documents)))) for question in questions]


def _write_classify(questions: Sequence[Question], model: str) -> Mapping[str, Any]:
    return {"inputs": [[question.text] for question in questions]}


def _read_classify(document: Any, questions: Sequence[Question], server: Server) -> Sequence[Answer]:
    return [Answer(labels=tuple(LabelScore.model_validate(entry) for entry in labels)) for labels in document]


def _write_sparse(questions: Sequence[Question], model: str) -> Mapping[str, Any]:
    body: dict[str, Any] = {"inputs": [question.text for question in questions]}
    return body if questions[0].prompt is None else {**body, "prompt_name": questions[0].prompt}


def _read_sparse(document: Any, questions: Sequence[Question], server: Server) -> Sequence[Answer]:
    answers = []
    for weights in document:
        heaviest = sorted(weights, key=lambda entry: (-entry["value"], entry["index"]))
        names = server.name_terms([entry["index"] for entry in heaviest])
        terms = [TermWeight(term=name, weight=entry["value"]) for name, entry in zip(names, heaviest, strict=True)]
        answers.append(Answer(terms=tuple(terms)))
    return answers


def _write_tokens(questions: Sequence[Question], model: str) -> Mapping[str, Any]:
    return {"inputs": [question.text for question in questions]}


def _read_tokens(document: Any, questions: Sequence[Question], server: Server) -> Sequence[Answer]:
    return [Answer(vector=encode_vector(chain.from_iterable(rows))) for rows in document]


_FORMS: Mapping[QuestionKind, _Form] = {
    QuestionKind.EMBED: _Form("/v1/embeddings", _write_embed, _read_embed),
    QuestionKind.RERANK: _Form("/rerank", _write_rerank, _read_rerank),
    QuestionKind.CLASSIFY: _Form("/predict", _write_classify, _read_classify),
    QuestionKind.SPARSE: _Form("/embed_sparse", _write_sparse, _read_sparse),
}
_OF_TOKENS = _Form("/embed_all", _write_tokens, _read_tokens)


def read_message(response: httpx.Response) -> str:
    """Of an error in the form of OpenAI's dialect or of TEI's."""
    try:
        error = response.json()["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return "no message"
