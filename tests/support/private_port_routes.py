"""What a pod that stands answers on the routes of its private port: one that serves, or one of a reference Job."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from pydantic import ValidationError
from responding_pods import Fault, ServingPod

from embedding_model import ports
from embedding_model.goldens.questions import AnswerSheet, QuestionSheet
from embedding_model.ports import JobReport, RetireOrder, Verdict


@dataclass(frozen=True)
class Asked:
    """One request to a serving pod, with what is wrong with its answers."""

    serving: ServingPod
    body: bytes
    fault: Fault | None


def answer(
    route: str, body: bytes, *, serving: ServingPod | None, result: JobReport | None, fault: Fault | None
) -> web.Response:
    """`route` is the method and the path."""
    if route == f"GET {ports.RESULT}" and result is not None:
        return _send(result.to_json())
    if serving is None or route not in _ROUTES:
        return web.Response(status=404)
    try:
        return _ROUTES[route](Asked(serving, body, fault))
    except ValidationError:
        return say(400, "The body is malformed.")


def say(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)


def _show_goldens(asked: Asked) -> web.Response:
    return _send(asked.serving.report_mounted().to_json())


def _try_goldens(asked: Asked) -> web.Response:
    return _send(asked.serving.report_trial(asked.body, fault=asked.fault).to_json())


def _answer_questions(asked: Asked) -> web.Response:
    serving = asked.serving
    epoch = serving.lifecycle.epoch
    with serving.lifecycle.audited():
        questions = QuestionSheet.from_json(asked.body).questions
        answers = tuple(serving.answer(item, fault=asked.fault) for item in questions)
    boot_id, space = serving.lifecycle.boot_id, serving.mounted.model.space
    return _send(AnswerSheet(boot_id=boot_id, space=space, answers=answers, epoch=epoch or None).to_json())


def _take_verdict(asked: Asked) -> web.Response:
    serving, verdict = asked.serving, Verdict.from_json(asked.body)
    if (verdict.boot_id, verdict.case_set) != (serving.lifecycle.boot_id, serving.mounted.cases.name):
        return say(409, "The verdict is of another process, or of another case set.")
    if verdict.passed and (verdict.epoch or 0) != serving.lifecycle.epoch:
        return say(409, "The verdict is of answers from before a failure or recovery.")
    serving.lifecycle.record_verdict(passed=verdict.passed, reason=verdict.reason)
    return web.Response(status=204)


def _retire(asked: Asked) -> web.Response:
    serving, order = asked.serving, RetireOrder.from_json(asked.body)
    if order.boot_id != serving.lifecycle.boot_id:
        return say(409, "The order to retire is of another process.")
    serving.lifecycle.retired = order.retired
    return web.Response(status=204)


def _send(data: bytes) -> web.Response:
    return web.Response(body=data, content_type="application/json")


_ROUTES: Mapping[str, Callable[[Asked], web.Response]] = {
    f"GET {ports.GOLDENS}": _show_goldens,
    f"POST {ports.GOLDENS}": _try_goldens,
    f"POST {ports.ANSWERS}": _answer_questions,
    f"POST {ports.VERDICT}": _take_verdict,
    f"POST {ports.RETIRE}": _retire,
}
