"""The longest input, in tokens with the special ones, and on which side a longer one is cut.

sentence-transformers takes sentence_bert_config.json's max_seq_length, else tokenizer_config.json's model_max_length.
Neither can exceed the positions that the weights have. Values such as -1 or 1e30, which libraries write for "not
known", do not count; nor does the truncation that a tokenizer.json was saved with.
"""

from dataclasses import dataclass

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.identified import Identified
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence, Side

_ABSURD = 1_000_000  # tokens; no model served here has a million positions, transformers writes 1e30 for "unlimited"
_LEAST = 3  # [CLS], one token of text, [SEP]


@dataclass(frozen=True)
class _Claim:
    value: int
    file: str
    key: str | None

    def __str__(self) -> str:
        return f"{self.value} ({self.file}{'' if self.key is None else ' ' + self.key})"


def read_max_input_tokens(
    *, sentence_config: JsonObject, tokenizer_config: JsonObject, config: JsonObject, identified: Identified
) -> tuple[int, Evidence]:
    """The length in tokens and why. Raises Refusal(INVALID_FILE) when no room is left for text."""
    claims: list[_Claim] = []
    ignored: list[str] = []
    for document, key in ((sentence_config, "max_seq_length"), (tokenizer_config, "model_max_length")):
        value = document.number(key)
        if value is None:
            continue
        if not 1 <= value <= _ABSURD or value != int(value):
            ignored.append(f"{value:g} ({document.path} {key}, not a length)")
        else:
            claims.append(_Claim(int(value), document.path, key))
    tensor = identified.position_tensor
    positions = (
        _Claim(identified.positions, config.path, None)
        if tensor is None
        else _Claim(identified.positions, tensor.file, tensor.name)
    )
    claimed = claims[0] if claims else positions
    winner = min(claimed, positions, key=lambda claim: claim.value)
    if winner.value < _LEAST:
        raise Refusal(
            Reason.INVALID_FILE,
            f"{winner.file}: {winner.key or identified.position_note} leaves {winner.value} tokens, no room for text; "
            f"expected at least {_LEAST}",
        )
    losers = [str(claim) for claim in (*claims, positions) if claim is not winner]
    evidence = Evidence(
        field="maxInputTokens",
        value=str(winner.value),
        file=winner.file,
        key=winner.key,
        note=identified.position_note if winner is positions else None,
        overruled=(*losers, *ignored),
    )
    return winner.value, evidence


def read_side(tokenizer_config: JsonObject, *, key: str, field: str, default: str) -> tuple[Side, Evidence]:
    """The side under `key` (truncation_side, padding_side); `default` says in words what transformers does without.

    Raises Refusal(INVALID_FILE) for anything but left and right.
    """
    written = tokenizer_config.text(key)
    if written not in (None, "left", "right"):
        raise Refusal(Reason.INVALID_FILE, f"{tokenizer_config.path}: expected {key} to be left or right")
    side = Side.LEFT if written == "left" else Side.RIGHT
    note = f"not there; {default}" if written is None else None
    return side, Evidence(field=field, value=side, file=tokenizer_config.path, key=key, note=note)
