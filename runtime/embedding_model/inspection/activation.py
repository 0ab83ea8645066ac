"""What turns a reranker's logit into its score, by sentence-transformers' ladder (CrossEncoder).

config_sentence_transformers.json's activation_fn (read with modules.json only), then config.json's
sentence_transformers.activation_fn, then its older sbert_ce_default_activation_function, else the sigmoid of the one
logit. Only classes of torch.nn count; a class of somebody's own would have to be imported.
"""

import re
from collections.abc import Iterator
from typing import Any

from embedding_model.inspection.quoting import quote
from embedding_model.inspection.reading import Reading
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Activation, Evidence

_PATH = re.compile(r"torch\.nn\.(?:modules\.[a-z]{1,20}\.)?([A-Za-z]{1,20})")
_KNOWN = {"Identity": Activation.IDENTITY, "Sigmoid": Activation.SIGMOID, "Tanh": Activation.TANH}


def read_activation(reading: Reading) -> tuple[Activation, Evidence]:
    """The activation of a single logit.

    Raises Refusal: INVALID_FILE, UNSUPPORTED_ARCHITECTURE for what is no plain activation of torch.nn,
    CONTRADICTORY_EVIDENCE for a softmax, which gives one logit the score 1 whatever it is.
    """
    claims = [(_parse(written, file=file, key=key), file, key) for written, file, key in find_written(reading)]
    if not claims:
        evidence = Evidence(
            field="activation",
            value=Activation.SIGMOID,
            file=reading.config.path,
            key="sentence_transformers.activation_fn",
            note="none declared; sentence-transformers then takes the sigmoid of a single logit",
        )
        return Activation.SIGMOID, evidence
    (winner, file, key), *losers = claims
    overruled = tuple(f"{value} ({other} {name})" for value, other, name in losers if value is not winner)
    return winner, Evidence(field="activation", value=winner, file=file, key=key, overruled=overruled)


def find_written(reading: Reading) -> Iterator[tuple[Any, str, str]]:
    """Each activation that a file names, the one that sentence-transformers would take first."""
    config = reading.config
    own = reading.library.values.get("activation_fn")
    if own is not None and reading.pipeline is not None:
        yield own, reading.library.path, "activation_fn"
    for values, key in (
        (config.mapping("sentence_transformers").get("activation_fn"), "sentence_transformers.activation_fn"),
        (config.values.get("sbert_ce_default_activation_function"), "sbert_ce_default_activation_function"),
    ):
        if values is not None:
            yield values, config.path, key
    if own is not None and reading.pipeline is None:
        yield own, reading.library.path, "activation_fn"


def name_of(written: Any, *, file: str, key: str) -> str:
    """The last name of a class of torch.nn. Raises Refusal: INVALID_FILE, UNSUPPORTED_ARCHITECTURE."""
    if not isinstance(written, str):
        raise Refusal(Reason.INVALID_FILE, f"{file}: expected {key} to be a string")
    found = _PATH.fullmatch(written)
    if found is None:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{file}: {key} is {quote(written)}; understood are classes of torch.nn only, since no code is imported",
        )
    return found.group(1)


def _parse(written: Any, *, file: str, key: str) -> Activation:
    name = name_of(written, file=file, key=key)
    if name == "Softmax":
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"{file}: {key} is a softmax, but there is one logit, whose softmax is 1 for every document",
        )
    known = _KNOWN.get(name)
    if known is None:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{file}: {key} is {quote(name)}; understood are {', '.join(_KNOWN)}",
        )
    return known
