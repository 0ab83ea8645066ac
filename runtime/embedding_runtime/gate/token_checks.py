"""Built-in checks of the tokens that the model reads; nothing is computed for them.

check.truncation  a text that is too long becomes the same tokens however much too long it is, and never too many
check.end_token   where vectors are read from a last token: it ends every text, also one that is cut
"""

from embedding_model.ports import CaseResult
from embedding_model.resolved import Side, Task
from embedding_runtime.core.inputs import Pair, Text
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.tokenizing import CUT_MARGIN
from embedding_runtime.errors import InvalidRequest, RequestError
from embedding_runtime.gate.check_results import describe_check
from embedding_runtime.http.dialect import Loaded

WORD = "word "
MORE = "and more of it, " * 8  # on the side that is cut
MOST_TOKENS = 65_536  # a longer maximum is not tried: reading such a text takes seconds


async def check_tokens(loaded: Loaded) -> list[CaseResult]:
    """One result for each check that the model has. What cannot be tokenised fails."""
    try:
        return [*await _check_truncation(loaded), *await _check_end_token(loaded)]
    except InvalidRequest:
        return []  # the texts have no token in this model's vocabulary
    except RequestError as error:
        return [describe_check("truncation", passed=False, detail=f"a check text was not tokenised: {error.message}")]


async def _check_truncation(loaded: Loaded) -> list[CaseResult]:
    most = loaded.tokenizer.max_tokens
    if most > MOST_TOKENS:
        return []
    long, longer = await _encode(loaded, long_text(loaded), long_text(loaded, more=MORE))
    count = max(len(long.ids), len(longer.ids))
    if count > most:
        detail = f"a text that is too long became {count} tokens, at most {most} expected"
    elif long.truncated and (list(long.ids) != list(longer.ids) or not longer.truncated):
        detail = "of two texts that are too long and differ only in what is cut off, the model reads different tokens"
    else:
        detail = ""
    return [
        describe_check(
            "truncation",
            passed=not detail,
            measured=str(count),
            threshold=str(most),
            detail=detail or f"a text that is too long became {count} tokens, at most {most} expected",
        )
    ]


async def _check_end_token(loaded: Loaded) -> list[CaseResult]:
    end_token = loaded.model.resolved.inspection.end_token
    if end_token is None or loaded.model.serving.task is not Task.EMBEDDING:
        return []
    ends = [tokens.ids[-1] for tokens in await _encode(loaded, WORD, long_text(loaded))]
    names = loaded.tokenizer.name_ids(ends)
    wrong = next((name for name in names if name != end_token), None)
    return [
        describe_check(
            "end_token",
            passed=wrong is None,
            detail="every text ends with the token that its vector is read from"
            if wrong is None
            else "a text does not end with the token that its vector is read from",
        )
    ]


async def _encode(loaded: Loaded, *texts: str) -> list[Tokens]:
    scores = loaded.model.serving.task is Task.RERANKING
    return await loaded.tokenizer.encode([Pair(WORD, text) if scores else Text(text) for text in texts])


def long_text(loaded: Loaded, *, more: str = "") -> str:
    """More words than the model takes tokens, by as many that `more`, where it is cut, does not change the rest."""
    words = WORD * (min(loaded.tokenizer.max_tokens, MOST_TOKENS) + 2 * CUT_MARGIN)
    return words + more if loaded.model.serving.truncation_side is Side.RIGHT else more + words
