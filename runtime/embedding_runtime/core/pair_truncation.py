"""How many tokens of each text of a pair are kept where both do not fit.

Two rules. A search cuts the document and keeps the query, as long as the query leaves room for a quarter of document
(`keep_query`). Two texts of equal rank share the room (`share_equally`), as transformers' longest_first does.
docs/decisions/0009 says why a search does not follow longest_first.
"""

from collections.abc import Callable

# The document's share of the room that no query takes from it, as FlagEmbedding's and mxbai-rerank's rerankers have it.
DOCUMENT_SHARE = 4  # one part in so many

# Numbers of tokens of the two texts and the room for both: how many of each are kept.
Rule = Callable[[int, int, int], tuple[int, int]]


def keep_query(query: int, document: int, room: int) -> tuple[int, int]:
    """The query whole where it leaves a quarter of the room, or all that a shorter document needs."""
    kept = min(query, room - min(document, room // DOCUMENT_SHARE))
    return kept, min(document, room - kept)


def share_equally(first: int, second: int, room: int) -> tuple[int, int]:
    """The longer text is cut until both are equally long, then both (tokenizers: LongestFirst; an odd token goes to
    the longer one).
    """
    if first > second:
        kept_second, kept_first = share_equally(second, first, room)
        return kept_first, kept_second
    if first + second <= room:
        return first, second
    if first <= room // 2:
        return first, room - first
    return room // 2, room - room // 2
