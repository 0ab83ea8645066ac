"""Which tokens of an encoding are kept where it is too long.

Special tokens are kept, for the model was trained with them around every text. The library's own truncation has one
side for all texts and one rule for all pairs, so it is not used.
"""

from collections.abc import Container, Iterator, Sequence

from embedding_model.resolved import Side


def find_span(length: int, *, kept: int, side: Side) -> range:
    """Positions of the `kept` tokens of a text of `length`. `side` is the one that is cut."""
    return range(length - kept, length) if side is Side.LEFT else range(kept)


def find_kept(owners: Sequence[int | None], *, spans: Sequence[Container[int]]) -> Iterator[int]:
    """Positions in the encoding of what is kept. `owners`: the text that each token is of, None of a special token.
    `spans`: which tokens of each text stay.
    """
    seen = [0] * len(spans)
    for index, owner in enumerate(owners):
        if owner is None:
            yield index
            continue
        if seen[owner] in spans[owner]:
            yield index
        seen[owner] += 1
