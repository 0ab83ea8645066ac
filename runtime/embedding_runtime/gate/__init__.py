"""Wall one of the gate: what a pod finds out about its own answers, before it takes traffic and while it serves.

Every question goes through the same ASGI application as a client's request, so what is checked is what is served:
tokenising, queueing, batching with other texts, pooling, cutting, normalising and encoding. Only admission and the
deadline do not apply, and a question goes before requests that wait: how busy a pod is must not be taken for a
mismatch. Nor must that it cannot answer at all just now: then nothing is known (`asking.NotAsked`).

    asking      one request to the application for questions of one kind
    answering   many questions, and golden cases with their judgement, a bounded number at once
    case_sets   the golden cases of a file or a folder
"""

from embedding_runtime.gate.answering import answer_cases, answer_questions
from embedding_runtime.gate.asking import UNLIMITED, Ask, NotAsked, ask_app
from embedding_runtime.gate.case_sets import parse_case_set, read_case_set

__all__ = [
    "UNLIMITED",
    "Ask",
    "NotAsked",
    "answer_cases",
    "answer_questions",
    "ask_app",
    "parse_case_set",
    "read_case_set",
]
