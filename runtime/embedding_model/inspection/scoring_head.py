"""A classification head that is really in the weights: a reranker or a classifier.

One logit is a reranker, unless problem_type, labels or the card say otherwise (a regression, a reward model): then it
is doubt. Two labels are a reranker only by the spec and labels that mean yes and no. More are a classifier.
"""

from collections.abc import Sequence

from embedding_model.inspection.card import CARD_FILE, Card
from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.identified import Head
from embedding_model.inspection.labels import find_relevant, is_score_name, read_labels
from embedding_model.inspection.quoting import quote
from embedding_model.inspection.reading import Reading
from embedding_model.inspection.verdict import RANKING_TAG, Decision, contradict_declared
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Declared, Evidence, Task

_PROBLEMS = frozenset({"regression", "single_label_classification", "multi_label_classification"})
# Card tags of models whose one logit is no relevance.
_OTHER_TAGS = frozenset({"reward-model", "reward_model", "reward", "rm", "rlhf", "regression"})
# Rerankers were published under these as well before text-ranking existed.
_NEUTRAL_TAGS = frozenset({None, RANKING_TAG, "text-classification", "sentence-similarity", "feature-extraction"})


def decide_scoring_head(reading: Reading, *, declared: Declared) -> Decision:
    """Reranking or Classification.

    Raises Refusal: AMBIGUOUS_TASK for one logit that may be something else, TASK_MISMATCH, CONTRADICTORY_EVIDENCE,
    INVALID_FILE for a problem_type that does not exist.
    """
    count = reading.identified.label_count
    if count is None:
        raise ValueError("a model with a classification head has a number of labels")
    check_problem_type(reading.config)
    if declared.task in (Task.EMBEDDING, Task.SPARSE):
        contradict_declared(
            declared.task, found=f"the weights hold {_describe_head(reading)}, a head that scores or classifies"
        )
    _check_library(reading)
    labels = read_labels(reading.config, count=count)
    if count == 1:
        return _decide_one(reading, labels=labels, declared=declared)
    if declared.task is not Task.RERANKING:
        return _decide(reading, task=Task.CLASSIFICATION, note=f"{count} outputs: a classifier, no reranker")
    if find_relevant(labels) is None:
        contradict_declared(
            declared.task,
            found=f"the weights hold {_describe_head(reading)}, a classifier; two labels are a reranker's only where "
            f"config.json's id2label calls them yes and no, or relevant and irrelevant",
        )
    return _decide(reading, task=Task.RERANKING, note="task is declared, and the two labels mean yes and no", spec=True)


def check_problem_type(config: JsonObject) -> str | None:
    """config.json's problem_type. Raises Refusal(INVALID_FILE) for one that transformers does not know."""
    problem = config.text("problem_type")
    if problem is not None and problem not in _PROBLEMS:
        raise Refusal(
            Reason.INVALID_FILE,
            f"{config.path}: problem_type is {quote(problem)}; expected one of {', '.join(sorted(_PROBLEMS))}",
        )
    return problem


def _decide_one(reading: Reading, *, labels: tuple[str, ...], declared: Declared) -> Decision:
    doubts = _doubt_relevance(reading, labels=labels)
    if declared.task is not None:
        settled = tuple(doubts) if declared.task is Task.RERANKING else ()
        note = f"one output; declared to be {declared.task}"
        return _decide(reading, task=declared.task, note=note, spec=True, overruled=settled)
    if doubts:
        raise Refusal(
            Reason.AMBIGUOUS_TASK,
            f"the weights hold {_describe_head(reading)}: one output is a reranker's (Reranking), but "
            f"{' and '.join(doubts)} says that it may be a regression or a reward model (Classification). Set task to "
            "Reranking or Classification",
            field="task",
        )
    if reading.identified.is_decoder and not _is_said_to_rank(reading):
        raise Refusal(
            Reason.AMBIGUOUS_TASK,
            f"the weights of this language model hold {_describe_head(reading)}: a reranker's (Reranking) or a reward "
            "model's (Classification), and no file says which. Set task to Reranking or Classification",
            field="task",
        )
    return _decide(reading, task=Task.RERANKING, note="one output: a reranker")


def _doubt_relevance(reading: Reading, *, labels: tuple[str, ...]) -> list[str]:
    config, card = reading.config, reading.card
    doubts: list[str] = []
    problem = config.text("problem_type")
    if problem is not None:
        doubts.append(f"{config.path} problem_type {problem}")
    if labels and not is_score_name(labels[0]):
        doubts.append(f"{config.path} id2label {quote(labels[0])}")
    reward = next((name for name in config.texts("architectures") if "reward" in name.lower()), None)
    if reward is not None:
        doubts.append(f"{config.path} architectures {quote(reward)}")
    doubts += _doubt_by_card(card)
    return doubts


def _doubt_by_card(card: Card) -> list[str]:
    doubts = [f"{CARD_FILE} tag {tag}" for tag in card.tags if tag.lower() in _OTHER_TAGS][:1]
    if card.pipeline_tag not in _NEUTRAL_TAGS:
        doubts.append(f"{CARD_FILE} pipeline_tag {card.pipeline_tag}")
    return doubts


def _is_said_to_rank(reading: Reading) -> bool:
    """A language model with one logit is a reward model as often as a reranker: some file must say which."""
    return (
        reading.card.pipeline_tag == RANKING_TAG
        or reading.library_model == "CrossEncoder"
        or bool(reading.config.mapping("sentence_transformers"))
    )


def _check_library(reading: Reading) -> None:
    if reading.pipeline is None and reading.library_model not in (None, "CrossEncoder"):
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"{reading.library.path} says model_type {reading.library_model}, but there is no modules.json, and the "
            f"weights hold {_describe_head(reading)}, a head that scores: a file is missing or of another model",
        )


def _decide(reading: Reading, *, task: Task, note: str, spec: bool = False, overruled: Sequence[str] = ()) -> Decision:
    tensor = reading.identified.head_tensor
    tag = reading.card.pipeline_tag
    expected = {RANKING_TAG, "text-classification"} if task is Task.RERANKING else {"text-classification"}
    lost = [] if tag is None or tag in expected else [f"{tag} ({CARD_FILE} pipeline_tag, weak)"]
    if tensor is None:
        raise ValueError("a model with a classification head has the head's tensor")
    head = f"{tensor.file} {tensor.name}: "
    return Decision(
        task=task,
        head=Head.SEQUENCE_CLASSIFICATION,
        evidence=Evidence(
            field="task",
            value=task,
            file="spec" if spec else tensor.file,
            key="task" if spec else tensor.name,
            note=head + note if spec else note,
            overruled=(*overruled, *lost),
        ),
    )


def _describe_head(reading: Reading) -> str:
    tensor = reading.identified.head_tensor
    count = reading.identified.label_count
    return f"{quote(tensor.name) if tensor else 'a head'} with {count} output{'' if count == 1 else 's'}"
