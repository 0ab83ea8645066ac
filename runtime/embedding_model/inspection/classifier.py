"""A classifier of texts: its labels, and what turns logits into their probabilities."""

from embedding_model.inspection.activation import find_written
from embedding_model.inspection.assembly import TaskValues
from embedding_model.inspection.labels import describe_labels, read_labels
from embedding_model.inspection.quoting import quote
from embedding_model.inspection.reading import Reading
from embedding_model.inspection.scoring_head import check_problem_type
from embedding_model.resolved import Activation, Evidence


def read_classifier(reading: Reading) -> TaskValues:
    """The values of a classifier. Raises Refusal(INVALID_FILE, CONTRADICTORY_EVIDENCE) for labels that are none."""
    count = reading.identified.label_count or 1
    labels = read_labels(reading.config, count=count)
    activation, evidence = _read_activation(reading, count=count)
    return TaskValues(
        labels=labels,
        activation=activation,
        evidence=(describe_labels(reading.config, labels=labels, count=count), evidence),
    )


def _read_activation(reading: Reading, *, count: int) -> tuple[Activation, Evidence]:
    """As transformers' text-classification pipeline: by problem_type, else softmax, of one output the sigmoid."""
    problem = check_problem_type(reading.config)
    note = None
    if problem == "regression":
        activation = Activation.IDENTITY
    elif problem == "multi_label_classification":
        activation = Activation.SIGMOID
    else:
        activation = Activation.SIGMOID if count == 1 else Activation.SOFTMAX
        if problem is None:
            note = f"not there; the default for {count} output{'' if count == 1 else 's'}"
    overruled = tuple(
        f"{quote(str(written))} ({file} {key}: a cross-encoder's raw logits)"
        for written, file, key in find_written(reading)
    )
    return activation, Evidence(
        field="activation",
        value=activation,
        file=reading.config.path,
        key="problem_type",
        note=note,
        overruled=overruled,
    )
